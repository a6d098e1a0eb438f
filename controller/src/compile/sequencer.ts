// From what a host held to what it must hold: one delta, adds and removes sorted, so that the same change gives the same bytes.
// The agent applies adds (sets, assignments, bindings, prefixes) before removes, in reverse.
import { type AddressPrefix, prefixKey } from '@ringfence/proto/address.js';
import type {
  AssignmentState,
  BindingAddress,
  BindingState,
  CidrState,
  HostDelta,
  NatAddress,
  NatState,
} from '@ringfence/proto/instructions.js';
import type { PolicySet } from '@ringfence/proto/policy-set.js';
import { labelOf } from '../policy/selector.js';

/** What changes at one host, in no order but that of the bindings. */
export interface HostChange {
  readonly hostId: string;
  readonly full: boolean;
  readonly policyVersion: number;
  readonly sets: readonly PolicySet[];
  readonly removedSets: readonly string[];
  readonly assignments: readonly AssignmentState[];
  readonly removedAssignments: readonly string[];
  readonly cidrs: readonly [before: readonly CidrState[], now: readonly CidrState[]];
  readonly bindings: readonly BindingState[];
  readonly removedBindings: readonly BindingAddress[];
  readonly nats: readonly NatState[];
  readonly removedNats: readonly NatAddress[];
}

/** The delta of a change. */
export function sequence(change: HostChange): HostDelta {
  const cidrs = cidrChanges(...change.cidrs);
  return {
    hostId: change.hostId,
    full: change.full,
    policyVersion: change.policyVersion,
    sets: sorted(change.sets, ({ hash }) => hash),
    removedSets: change.removedSets.toSorted(),
    assignments: sorted(change.assignments, ({ localId }) => localId),
    removedAssignments: change.removedAssignments.toSorted(),
    bindings: change.bindings,
    removedBindings: change.removedBindings,
    cidrs: cidrs.set,
    removedCidrs: cidrs.removed,
    nats: change.nats,
    removedNats: change.removedNats,
  };
}

/** True when a delta changes nothing: nobody need be told. */
export function isEmpty(delta: HostDelta): boolean {
  const { nats = [], removedNats = [] } = delta;
  return (
    !delta.full &&
    delta.sets.length + delta.removedSets.length === 0 &&
    delta.assignments.length + delta.removedAssignments.length === 0 &&
    delta.bindings.length + delta.removedBindings.length === 0 &&
    delta.cidrs.length + delta.removedCidrs.length === 0 &&
    nats.length + removedNats.length === 0
  );
}

/** Every field of an assignment but its labels. */
const FIELDS = [
  'localId',
  'workloadId',
  'identity',
  'modeIn',
  'modeOut',
  'setIn',
  'setOut',
  'isolated',
  'space',
  'reject',
] as const satisfies readonly (keyof AssignmentState)[];
/** Fails to compile when an assignment gains a field that is not compared. */
type Uncompared = Exclude<keyof AssignmentState, (typeof FIELDS)[number] | 'labels'>;
const NOTHING_UNCOMPARED: Uncompared extends never ? true : false = true;

/** True when both mean the same to the agent. */
export function sameAssignment(a: AssignmentState | undefined, b: AssignmentState): boolean {
  if (a === undefined || !NOTHING_UNCOMPARED) return false;
  for (const field of FIELDS) if (a[field] !== b[field]) return false;
  if (a.labels === b.labels) return true;
  const names = Object.keys(b.labels);
  return (
    names.length === Object.keys(a.labels).length && names.every((name) => labelOf(a.labels, name) === b.labels[name])
  );
}

const SAME_CIDRS: { readonly set: readonly CidrState[]; readonly removed: readonly AddressPrefix[] } = {
  set: [],
  removed: [],
};

function cidrChanges(before: readonly CidrState[], now: readonly CidrState[]): typeof SAME_CIDRS {
  if (before === now) return SAME_CIDRS;
  const old = new Map(before.map((state) => [prefixKey(state.prefix), state]));
  const set = now.filter((state) => old.get(prefixKey(state.prefix))?.classId !== state.classId);
  const kept = new Set(now.map((state) => prefixKey(state.prefix)));
  const removed: AddressPrefix[] = before
    .filter(({ prefix }) => !kept.has(prefixKey(prefix)))
    .map(({ prefix }) => prefix);
  return { set, removed };
}

function sorted<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  if (items.length < 2) return items;
  return items
    .map((item) => ({ item, key: key(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item);
}
