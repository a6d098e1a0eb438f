// Denied workloads whose wait is over: their agents are asked to report them again. Hosts that are away are asked when they are back.
import type { RetrySchedule } from '../pairing/retry.js';
import type { StateStore } from '../store/state-store.js';

/** Workloads asked about in one message; the rest with the next look. */
const ASKED_MAX = 256;

/** `ask` sends to a host's agent; false: it cannot be reached now. */
export function askAgain(
  retries: RetrySchedule,
  store: Pick<StateStore, 'get'>,
  nowMs: number,
  ask: (hostId: string, localIds: string[]) => boolean,
): void {
  const byHost = new Map<string, { readonly id: string; readonly localId: string }[]>();
  for (const id of retries.due(nowMs)) {
    const record = store.get('workload', id);
    if (record === undefined) continue;
    const due = byHost.get(record.hostId);
    if (due === undefined) byHost.set(record.hostId, [record]);
    else if (due.length < ASKED_MAX) due.push(record);
  }
  for (const [hostId, due] of byHost) {
    const localIds = due.map(({ localId }) => localId);
    if (ask(hostId, localIds)) for (const { id } of due) retries.asked(id, nowMs);
  }
}
