// The Flows service: history and live tail.
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import type { FlowStreamMessage, FlowsServer } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Logger } from 'pino';
import { Follower, type Followers } from '../flows/followers.js';
import type { Gap, KeptGap } from '../flows/gaps.js';
import type { FlowRef } from '../flows/history.js';
import type { FlowArchive, FlowPage, ResolvedFilter } from '../flows/store/archive.js';
import { ApiError, invalid, unary, wireError } from './errors.js';
import { type FilterNames, flowPredicate, RESOLVED_NAMES, resolveFilter } from './flow-filter.js';
import { backupFlows, flowGraph, type GraphContext } from './flow-graph.js';
import { flowRow, gapToWire } from './flow-rows.js';
import { flowTimeline } from './flow-timeline.js';
import { SharedRows } from './shared-rows.js';
import { type StreamWriter, writer } from './write.js';

export interface FlowsOptions {
  readonly archive: FlowArchive;
  readonly followers: Followers;
  readonly names: FilterNames;
  /** Id of a rule by its number; empty when it is not known. */
  readonly ruleId: (number: number) => string;
  /** The policy that is meant, the draft when nothing is said; throws ApiError when it cannot be read. */
  readonly policyOf: GraphContext['policyOf'];
  readonly now: () => number;
  readonly log: Logger;
}

const QUERY_DEFAULT = 1000;
const BUFFER_DEFAULT = 4096;
const BUFFER_MAX = 65_536;
const FOLLOWERS_MAX = 256;
/** Records that are read from the archive at once. */
const PAGE_RECORDS = 16_384;
/** Rows of one message: some hundred kilobytes with many labels. */
const ROWS_PER_MESSAGE = 256;

type Out = StreamWriter<FlowStreamMessage>;

export function flowsService(options: FlowsOptions): FlowsServer {
  const { archive, followers, names, log } = options;
  const shared = new SharedRows(options.ruleId);
  const run = <Request>(call: ServerWritableStream<Request, FlowStreamMessage>, body: (out: Out) => Promise<void>) => {
    const out = writer(call);
    body(out).then(
      () => call.end(),
      (error: unknown) => call.emit('error', wireError(error, log)),
    );
  };
  return {
    graph: unary(log, (request) => flowGraph(request, options)),
    timeline: unary(log, (request) => flowTimeline(request, archive, names, options.now())),
    backup: unary(log, (request) => backupFlows(request, archive)),
    query: (call) =>
      run(call, async (out) => {
        const { filter, limit } = call.request;
        const resolved = resolveFilter(filter, names);
        await sendKept(out, resolved, { limit: limit || QUERY_DEFAULT, sample: 1 }, options, () => {});
        await sendSynced(out, archive);
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
        const resolved = resolveFilter(filter, names);
        let wake = () => {};
        const follower = new Follower(flowPredicate(resolved, RESOLVED_NAMES), { bufferMax, sample }, () => wake());
        let remove = () => {};
        // In the turn in which the last kept records arrive: a record is among them or comes live, never both, never neither.
        const join = () => {
          remove = followers.add(follower);
        };
        try {
          if (withHistory) await sendKept(out, resolved, { limit: historyLimit, sample: sample || 1 }, options, join);
          else join();
          await sendSynced(out, archive);
          while (!out.isEnded()) {
            const woken = new Promise<void>((resolve) => {
              wake = resolve;
            });
            if (await sendTaken(out, follower, shared)) continue;
            await Promise.race([woken, out.ended]);
          }
        } finally {
          remove();
        }
      }),
  };
}

/**
 * Sends of the newest `limit` kept records that match, 0: all, one in `sample`. `joined` is called when none is left out, also when the
 * reader has gone.
 */
async function sendKept(
  out: Out,
  filter: ResolvedFilter,
  { limit, sample }: { readonly limit: number; readonly sample: number },
  { archive, ruleId }: FlowsOptions,
  joined: () => void,
): Promise<void> {
  let afterId = limit === 0 ? 0 : await archive.startOfNewest(filter, limit);
  let passed = 0;
  // A query ends with what it was asked for, also while more arrives.
  for (let left = limit === 0 ? Number.MAX_SAFE_INTEGER : limit; !out.isEnded(); ) {
    const page: FlowPage = await archive.page({ filter, afterId, limit: PAGE_RECORDS }, joined);
    const records = page.records.slice(0, left);
    const skipped = passed;
    const wanted = sample === 1 ? records : records.filter((_, index) => (skipped + index) % sample === 0);
    await sendAmong(out, wanted, page.gaps, ruleId);
    passed += records.length;
    left -= records.length;
    afterId = page.lastId;
    if (!page.more) return;
  }
}

/** Sends records with what is missing at its place among them. */
async function sendAmong(
  out: Out,
  records: readonly FlowRef[],
  gaps: readonly KeptGap[],
  ruleId: FlowsOptions['ruleId'],
): Promise<void> {
  let from = 0;
  for (const gap of gaps) {
    let to = from;
    while (to < records.length && idOf(records[to]) < gap.beforeId) to += 1;
    await sendRows(out, records.slice(from, to), ruleId);
    await sendGap(out, gap);
    from = to;
  }
  await sendRows(out, records.slice(from), ruleId);
}

function idOf(record: FlowRef | undefined): number {
  return record?.block.idAt(record.index) ?? Number.POSITIVE_INFINITY;
}

async function sendGap(out: Out, gap: Gap): Promise<void> {
  await out.write({ body: { $case: 'gap', value: gapToWire(gap) } });
}

async function sendSynced(out: Out, archive: FlowArchive): Promise<void> {
  const { kept, dropped } = archive.status();
  await out.write({ body: { $case: 'synced', value: { kept: BigInt(kept), historyDropped: BigInt(dropped) } } });
}

/** Sends what waits; false when nothing did. */
async function sendTaken(out: Out, follower: Follower, shared: SharedRows): Promise<boolean> {
  const taken = follower.take(ROWS_PER_MESSAGE);
  if (taken === undefined) return false;
  for (const gap of taken.gaps) await sendGap(out, gap);
  const flows = taken.records.map((record) => shared.row(record));
  if (flows.length > 0) await out.write({ body: { $case: 'rows', value: { flows } } });
  return true;
}

async function sendRows(out: Out, records: readonly FlowRef[], ruleId: FlowsOptions['ruleId']): Promise<void> {
  for (let from = 0; from < records.length && !out.isEnded(); from += ROWS_PER_MESSAGE) {
    const flows = records.slice(from, from + ROWS_PER_MESSAGE).map((record) => flowRow(record, ruleId));
    await out.write({ body: { $case: 'rows', value: { flows } } });
  }
}
