// Workloads.Watch: the newest state per workload, coalesced for a slow reader, never a growing queue.
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import type { WatchWorkloadsRequest, WorkloadEvent } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import type { Logger } from 'pino';
import type { StateStore } from '../store/state-store.js';
import { ApiError, wireError } from './errors.js';
import { type WorkloadView, workloadPredicate } from './workload-view.js';
import { writer } from './write.js';

export interface WatchOptions {
  readonly store: StateStore;
  readonly view: WorkloadView;
  readonly log: Logger;
  readonly watchersMax: number;
}

export function watchWorkloads(
  options: WatchOptions,
): (call: ServerWritableStream<WatchWorkloadsRequest, WorkloadEvent>) => void {
  let watchers = 0;
  return (call) => {
    try {
      if (watchers >= options.watchersMax) {
        throw new ApiError(
          status.RESOURCE_EXHAUSTED,
          'RF_WATCHERS_MAX',
          `Cannot watch: found ${watchers} watchers, wanted fewer than ${options.watchersMax}`,
        );
      }
      const matches = workloadPredicate(call.request.filter);
      watchers += 1;
      watch(options, call, matches, () => {
        watchers -= 1;
      });
    } catch (error) {
      call.emit('error', wireError(error, options.log));
    }
  };
}

function watch(
  { store, view, log }: WatchOptions,
  call: ServerWritableStream<WatchWorkloadsRequest, WorkloadEvent>,
  matches: ReturnType<typeof workloadPredicate>,
  onEnd: () => void,
): void {
  // Ids whose newest state is still to be sent; what was sent of them before.
  const dirty = new Set([...store.table('workload').values()].filter(matches).map(({ id }) => id));
  const sent = new Set<string>();
  let synced = false;
  const out = writer(call);
  const unsubscribe = store.onCommit((changes) => {
    for (const change of changes) if (change.kind === 'workload') dirty.add(change.key);
    void pump();
  });
  out.ended.then(() => {
    unsubscribe();
    onEnd();
  });
  let pumping = false;
  const pump = async () => {
    if (pumping) return;
    pumping = true;
    try {
      while (!out.isEnded()) {
        const next = dirty.values().next();
        if (next.done) {
          if (synced) return;
          synced = true;
          await out.write({ event: { $case: 'synced', value: true } });
          continue;
        }
        dirty.delete(next.value);
        const record = store.get('workload', next.value);
        if (record !== undefined && matches(record)) {
          sent.add(next.value);
          await out.write({ event: { $case: 'set', value: view.toWire(record) } });
        } else if (sent.delete(next.value)) {
          await out.write({ event: { $case: 'removed', value: next.value } });
        }
      }
    } catch (error) {
      call.emit('error', wireError(error, log));
    } finally {
      pumping = false;
    }
  };
  void pump();
}
