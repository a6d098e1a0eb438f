// What one workload belongs to, under the policy that decides for it: label groups, IP lists, rules, modes.
import { addressFromHex } from '@ringfence/proto/address.js';
import type { WorkloadMemberships } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { effectiveMode, listContains } from '../policy/evaluate.js';
import type { LabelGroupSpec, Policy } from '../policy/model.js';
import { selectorMatches } from '../policy/selector.js';
import type { WorkloadRecord } from '../store/records.js';
import { addressToWire } from './convert.js';
import type { PolicyBook } from './policy-book.js';

/** Deeper nesting than any that the parser lets pass. */
const DEPTH_MAX = 16;

/** A group that holds a value, with the groups between it and the one that lists the value. */
export interface GroupMembership {
  readonly group: LabelGroupSpec;
  readonly value: string;
  readonly via: readonly string[];
}

/** Groups that hold one of the labels, by name. */
export function groupsOf(
  groups: readonly LabelGroupSpec[],
  labels: Readonly<Record<string, string>>,
): GroupMembership[] {
  const byName = new Map(groups.map((group) => [group.name, group]));
  return groups.flatMap((group) => {
    const value = labels[group.dimension];
    const via = value === undefined ? undefined : wayTo(byName, group, value, 0);
    return value === undefined || via === undefined ? [] : [{ group, value, via }];
  });
}

/** IP lists that hold one of its addresses, by name, each with the first such address. */
export function listsOf(policy: Policy, record: WorkloadRecord) {
  return [...policy.ipLists.values()]
    .flatMap((list) => {
      const held = record.addresses.find(({ ip }) => listContains(list, addressFromHex(ip)));
      return held === undefined ? [] : [{ name: list.name, address: held }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function membershipsOf(
  book: Pick<PolicyBook, 'policyFor'>,
  record: WorkloadRecord,
  nowMs: number,
): WorkloadMemberships {
  const { document, policy, version } = book.policyFor(record);
  const matches = (selector: Policy['modes'][number]['selector'] | undefined) =>
    selector !== undefined && selectorMatches(selector, record);
  const decides = {
    inbound: effectiveMode(policy, record, Direction.DIRECTION_INBOUND).decidedBy?.id,
    outbound: effectiveMode(policy, record, Direction.DIRECTION_OUTBOUND).decidedBy?.id,
  };
  return {
    workloadId: record.id,
    policyVersion: version,
    groups: groupsOf(document.labelGroups, record.labels).map(({ group, value, via }) => ({
      name: group.name,
      dimension: group.dimension,
      value,
      via: [...via],
    })),
    ipLists: listsOf(policy, record).map(({ name, address }) => ({ name, address: addressToWire(address) })),
    rules: policy.rules
      .map((rule) => ({
        id: rule.id,
        action: rule.action,
        provides: matches(rule.providedBy.selector),
        uses: matches(rule.usedBy.selector),
        idle: !rule.enabled || (rule.expiresMs !== undefined && rule.expiresMs <= nowMs),
      }))
      .filter(({ provides, uses }) => provides || uses)
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    modes: policy.modes
      .filter(({ selector }) => matches(selector))
      .sort((a, b) => b.priority - a.priority || b.mode - a.mode || (a.id < b.id ? -1 : 1))
      .map(({ id, mode, inbound, outbound }) => ({
        id,
        mode,
        inbound,
        outbound,
        decidesInbound: id === decides.inbound,
        decidesOutbound: id === decides.outbound,
      })),
  };
}

/** Names from below the group to the one that lists the value; empty when the group lists it itself; undefined: it does not hold it. */
function wayTo(
  groups: ReadonlyMap<string, LabelGroupSpec>,
  group: LabelGroupSpec,
  value: string,
  depth: number,
): readonly string[] | undefined {
  if (group.values?.includes(value)) return [];
  if (depth >= DEPTH_MAX) return undefined;
  for (const name of group.groups ?? []) {
    const nested = groups.get(name);
    const way = nested && wayTo(groups, nested, value, depth + 1);
    if (way !== undefined) return [name, ...way];
  }
  return undefined;
}
