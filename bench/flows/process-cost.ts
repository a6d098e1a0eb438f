// What another process has cost so far, from /proc.
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** Processor time of a process with all its threads, user and system. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Processor seconds of a process by the names of its threads, from the scheduler's own count; threads of one name together. */
export function threadSeconds(pid: number): Map<string, number> {
  const threads = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const at = `/proc/${pid}/task/${thread}`;
    const name = readFileSync(`${at}/comm`, 'utf8').trim();
    const [ns] = readFileSync(`${at}/schedstat`, 'utf8').split(' ');
    threads.set(name, (threads.get(name) ?? 0) + Number(ns) / 1e9);
  }
  return threads;
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
