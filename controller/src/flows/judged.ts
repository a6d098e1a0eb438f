// Recorded connections as another policy would judge them, in the shape in which the archive adds up what happened: the same graph, with
// other verdicts.
import { Direction, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { ConnectionEnd } from '../policy/connection.js';
import { evaluate } from '../policy/evaluate.js';
import type { Policy } from '../policy/model.js';
import { type FlowBlock, UNKNOWN_END } from './block.js';
import { DECIDED, eachRecord, endOf } from './connections.js';
import { type GraphRowName, GraphRows } from './graph-rows.js';
import { type FlowArchive, type GraphRow, groupKey, type ResolvedFilter, withProcess } from './store/archive.js';

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

/** In turns with everything else that the controller does. Filters on verdicts and reasons of the past do not fit here: the caller leaves them out. */
export async function judgedRows(archive: FlowArchive, request: JudgedRequest): Promise<Judged> {
  const { groupBy } = request;
  const judgements = new Map<string, Judgement>();
  const rows = new GraphRows();
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
      rows.add(block, i, rowName(block, i, judgement, groupBy));
    },
    request.recordsMax,
  );
  return { rows: rows.all, truncated: !all, undecided };
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

/** What was decided is judged anew, for both ends at once. */
function rowName(
  block: FlowBlock,
  i: number,
  { verdict, reason, rule }: Judgement,
  groupBy: readonly string[],
): GraphRowName {
  const at = (column: ArrayLike<number>) => column[i] ?? 0;
  const process = block.strings[at(block.process)] ?? '';
  const local = withProcess(groupKey(block.ends[at(block.local)] ?? UNKNOWN_END, groupBy), groupBy, process);
  const remote = groupKey(block.ends[at(block.remote)] ?? UNKNOWN_END, groupBy);
  const direction = at(block.direction);
  const inbound = direction === Direction.DIRECTION_INBOUND;
  const [source, destination] = inbound ? [remote, local] : [local, remote];
  return {
    source,
    destination,
    direction,
    protocol: at(block.protocol),
    servicePort: at(block.servicePort),
    verdict,
    reason,
    rule,
    process,
    farProcess: block.strings[at(block.farProcess)] ?? '',
    views: at(block.views),
    decider: direction,
    otherReason: 0,
    otherRule: 0,
  };
}
