import { X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { duration } from '../text/time.js';
import type { Check, Finding } from './check.js';

/** A certificate that ends within this time is told. */
const soonMs = 3 * 86_400_000;

/** Checks of the agent that may be installed here: its credentials and what it pinned in the kernel. `now` in Unix milliseconds. */
export function agentChecks(stateDir: string, pinPath: string, now: number): Check[] {
  const area = 'agent';
  return [
    { area, name: 'enrolment', run: async () => [await enrolment(stateDir, now)] },
    { area, name: 'key', run: async () => [await keyMode(stateDir)] },
    { area, name: 'last good state', run: async () => [await lastGood(stateDir)] },
    { area, name: 'kernel state', run: async () => [await pins(pinPath)] },
  ];
}

async function enrolment(stateDir: string, now: number): Promise<Finding> {
  const path = join(stateDir, 'cert.pem');
  const pem = await readFile(path).catch((error: NodeJS.ErrnoException) => error);
  if (pem instanceof Error) return unreadable(pem, path, 'this machine is not enrolled');
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return { state: 'fail', found: `${path} is no certificate`, fix: 'ringfence enroll again with a fresh token' };
  }
  const left = Date.parse(certificate.validTo) - now;
  const name = certificate.subjectAltName ?? certificate.subject;
  if (left <= 0)
    return {
      state: 'fail',
      found: `certificate of ${name} expired ${duration(-left)} ago`,
      fix: 'ringfence enroll again with a fresh token',
    };
  if (left < soonMs)
    return {
      state: 'warn',
      found: `certificate of ${name} ends in ${duration(left)}`,
      fix: 'the agent renews it while it is connected: see that it runs',
    };
  return { state: 'ok', found: `${name}, ends in ${duration(left)}` };
}

async function keyMode(stateDir: string): Promise<Finding> {
  const path = join(stateDir, 'key.pem');
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (info instanceof Error) return unreadable(info, path, 'no key here');
  if ((info.mode & 0o077) === 0) return { state: 'ok', found: `${path}, readable by its owner only` };
  return {
    state: 'fail',
    found: `${path} can be read by others (mode ${(info.mode & 0o777).toString(8)})`,
    fix: `chmod 600 ${path}, and enrol again if others use this machine`,
  };
}

async function lastGood(stateDir: string): Promise<Finding> {
  const path = join(stateDir, 'state.cbor');
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (info instanceof Error) return unreadable(info, path, 'no policy was ever received here');
  return { state: 'ok', found: `${path}, ${info.size} bytes` };
}

async function pins(pinPath: string): Promise<Finding> {
  const entries = await readdir(pinPath).catch((error: NodeJS.ErrnoException) => error);
  if (entries instanceof Error) return unreadable(entries, pinPath, 'nothing is enforced here');
  return {
    state: 'ok',
    found: entries.length === 0 ? `${pinPath} is empty: nothing is enforced here` : `${pinPath}: ${entries.join(' ')}`,
  };
}

/** What is not there is no fault: most machines that run this command have no agent. What may not be read is told. */
function unreadable(error: NodeJS.ErrnoException, path: string, absent: string): Finding {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return { state: 'info', found: `${absent} (no ${path})` };
  return { state: 'warn', found: `cannot look at ${path}: ${error.code ?? error.message}`, fix: 'run as root' };
}
