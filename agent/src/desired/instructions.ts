// What the controller told this host, as one immutable value. Each table is a VersionedMap, so the value before a revision stays
// whole while the revision is tried, and costs only what the revision changes.
import { SHARED_MAX } from '@ringfence/bpf';
import { addressHex, prefixKey } from '@ringfence/proto/address.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type AssignmentState, type BindingState, bindingKey, type CidrState } from '@ringfence/proto/instructions.js';
import type { PolicySet } from '@ringfence/proto/policy-set.js';
import { type FailsafeState, type InstructionUpdate, type NatState, natKey, type UnpairedTreatment } from './update.js';
import { VersionedMap } from './versioned-map.js';

/** Everything told, up to and including `revision`. */
export interface Instructions {
  /** 0: nothing was ever told. */
  readonly revision: number;
  readonly policyVersion: number;
  /** What this host does to containers that are not paired; undefined: as it is configured. */
  readonly unpaired: UnpairedTreatment | undefined;
  /** By hash. */
  readonly sets: VersionedMap<string, PolicySet>;
  /** By local id. */
  readonly assignments: VersionedMap<string, AssignmentState>;
  /** By bindingKey. */
  readonly bindings: VersionedMap<string, BindingState>;
  /** By prefixKey. */
  readonly cidrs: VersionedMap<string, CidrState>;
  /** By natKey. */
  readonly nats: VersionedMap<string, NatState>;
  readonly failsafes: readonly FailsafeState[];
}

/** A revision of which chunks are still to come. Dropping it costs nothing: the state in force is untouched. */
export interface StagedRevision {
  readonly revision: number;
  readonly next: Instructions;
}

/**
 * staged: keep it and pass it with the next chunk. complete: the whole revision; try it in the kernel, then ack or nack.
 * refused: nothing changed; nack with code and message. Codes: RF_UPDATE_ORDER (revision or chunk out of order: ask for a
 * resync), RF_UPDATE_INVALID (content that contradicts itself).
 */
export type UpdateResult =
  | { readonly kind: 'staged'; readonly staged: StagedRevision }
  | { readonly kind: 'complete'; readonly next: Instructions }
  | { readonly kind: 'refused'; readonly code: 'RF_UPDATE_ORDER' | 'RF_UPDATE_INVALID'; readonly message: string };

export function emptyInstructions(): Instructions {
  return {
    revision: 0,
    policyVersion: 0,
    unpaired: undefined,
    sets: VersionedMap.of(),
    assignments: VersionedMap.of(),
    bindings: VersionedMap.of(),
    cidrs: VersionedMap.of(),
    nats: VersionedMap.of(),
    failsafes: [],
  };
}

/**
 * Adds one chunk to what is in force (or to what earlier chunks of the same revision staged). Both arguments stay as they are.
 * A full state may come at any time and at any revision; it drops what is staged.
 */
export function applyUpdate(
  inForce: Instructions,
  staged: StagedRevision | undefined,
  update: InstructionUpdate,
): UpdateResult {
  const disorder = update.full ? undefined : orderProblem(inForce, staged, update);
  if (disorder !== undefined) return { kind: 'refused', code: 'RF_UPDATE_ORDER', message: disorder };
  const invalid = contentProblem(update);
  if (invalid !== undefined) return { kind: 'refused', code: 'RF_UPDATE_INVALID', message: invalid };
  const base = update.full ? emptyInstructions() : (staged?.next ?? inForce);
  const next: Instructions = {
    revision: update.revision,
    policyVersion: update.policyVersion,
    // A state file of an earlier agent says nothing of it.
    unpaired: update.unpaired ?? undefined,
    sets: edited(
      base.sets,
      update.sets,
      (set) => set.hash,
      update.removedSets,
      (hash) => hash,
      () => true,
    ),
    assignments: edited(
      base.assignments,
      update.assignments,
      (a) => a.localId,
      update.removedAssignments,
      (id) => id,
      sameAssignment,
    ),
    bindings: edited(base.bindings, update.bindings, bindingKey, update.removedBindings, bindingKey, sameBinding),
    cidrs: edited(
      base.cidrs,
      update.cidrs,
      (cidr) => prefixKey(cidr.prefix),
      update.removedCidrs,
      prefixKey,
      (a, b) => a.classId === b.classId,
    ),
    nats: edited(
      base.nats,
      update.nats,
      natKey,
      update.removedNats,
      natKey,
      (a, b) => a.identity === b.identity && a.targetPort === b.targetPort,
    ),
    failsafes: update.failsafes ?? base.failsafes,
  };
  if (update.more) return { kind: 'staged', staged: { revision: update.revision, next } };
  const dangling = referenceProblem(next);
  if (dangling !== undefined) return { kind: 'refused', code: 'RF_UPDATE_INVALID', message: dangling };
  return { kind: 'complete', next };
}

/** The whole state as one full update: what the agent keeps on disk. applyUpdate(emptyInstructions(), undefined, it) gives it back. */
export function snapshotOf(state: Instructions): InstructionUpdate {
  return {
    revision: state.revision,
    full: true,
    more: false,
    policyVersion: state.policyVersion,
    unpaired: state.unpaired,
    sets: [...state.sets.values()],
    removedSets: [],
    assignments: [...state.assignments.values()],
    removedAssignments: [],
    bindings: [...state.bindings.values()],
    removedBindings: [],
    cidrs: [...state.cidrs.values()],
    removedCidrs: [],
    nats: [...state.nats.values()],
    removedNats: [],
    failsafes: state.failsafes,
  };
}

/** The same with nothing blocked: every workload seen and left alone. What a host holds that left its fleet open. */
export function openedInstructions(state: Instructions): Instructions {
  const opened = [...state.assignments.values()].map(
    (assignment) =>
      [
        assignment.localId,
        { ...assignment, modeIn: Mode.MODE_VISIBILITY, modeOut: Mode.MODE_VISIBILITY, isolated: false },
      ] as const,
  );
  return { ...state, unpaired: 'visibility', assignments: state.assignments.with(opened) };
}

/**
 * An earlier state as a host goes back to it by itself, from a later one: what was done to single workloads since does not come undone.
 * - One that came since has no sets there: it keeps its modes and nothing is allowed, so that it is cut off where it was enforced,
 *   reported where it was in test, and seen where it was in visibility.
 * - One that went, or lost its labels' proof, since is without an assignment.
 * - One that was isolated since stays so; so do the unpaired.
 * Gives `before` itself when there is nothing of that.
 */
export function returnedInstructions(before: Instructions, from: Instructions): Instructions {
  const kept: [string, AssignmentState | undefined][] = [];
  for (const { key, before: old, after } of from.assignments.changesSince(before.assignments)) {
    if (after === undefined) kept.push([key, undefined]);
    else if (old === undefined) kept.push([key, { ...after, setIn: '', setOut: '' }]);
    else if (after.isolated && !old.isolated) kept.push([key, { ...old, isolated: true }]);
  }
  const isolate = from.unpaired === 'isolate' && before.unpaired !== 'isolate';
  if (kept.length === 0 && !isolate) return before;
  const assignments = before.assignments.with(kept);
  return { ...before, unpaired: isolate ? 'isolate' : before.unpaired, assignments };
}

function orderProblem(
  inForce: Instructions,
  staged: StagedRevision | undefined,
  update: InstructionUpdate,
): string | undefined {
  if (staged !== undefined) {
    if (update.revision === staged.revision) return undefined;
    return `Cannot apply update: found revision ${update.revision}, wanted the next chunk of ${staged.revision}`;
  }
  if (update.revision > inForce.revision) return undefined;
  return `Cannot apply update: found revision ${update.revision}, wanted one after ${inForce.revision}`;
}

/** What is wrong with the content of one chunk, taken alone. */
function contentProblem(update: InstructionUpdate): string | undefined {
  for (const set of update.sets) {
    const defaults = set.groups.filter((group) => group.anyone).length;
    if (defaults !== 1)
      return `Cannot accept policy set ${set.hash}: found ${defaults} default groups, wanted exactly 1`;
    for (const group of set.groups) {
      for (const entry of group.ports) {
        if (entry.protocol > 256 || entry.portLow > entry.portHigh || entry.portHigh > 0xffff) {
          const found = `protocol ${entry.protocol} ports ${entry.portLow} to ${entry.portHigh}`;
          return `Cannot accept policy set ${set.hash}: found ${found}, wanted protocol 0 to 256 and ascending ports`;
        }
        if (entry.rule === 0) return `Cannot accept policy set ${set.hash}: found rule number 0, wanted a rule`;
      }
    }
  }
  for (const assignment of update.assignments) {
    if (assignment.identity === 0)
      return `Cannot accept assignment of ${assignment.localId}: found identity 0, wanted one`;
  }
  for (const binding of update.bindings) {
    const at = `binding ${bindingKey(binding)}`;
    if (binding.identity === 0) return `Cannot accept ${at}: found identity 0, wanted one`;
    if (binding.shared.length > SHARED_MAX) {
      return `Cannot accept ${at}: found ${binding.shared.length} identities, wanted at most ${SHARED_MAX}`;
    }
    if (binding.shared.includes(0)) return `Cannot accept ${at}: found identity 0 among the shared ones`;
  }
  for (const nat of update.nats) {
    const place = `NAT binding ${addressHex(nat.address)} port ${nat.port}`;
    if (nat.protocol > 255) return `Cannot accept ${place}: found protocol ${nat.protocol}, wanted 0 to 255`;
    if (nat.port > 0xffff || nat.targetPort > 0xffff) return `Cannot accept ${place}: found a port beyond 65535`;
  }
  for (const entry of update.failsafes ?? []) {
    if (entry.protocol > 255 || entry.port > 0xffff) {
      return `Cannot accept failsafe entry: found protocol ${entry.protocol} port ${entry.port}`;
    }
  }
  return undefined;
}

/** Assignments are few, so all of them are looked at; sets have no other users. */
function referenceProblem(state: Instructions): string | undefined {
  for (const assignment of state.assignments.values()) {
    for (const hash of [assignment.setIn, assignment.setOut]) {
      if (hash !== '' && !state.sets.has(hash)) {
        return `Cannot accept assignment of ${assignment.localId}: found no policy set ${hash}, wanted it sent before or with it`;
      }
    }
  }
  return undefined;
}

/** A table with adds, then removes. An add that changes nothing is dropped, so that repeated updates cost nothing later. */
function edited<V, R>(
  table: VersionedMap<string, V>,
  adds: readonly V[],
  keyOf: (value: V) => string,
  removes: readonly R[],
  removeKey: (removed: R) => string,
  same: (a: V, b: V) => boolean,
): VersionedMap<string, V> {
  const edits: (readonly [string, V | undefined])[] = [];
  for (const value of adds) {
    const key = keyOf(value);
    const before = table.get(key);
    edits.push([key, before !== undefined && same(before, value) ? before : value]);
  }
  for (const removed of removes) edits.push([removeKey(removed), undefined]);
  return table.with(edits);
}

function sameBinding(a: BindingState, b: BindingState): boolean {
  return (
    a.identity === b.identity && a.unmanaged === b.unmanaged && a.former === b.former && sameList(a.shared, b.shared)
  );
}

function sameAssignment(a: AssignmentState, b: AssignmentState): boolean {
  const labels = Object.entries(a.labels);
  return (
    a.workloadId === b.workloadId &&
    a.identity === b.identity &&
    a.modeIn === b.modeIn &&
    a.modeOut === b.modeOut &&
    a.setIn === b.setIn &&
    a.setOut === b.setOut &&
    a.isolated === b.isolated &&
    a.space === b.space &&
    a.reject === b.reject &&
    labels.length === Object.keys(b.labels).length &&
    labels.every(([dimension, value]) => b.labels[dimension] === value)
  );
}

function sameList(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
