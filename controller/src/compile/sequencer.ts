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

/** What one host held and must hold. Bindings come as the changes themselves, in order. */
export interface HostChange {
  readonly hostId: string;
  readonly full: boolean;
  readonly policyVersion: number;
  readonly sets: readonly [before: ReadonlyMap<string, PolicySet>, now: ReadonlyMap<string, PolicySet>];
  readonly assignments: readonly [
    before: ReadonlyMap<string, AssignmentState>,
    now: ReadonlyMap<string, AssignmentState>,
  ];
  readonly cidrs: readonly [before: readonly CidrState[], now: readonly CidrState[]];
  readonly bindings: readonly BindingState[];
  readonly removedBindings: readonly BindingAddress[];
  readonly nats: readonly NatState[];
  readonly removedNats: readonly NatAddress[];
}

/** The delta of a change. */
export function sequence(change: HostChange): HostDelta {
  const [setsBefore, setsNow] = change.sets;
  const [assignedBefore, assignedNow] = change.assignments;
  const cidrs = cidrChanges(...change.cidrs);
  return {
    hostId: change.hostId,
    full: change.full,
    policyVersion: change.policyVersion,
    sets: sorted(
      [...setsNow.values()].filter(({ hash }) => !setsBefore.has(hash)),
      ({ hash }) => hash,
    ),
    removedSets: [...setsBefore.keys()].filter((hash) => !setsNow.has(hash)).sort(),
    assignments: sorted(
      [...assignedNow.values()].filter((now) => !sameAssignment(assignedBefore.get(now.localId), now)),
      ({ localId }) => localId,
    ),
    removedAssignments: [...assignedBefore.keys()].filter((localId) => !assignedNow.has(localId)).sort(),
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
  return (
    !delta.full &&
    [
      delta.sets,
      delta.removedSets,
      delta.assignments,
      delta.removedAssignments,
      delta.bindings,
      delta.removedBindings,
      delta.cidrs,
      delta.removedCidrs,
      delta.nats ?? [],
      delta.removedNats ?? [],
    ].every((list) => list.length === 0)
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

function cidrChanges(before: readonly CidrState[], now: readonly CidrState[]) {
  if (before === now) return { set: [], removed: [] };
  const old = new Map(before.map((state) => [prefixKey(state.prefix), state]));
  const set = now.filter((state) => old.get(prefixKey(state.prefix))?.classId !== state.classId);
  const kept = new Set(now.map((state) => prefixKey(state.prefix)));
  const removed: AddressPrefix[] = before
    .filter(({ prefix }) => !kept.has(prefixKey(prefix)))
    .map(({ prefix }) => prefix);
  return { set, removed };
}

function sorted<T>(items: readonly T[], key: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, key: key(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item);
}
