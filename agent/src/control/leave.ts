// A host leaves the fleet: its key and certificate go, and the kernel's state stays as was asked for.
//
//   keep     the last good policy stays in force, and on disk for the next boot
//   open     everything stays attached and nothing is blocked; that is what is on disk too
//   remove   nothing is left in the kernel, nor on disk; the agent stays away until the host is enrolled anew
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { UnenrollOutcome } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { syncDirectory } from '../store/atomic-file.js';
import { CREDENTIAL_FILES } from './credentials.js';
import { type LeaveOutcome, markLeft } from './left-mark.js';
import { TAG_FILE } from './tag-keeper.js';

/** What the controller asks for; what this version does not know is the careful one. */
export function outcomeFromWire(wire: UnenrollOutcome): LeaveOutcome {
  if (wire === UnenrollOutcome.UNENROLL_OUTCOME_OPEN) return 'open';
  return wire === UnenrollOutcome.UNENROLL_OUTCOME_REMOVE ? 'remove' : 'keep';
}

/**
 * Deletes this host's identity, and with `remove` everything that is enforced from. Durable when it returns; idempotent. The mark comes
 * first: a crash in between leaves a host that has left, not one that waits for a controller.
 */
export function forgetIdentity(stateDir: string, outcome: LeaveOutcome, nowMs: number): void {
  markLeft(stateDir, outcome, nowMs);
  const gone = [...CREDENTIAL_FILES, TAG_FILE, ...(outcome === 'remove' ? ['state.cbor', 'spool'] : [])];
  for (const name of gone) rmSync(join(stateDir, name), { recursive: true, force: true });
  syncDirectory(stateDir);
}
