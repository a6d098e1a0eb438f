// Which ports policy allows between two ends, whole tables at once: what diff, `ringfence reach` and importer tests ask.
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { resolvePorts } from '../compile/resolve-ports.js';
import { type ConnectionEnd, NOWHERE } from './connection.js';
import { endsMismatch } from './evaluate.js';
import type { Policy, PolicyWorkload } from './model.js';
import { ALL_PORTS, allowedBy, intersect, isEmptySet, type PortSet, subtract } from './port-set.js';

type Way = Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND;

/** Ports that the rules at one end allow, by the same rules as evaluate.ts. An end without an agent forbids nothing. */
export function portsAt(
  policy: Policy,
  own: ConnectionEnd,
  other: ConnectionEnd,
  direction: Way,
  nowMs: number,
): PortSet {
  const subject = own.workload;
  if (subject === undefined || !own.managed) return ALL_PORTS;
  if (subject.isolated) return intersect(ALL_PORTS, { others: false, by: new Map() });
  const rules = policy.rules.filter(
    (rule) =>
      rule.enabled &&
      (rule.expiresMs === undefined || rule.expiresMs > nowMs) &&
      (direction === Direction.DIRECTION_INBOUND ? rule.inbound : rule.outbound) &&
      endsMismatch(policy, rule, subject, other.workload, other.address, direction) === undefined,
  );
  return allowedBy(resolvePorts(rules));
}

/** Ports on which `from` may reach `to`: allowed at both ends, whatever the modes. */
export function reachablePorts(policy: Policy, from: ConnectionEnd, to: ConnectionEnd, nowMs: number): PortSet {
  const out = portsAt(policy, from, to, Direction.DIRECTION_OUTBOUND, nowMs);
  if (isEmptySet(out)) return out;
  return intersect(out, portsAt(policy, to, from, Direction.DIRECTION_INBOUND, nowMs));
}

/** Workloads with equal labels, as diff and lint look at them. */
export interface LabelSet extends PolicyWorkload {
  /** Ids of the workloads. */
  readonly members: readonly string[];
}

/** Groups workloads by their labels in the dimensions that either policy mentions, or by id when one names it. */
export function labelSets(
  workloads: readonly PolicyWorkload[],
  dimensions: readonly string[],
  named: ReadonlySet<string>,
): LabelSet[] {
  const sets = new Map<string, { id: string; labels: Record<string, string>; members: string[] }>();
  for (const { id, labels } of workloads) {
    const own: Record<string, string> = {};
    for (const dimension of dimensions) {
      const value = Object.hasOwn(labels, dimension) ? labels[dimension] : undefined;
      if (value !== undefined) own[dimension] = value;
    }
    const key = JSON.stringify([named.has(id) ? id : '', own]);
    const set = sets.get(key) ?? { id: named.has(id) ? id : '', labels: own, members: [] };
    set.members.push(id);
    sets.set(key, set);
  }
  return [...sets.values()];
}

/** A pair of label sets that gains or loses ports. */
export interface ReachChange {
  readonly from: LabelSet;
  readonly to: LabelSet;
  readonly gained: PortSet;
  readonly lost: PortSet;
}

/** What changes between two policies for one ordered pair; undefined: nothing. */
export function reachChange(
  before: Policy,
  after: Policy,
  from: LabelSet,
  to: LabelSet,
  nowMs: number,
): ReachChange | undefined {
  const end = (set: LabelSet): ConnectionEnd => ({ workload: set, managed: true, address: NOWHERE });
  const old = reachablePorts(before, end(from), end(to), nowMs);
  const now = reachablePorts(after, end(from), end(to), nowMs);
  const [gained, lost] = [subtract(now, old), subtract(old, now)];
  return isEmptySet(gained) && isEmptySet(lost) ? undefined : { from, to, gained, lost };
}
