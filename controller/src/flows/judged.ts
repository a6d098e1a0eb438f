// Recorded connections as another policy would judge them, in the shape in which the archive adds up what happened: the same graph, with
// other verdicts.
import { Direction, EventKind, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ConnectionEnd } from '../policy/connection.js';
import { evaluate } from '../policy/evaluate.js';
import type { Policy } from '../policy/model.js';
import { type FlowBlock, UNKNOWN_END } from './block.js';
import { DECIDED, eachRecord, endOf } from './connections.js';
import { type FlowArchive, type GraphRow, groupKey, type ResolvedFilter, withProcess } from './store/archive.js';
import { trafficOf } from './traffic.js';

export interface JudgedRequest {
  readonly filter: ResolvedFilter;
  readonly groupBy: readonly string[];
  readonly policy: Policy;
  /** As if every workload were enforced. */
  readonly asEnforced: boolean;
  readonly nowMs: number;
  /** Records read at most, the newest. */
  readonly recordsMax: number;
}

export interface Judged {
  readonly rows: readonly GraphRow[];
  /** More records match than were read. */
  readonly truncated: boolean;
  /** Records that policy had no say in; left out. */
  readonly undecided: number;
}

interface Judgement {
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly rule: number;
}

type Sums = { -readonly [K in keyof GraphRow]: GraphRow[K] };

/** Filters on verdicts and reasons of the past do not fit here: the caller leaves them out. */
export async function judgedRows(archive: FlowArchive, request: JudgedRequest): Promise<Judged> {
  const { groupBy } = request;
  const judgements = new Map<string, Judgement>();
  const rows = new Map<string, Sums>();
  let undecided = 0;
  const { all } = await eachRecord(
    archive,
    request.filter,
    (block, i) => {
      if (!DECIDED.has(block.reason[i] ?? 0)) {
        undecided += 1;
        return;
      }
      const judgement = judge(block, i, request, judgements);
      const local = block.ends[block.local[i] ?? 0] ?? UNKNOWN_END;
      const remote = block.ends[block.remote[i] ?? 0] ?? UNKNOWN_END;
      const process = block.strings[block.process[i] ?? 0] ?? '';
      addRecord(rows, block, i, {
        local: withProcess(groupKey(local, groupBy), groupBy, process),
        remote: groupKey(remote, groupBy),
        process,
        judgement,
      });
    },
    request.recordsMax,
  );
  return { rows: [...rows.values()], truncated: !all, undecided };
}

function judge(block: FlowBlock, i: number, request: JudgedRequest, known: Map<string, Judgement>): Judgement {
  const inbound = block.direction[i] === Direction.DIRECTION_INBOUND;
  const local = endOf(block, i, 'local');
  const remote = endOf(block, i, 'remote');
  const [from, to] = inbound ? [remote, local] : [local, remote];
  const service = { protocol: block.protocol[i] ?? 0, port: block.servicePort[i] ?? 0 };
  const key = `${from.key}|${to.key}|${service.protocol}|${service.port}`;
  let judgement = known.get(key);
  if (judgement === undefined) {
    judgement = judgeConnection(request, from.end, to.end, service);
    known.set(key, judgement);
  }
  return judgement;
}

/** Both ends have a say; the one that refuses, or would refuse, gives the reason. */
function judgeConnection(
  { policy, asEnforced, nowMs }: JudgedRequest,
  from: ConnectionEnd,
  to: ConnectionEnd,
  service: { readonly protocol: number; readonly port: number },
): Judgement {
  const at = (own: ConnectionEnd, other: ConnectionEnd, direction: 1 | 2): Judgement[] => {
    if (own.workload === undefined || !own.managed) return [];
    const peers = other.workload === undefined ? [] : [other.workload];
    const tuple = { ...service, remote: other.address };
    const { verdict, reason, rule } = evaluate(policy, own.workload, peers, tuple, direction, nowMs);
    const allowed = reason === Reason.REASON_RULE_ALLOW;
    return [{ verdict: asEnforced && !allowed ? Verdict.VERDICT_BLOCKED : verdict, reason, rule }];
  };
  const ends = [...at(to, from, Direction.DIRECTION_INBOUND), ...at(from, to, Direction.DIRECTION_OUTBOUND)];
  const worst = [Verdict.VERDICT_BLOCKED, Verdict.VERDICT_WOULD_BLOCK]
    .map((verdict) => ends.find((end) => end.verdict === verdict))
    .find((end) => end !== undefined);
  // In visibility nothing is blocked; that a rule is missing is worth telling all the same.
  const unruled = ends.find(({ reason }) => reason !== Reason.REASON_RULE_ALLOW);
  return (
    worst ?? unruled ?? ends[0] ?? { verdict: Verdict.VERDICT_ALLOWED, reason: Reason.REASON_UNSPECIFIED, rule: 0 }
  );
}

interface Place {
  readonly local: string;
  readonly remote: string;
  readonly process: string;
  readonly judgement: Judgement;
}

function addRecord(rows: Map<string, Sums>, block: FlowBlock, i: number, place: Place): void {
  const at = (column: ArrayLike<number>) => column[i] ?? 0;
  const direction = at(block.direction);
  const inbound = direction === Direction.DIRECTION_INBOUND;
  const [source, destination] = inbound ? [place.remote, place.local] : [place.local, place.remote];
  const [protocol, servicePort] = [at(block.protocol), at(block.servicePort)];
  const { verdict, reason, rule } = place.judgement;
  const [firstSeenUs, lastSeenUs] = [at(block.firstSeenUs), at(block.lastSeenUs)];
  const key = `${source} ${destination} ${direction} ${protocol} ${servicePort} ${verdict} ${reason} ${rule} ${at(block.views)} ${place.process}`;
  let row = rows.get(key);
  if (row === undefined) {
    const names = {
      source,
      destination,
      direction,
      protocol,
      servicePort,
      verdict,
      reason,
      rule,
      process: place.process,
      farProcess: block.strings[at(block.farProcess)] ?? '',
      views: at(block.views),
      // What was decided is judged anew, for both ends at once.
      decider: direction,
      otherReason: 0,
      otherRule: 0,
    };
    const sums = { bytesForward: 0, bytesBack: 0, packetsForward: 0, packetsBack: 0, records: 0, attempts: 0 };
    row = { ...names, ...sums, connections: 0, durationUs: 0, firstSeenUs, lastSeenUs };
    rows.set(key, row);
  }
  const traffic = trafficOf(block, i);
  row.bytesForward += traffic.bytesForward;
  row.bytesBack += traffic.bytesBack;
  row.packetsForward += traffic.packetsForward;
  row.packetsBack += traffic.packetsBack;
  row.records += 1;
  row.attempts += at(block.attempts);
  if (at(block.kind) === EventKind.EVENT_KIND_END) row.connections += 1;
  if (at(block.kind) === EventKind.EVENT_KIND_DENY) row.connections += at(block.attempts);
  row.durationUs += lastSeenUs - firstSeenUs;
  row.firstSeenUs = Math.min(row.firstSeenUs, firstSeenUs);
  row.lastSeenUs = Math.max(row.lastSeenUs, lastSeenUs);
}
