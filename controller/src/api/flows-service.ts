// The Flows service: history and live tail.
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import type { FlowStreamMessage, FlowsServer } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Logger } from 'pino';
import { Follower, type Followers } from '../flows/followers.js';
import type { FlowHistory, FlowRef } from '../flows/history.js';
import { ApiError, invalid, wireError } from './errors.js';
import { type FilterNames, flowPredicate } from './flow-filter.js';
import { flowRow } from './flow-rows.js';
import { type StreamWriter, writer } from './write.js';

export interface FlowsOptions {
  readonly history: FlowHistory;
  readonly followers: Followers;
  readonly names: FilterNames;
  /** Id of a rule by its number; empty when it is not known. */
  readonly ruleId: (number: number) => string;
  readonly log: Logger;
}

const QUERY_DEFAULT = 1000;
const BUFFER_DEFAULT = 4096;
const BUFFER_MAX = 65_536;
const FOLLOWERS_MAX = 256;
/** Rows of one message: some hundred kilobytes with many labels. */
const ROWS_PER_MESSAGE = 256;

type Out = StreamWriter<FlowStreamMessage>;

export function flowsService(options: FlowsOptions): FlowsServer {
  const { history, followers, names, log } = options;
  const run = <Request>(call: ServerWritableStream<Request, FlowStreamMessage>, body: (out: Out) => Promise<void>) => {
    const out = writer(call);
    body(out).then(
      () => call.end(),
      (error: unknown) => call.emit('error', wireError(error, log)),
    );
  };
  return {
    query: (call) =>
      run(call, async (out) => {
        const { filter, limit } = call.request;
        await sendRows(out, history.newest(flowPredicate(filter, names), limit || QUERY_DEFAULT), options.ruleId);
      }),
    follow: (call) =>
      run(call, async (out) => {
        const { filter, history: withHistory, historyLimit, sample, buffer } = call.request;
        const bufferMax = buffer || BUFFER_DEFAULT;
        if (bufferMax > BUFFER_MAX)
          throw invalid('RF_BUFFER', `Cannot follow: found a buffer of ${bufferMax}, wanted at most ${BUFFER_MAX}`);
        if (followers.count >= FOLLOWERS_MAX) {
          throw new ApiError(
            status.RESOURCE_EXHAUSTED,
            'RF_FOLLOWERS_MAX',
            `Cannot follow: found ${followers.count} live tails, wanted fewer than ${FOLLOWERS_MAX}`,
          );
        }
        const matches = flowPredicate(filter, names);
        let wake = () => {};
        const follower = new Follower(matches, { bufferMax, sample }, () => wake());
        // Both in one turn of the event loop: a record is in the history or comes live, never both, never neither.
        const kept = withHistory ? history.newest(matches, historyLimit || Number.MAX_SAFE_INTEGER) : [];
        const remove = followers.add(follower);
        try {
          await sendRows(out, kept, options.ruleId);
          const { kept: count, dropped } = history.status();
          await out.write({
            body: { $case: 'synced', value: { kept: BigInt(count), historyDropped: BigInt(dropped) } },
          });
          while (!out.isEnded()) {
            const woken = new Promise<void>((resolve) => {
              wake = resolve;
            });
            if (await sendTaken(out, follower, options.ruleId)) continue;
            await Promise.race([woken, out.ended]);
          }
        } finally {
          remove();
        }
      }),
  };
}

/** Sends what waits; false when nothing did. */
async function sendTaken(out: Out, follower: Follower, ruleId: FlowsOptions['ruleId']): Promise<boolean> {
  const taken = follower.take(ROWS_PER_MESSAGE);
  if (taken === undefined) return false;
  for (const { hop, hostId, count } of taken.gaps) {
    const gap = { hop, hostId, count: BigInt(count), beforeFilter: hop !== 'subscriber' };
    await out.write({ body: { $case: 'gap', value: gap } });
  }
  await sendRows(out, taken.records, ruleId);
  return true;
}

async function sendRows(out: Out, records: readonly FlowRef[], ruleId: FlowsOptions['ruleId']): Promise<void> {
  for (let from = 0; from < records.length && !out.isEnded(); from += ROWS_PER_MESSAGE) {
    const flows = records.slice(from, from + ROWS_PER_MESSAGE).map((record) => flowRow(record, ruleId));
    await out.write({ body: { $case: 'rows', value: { flows } } });
  }
}
