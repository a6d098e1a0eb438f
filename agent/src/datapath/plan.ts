// From what the kernel holds to what it shall hold: the writes, in the one order in which a half-done flush neither opens traffic
// nor cuts what both old and new policy allow. Pure.
//
//  1 put    rf_failsafe                          first in, last out: the way to the controller never closes
//  2 put    rf_shared rf_ports rf_groups         new numbers only: nothing refers to them yet
//  3 put    rf_cidrs rf_nat rf_peers             addresses to identities that every set below already answers for (bridge)
//  4 put    rf_endpoints                         the flip, atomic per workload
//  5        attach new, detach gone              an endpoint's entry is there before its hook and goes after it;
//           then put rf_endpoints that pass a container's cgroup: only once its interface decides
//  6 delete rf_endpoints
//  7 delete rf_peers rf_nat rf_cidrs rf_failsafe
//  8        rf_state.generation + 1              once, when 1, 3 or 7 changed anything: open connections are decided again
//  9 delete rf_groups rf_ports rf_shared         numbers that nothing refers to any more
//
// The bad interleaving that the bridge prevents: a peer becomes identity 9 in step 3, its old set does not know 9 (it was compiled
// when the peer was 7), so a connection that both policies allow would meet the old set's default group until step 4. Therefore
// step 2 also gives every set that is about to be left an entry for each such identity (and CIDR class), with the group that its
// successor has for it; step 9 removes them. Open connections are not touched by step 3 at all: they hold their verdict until
// their endpoint's generation (step 4) or the global one (step 8) moves on.
// CIDRs go in longest prefix first and out shortest first, so that an exclusion is never missing while its list is there.
import { CIDR_KEY, ENDPOINT, EndpointFlag, GroupKind, PeerFlag } from '@ringfence/bpf';
import { TABLES, type Table, type TableName } from '../desired/desired.js';
import { groupKey, memberOf, packU32, peerOf, readU32, sharedKey } from '../desired/pack.js';
import type { Change } from '../desired/versioned-map.js';

export type Tables = Readonly<Record<TableName, Table>>;

/** Writes of one table, in order. after: the packed value, or undefined to delete. */
export interface TableStep {
  readonly table: TableName;
  readonly changes: readonly Change<string, string>[];
}

export interface Plan {
  /** Steps 1 to 4. */
  readonly puts: readonly TableStep[];
  /** End of step 5. */
  readonly passes: readonly TableStep[];
  /** Steps 6 and 7. */
  readonly deletes: readonly TableStep[];
  /** Step 8 is needed. */
  readonly bump: boolean;
  /** Step 9. */
  readonly sweep: readonly TableStep[];
  /** Some endpoint's decisions change (step 4 raises its generation). */
  readonly flips: boolean;
  /** Highest endpoint generation in use after the plan. */
  readonly generation: number;
  /** Most entries each table holds at any time during the plan. */
  readonly peak: Readonly<Record<TableName, number>>;
}

/** generation: the highest one any endpoint ever had; flips count on from it. */
export function planFlush(actual: Tables, desired: Tables, generation: number): Plan {
  const changes = {} as Record<TableName, Change<string, string>[]>;
  for (const table of TABLES) {
    if (table !== 'rf_endpoints') changes[table] = desired[table].changesSince(actual[table]);
  }
  const flip = flipChanges(actual.rf_endpoints, desired.rf_endpoints, generation);
  changes.rf_endpoints = flip.changes;
  const bridge = bridgeChanges(actual, desired, changes);
  const puts = (table: TableName) => changes[table].filter((change) => change.after !== undefined);
  const deletes = (table: TableName) => changes[table].filter((change) => change.after === undefined);
  const peak = {} as Record<TableName, number>;
  for (const table of TABLES) {
    const added = changes[table].filter(({ before, after }) => before === undefined && after !== undefined).length;
    peak[table] = actual[table].size + added + (table === 'rf_groups' ? bridge.length : 0);
  }
  const decisive = (['rf_failsafe', 'rf_cidrs', 'rf_nat', 'rf_peers'] as const).some((t) => changes[t].length > 0);
  return {
    puts: steps([
      ['rf_failsafe', puts('rf_failsafe')],
      ['rf_shared', puts('rf_shared')],
      ['rf_ports', puts('rf_ports')],
      ['rf_groups', [...puts('rf_groups'), ...bridge]],
      ['rf_cidrs', puts('rf_cidrs').sort((a, b) => prefixLength(b) - prefixLength(a))],
      ['rf_nat', puts('rf_nat')],
      ['rf_peers', puts('rf_peers')],
      ['rf_endpoints', puts('rf_endpoints').filter((change) => !beginsToPass(change))],
    ]),
    passes: steps([['rf_endpoints', puts('rf_endpoints').filter(beginsToPass)]]),
    deletes: steps([
      ['rf_endpoints', deletes('rf_endpoints')],
      ['rf_peers', deletes('rf_peers')],
      ['rf_nat', deletes('rf_nat')],
      ['rf_cidrs', deletes('rf_cidrs').sort((a, b) => prefixLength(a) - prefixLength(b))],
      ['rf_failsafe', deletes('rf_failsafe')],
    ]),
    bump: decisive,
    sweep: steps([
      [
        'rf_groups',
        [...deletes('rf_groups'), ...bridge.map(({ key, after }) => ({ key, before: after, after: undefined }))],
      ],
      ['rf_ports', deletes('rf_ports')],
      ['rf_shared', deletes('rf_shared')],
    ]),
    flips: flip.flips,
    generation: flip.generation,
    peak,
  };
}

function steps(list: readonly (readonly [TableName, readonly Change<string, string>[]])[]): TableStep[] {
  return list.filter(([, changes]) => changes.length > 0).map(([table, changes]) => ({ table, changes }));
}

/** A cgroup that was decided here, or not known, is passed from now on. */
function beginsToPass({ before, after }: Change<string, string>): boolean {
  const skips = (value: string | undefined) =>
    value !== undefined && (memberOf(ENDPOINT, 'flags', value) & EndpointFlag.SKIP) !== 0;
  return skips(after) && !skips(before);
}

function prefixLength(change: Change<string, string>): number {
  return memberOf(CIDR_KEY, 'prefixlen', change.key);
}

const GENERATION_AT = ENDPOINT.fields.generation.offset;
const VERSION_AT = ENDPOINT.fields.policyVersion.offset;

/** The value with another generation. */
function withGeneration(value: string, generation: number): string {
  return value.slice(0, GENERATION_AT) + packU32(generation) + value.slice(GENERATION_AT + 4);
}

/** What of a value makes decisions: all but generation and policy version. */
function decisive(value: string): string {
  return value.slice(0, GENERATION_AT) + value.slice(VERSION_AT + 4);
}

/** Endpoint changes with their generations: a new one exactly where a decision may come out differently. */
function flipChanges(
  actual: Table,
  desired: Table,
  generation: number,
): { changes: Change<string, string>[]; flips: boolean; generation: number } {
  const changes: Change<string, string>[] = [];
  let last = generation;
  let flips = false;
  for (const [key, value] of desired.entries()) {
    const before = actual.get(key);
    const same = before !== undefined && decisive(before) === decisive(value);
    if (!same) last += 1;
    if (!same && before !== undefined) flips = true;
    const after = withGeneration(value, same ? readU32(before, GENERATION_AT) : last);
    if (after !== before) changes.push({ key, before, after });
  }
  const kept = new Set(desired.keys());
  for (const [key, before] of actual.entries()) if (!kept.has(key)) changes.push({ key, before, after: undefined });
  return { changes, flips, generation: last };
}

/** Temporary entries of rf_groups for sets about to be left; see the head of this file. */
function bridgeChanges(
  actual: Tables,
  desired: Tables,
  changes: Readonly<Record<TableName, readonly Change<string, string>[]>>,
): Change<string, string>[] {
  const successors = leftSets(desired.rf_endpoints, changes.rf_endpoints);
  if (successors.size === 0) return [];
  const bridge: Change<string, string>[] = [];
  const bridgeTo = (peer: number, kind: number): void => {
    for (const [left, nexts] of successors) {
      const key = groupKey(left, peer, kind);
      if (actual.rf_groups.has(key)) continue;
      const groups = new Set(
        nexts.map(
          (next) =>
            desired.rf_groups.get(groupKey(next, peer, kind)) ??
            (kind === GroupKind.IDENTITY ? desired.rf_groups.get(groupKey(next, 0, kind)) : undefined),
        ),
      );
      const [after] = groups;
      // Successors that disagree: the left set's default holds for the moment of the flush.
      if (groups.size === 1 && after !== undefined) bridge.push({ key, before: undefined, after });
    }
  };
  for (const identity of newIdentities(desired, changes)) bridgeTo(identity, GroupKind.IDENTITY);
  for (const classId of newClasses(changes)) bridgeTo(classId, GroupKind.CLASS);
  return bridge;
}

/** Sets that an endpoint leaves and none keeps, each with the sets that follow it. */
function leftSets(desired: Table, changes: readonly Change<string, string>[]): Map<number, number[]> {
  const left = new Map<number, number[]>();
  for (const { before, after } of changes) {
    if (before === undefined || after === undefined) continue;
    for (const member of ['setIn', 'setOut'] as const) {
      const [from, to] = [memberOf(ENDPOINT, member, before), memberOf(ENDPOINT, member, after)];
      if (from !== 0 && from !== to) left.set(from, [...(left.get(from) ?? []), to]);
    }
  }
  if (left.size === 0) return left;
  for (const value of desired.values()) {
    left.delete(memberOf(ENDPOINT, 'setIn', value));
    left.delete(memberOf(ENDPOINT, 'setOut', value));
  }
  return left;
}

/** Identities that some address gets in this flush. */
function newIdentities(
  desired: Tables,
  changes: Readonly<Record<TableName, readonly Change<string, string>[]>>,
): Set<number> {
  const identities = new Set<number>();
  for (const { after } of changes.rf_peers) {
    if (after === undefined) continue;
    const { identity, flags } = peerOf(after);
    if ((flags & PeerFlag.SHARED) === 0) identities.add(identity);
    else {
      for (let index = 0; ; index += 1) {
        const member = desired.rf_shared.get(sharedKey(identity, index));
        if (member === undefined) break;
        identities.add(readU32(member, 0));
      }
    }
  }
  for (const { after } of changes.rf_nat) if (after !== undefined) identities.add(readU32(after, 0));
  identities.delete(0);
  return identities;
}

function newClasses(changes: Readonly<Record<TableName, readonly Change<string, string>[]>>): Set<number> {
  const classes = new Set<number>();
  for (const { after } of changes.rf_cidrs) if (after !== undefined) classes.add(readU32(after, 0));
  classes.delete(0);
  return classes;
}
