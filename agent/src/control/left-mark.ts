// The mark of a host that left its fleet, in the state directory: until it is enrolled anew.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError, codeOf, messageOf } from '../errors.js';
import { syncDirectory, writeFileAtomic } from '../store/atomic-file.js';

/** What a host that leaves has its kernel do; see leave.ts. */
export const LEAVE_OUTCOMES = ['keep', 'open', 'remove'] as const;
export type LeaveOutcome = (typeof LEAVE_OUTCOMES)[number];

const FILE = 'left.json';
const schema = z.object({ outcome: z.enum(LEAVE_OUTCOMES), atMs: z.number() });

/** How this host left; undefined: it did not, or was enrolled since. Throws RF_CREDENTIALS when the mark cannot be read. */
export function leftWith(stateDir: string): LeaveOutcome | undefined {
  const file = join(stateDir, FILE);
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8'))).outcome;
  } catch (error) {
    if (codeOf(error, '') === 'ENOENT') return undefined;
    throw new AgentError(
      'RF_CREDENTIALS',
      `Cannot read ${file}: ${messageOf(error)}, wanted how this host left its fleet; enrol it anew, or remove the file`,
    );
  }
}

/** Durable when it returns. */
export function markLeft(stateDir: string, outcome: LeaveOutcome, nowMs: number): void {
  writeFileAtomic(join(stateDir, FILE), `${JSON.stringify({ outcome, atMs: nowMs })}\n`, 0o600);
}

/** The host belongs to a fleet again. */
export function unmarkLeft(stateDir: string): void {
  try {
    rmSync(join(stateDir, FILE));
    syncDirectory(stateDir);
  } catch (error) {
    if (codeOf(error, '') !== 'ENOENT') throw error;
  }
}
