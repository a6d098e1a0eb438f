// What another process has cost so far, from /proc.
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** Processor time of a process with all its threads, user and system. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory now. */
export function residentMib(pid: number): number {
  return statusKib(pid, 'VmRSS') / 1024;
}

/** The most that was ever resident. */
export function peakMib(pid: number): number {
  return statusKib(pid, 'VmHWM') / 1024;
}

function statusKib(pid: number, name: string): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
}
