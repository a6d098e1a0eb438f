// The flush, one entry at a time, with every half-done state asked what packets would meet.
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type PolicySet, policySet } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import { type DesiredState, TABLES, type TableName } from '../desired/desired.js';
import { applyUpdate, emptyInstructions, type Instructions } from '../desired/instructions.js';
import type { LocalWorkload } from '../desired/local.js';
import { endpointOf, ifindexKey } from '../desired/pack.js';
import { Renderer } from '../desired/renderer.js';
import { decide } from '../desired/testing/kernel-model.js';
import { address, Dice, randomPorts, type State, updateBetween } from '../desired/testing/random-state.js';
import { VersionedMap } from '../desired/versioned-map.js';
import { type Plan, planFlush, type Tables } from './plan.js';

const LOCALS: LocalWorkload[] = [1, 2, 3].map((ifindex) => ({
  localId: `container:${ifindex}`,
  kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
  interfaces: [{ name: `v${ifindex}`, ifindex }],
  cgroup: undefined,
  addresses: [],
  netns: undefined,
}));
const REMOTES = Array.from({ length: 10 }, (_, i) => address(`10.1.0.${i}`));
const EMPTY = Object.fromEntries(
  TABLES.map((table) => [table, VersionedMap.of<string, string>()]),
) as unknown as Tables;
const config = { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] } as const;

function setFor(dice: Dice, identities: readonly number[]): PolicySet {
  return policySet([
    { anyone: true, identities: [], classes: [], ports: randomPorts(dice) },
    ...identities.map((id) => ({ anyone: false, identities: [id], classes: [], ports: randomPorts(dice) })),
  ]);
}

/** Every endpoint has sets of its own; who[i] is the identity at REMOTES[i], 0 for none. */
function stateOf(dice: Dice, version: number, who: readonly number[]): State {
  const identities = [...new Set(who.filter((id) => id !== 0))].sort((a, b) => a - b);
  const sets = LOCALS.map(() => [setFor(dice, identities), setFor(dice, identities)] as const);
  return {
    policyVersion: version,
    sets: sets.flat(),
    assignments: LOCALS.map((local, i) => ({
      localId: local.localId,
      workloadId: local.localId,
      identity: 900 + i,
      modeIn: 2,
      modeOut: 2,
      setIn: sets[i]?.[0].hash ?? '',
      setOut: sets[i]?.[1].hash ?? '',
      isolated: false,
      space: '',
      reject: true,
      labels: {},
    })),
    bindings: who.flatMap((identity, i) =>
      identity === 0 ? [] : [{ space: '', address: REMOTES[i] as Uint8Array, identity, shared: [], unmanaged: false }],
    ),
    cidrs: [],
    nats: [],
  };
}

function complete(base: Instructions, from: State | undefined, to: State, revision: number): Instructions {
  const result = applyUpdate(base, undefined, updateBetween(from, to, revision));
  if (result.kind !== 'complete') throw new Error('not complete');
  return result.next;
}

/**
 * Runs a plan on plain maps; look is called after every single entry that packets can meet at once, and now and then while new
 * sets are built.
 */
function execute(tables: Record<TableName, Map<string, string>>, plan: Plan, look: () => void = () => undefined): void {
  for (const step of [...plan.puts, ...plan.deletes, ...plan.sweep]) {
    for (const [i, { key, after }] of step.changes.entries()) {
      if (after === undefined) tables[step.table].delete(key);
      else tables[step.table].set(key, after);
      if (step.table === 'rf_peers' || step.table === 'rf_endpoints' || i % 16 === 0) look();
    }
  }
}

function maps(state: Tables): Record<TableName, Map<string, string>> {
  return Object.fromEntries(TABLES.map((t) => [t, new Map(state[t].entries())])) as Record<
    TableName,
    Map<string, string>
  >;
}

const packets = LOCALS.flatMap((local) =>
  REMOTES.flatMap((remote) =>
    (['in', 'out'] as const).flatMap((direction) =>
      [40, 300].map((port) => ({
        endpoint: ifindexKey(local.interfaces[0]?.ifindex ?? 0),
        direction,
        remote,
        protocol: 6,
        port,
        remotePort: 5,
      })),
    ),
  ),
);

const allowed = (tables: Parameters<typeof decide>[0]) =>
  packets.map((packet) => {
    const decision = decide(tables, packet);
    return typeof decision === 'object' && decision.allow;
  });

describe('planFlush', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'relabelled peers with new sets, seed %i, never deny what old and new allow nor allow what both deny',
    (seed) => {
      const dice = new Dice(seed);
      const before = REMOTES.map((_, i) => (i < 7 ? 1 + dice.below(4) : 0));
      // A new label set is a new identity: one that the old sets never heard of.
      const kept = dice.below(4) + 1;
      const after = before.map((id, i) => (id === kept ? id : i === 6 ? 0 : 11 + dice.below(4)));
      const renderer = new Renderer(config);
      const old = stateOf(dice, 1, before);
      const first = complete(emptyInstructions(), undefined, old, 1);
      const start = renderer.render(first, LOCALS);
      const tables = maps(start.tables);
      const actual = Object.fromEntries(
        TABLES.map((t) => [t, VersionedMap.of(new Map(tables[t]))]),
      ) as unknown as Tables;
      const next = renderer.render(complete(first, old, stateOf(dice, 2, after), 2), LOCALS);
      const [wasAllowed, isAllowed] = [allowed(actual), allowed(next.tables)];
      let asked = 0;
      execute(tables, planFlush(actual, next.tables, 0), () => {
        const now = allowed(tables);
        for (const [i, got] of now.entries()) if (wasAllowed[i] === isAllowed[i] && got !== wasAllowed[i]) asked += 1;
      });
      expect(asked).toBe(0);
      expect(wasAllowed.some((was, i) => was && isAllowed[i])).toBe(true);
      for (const table of TABLES) {
        if (table !== 'rf_endpoints') expect(tables[table], table).toEqual(new Map(next.tables[table].entries()));
      }
    },
  );

  it('an unchanged state, plans nothing', () => {
    const renderer = new Renderer(config);
    const state = stateOf(new Dice(3), 1, [1, 2, 3]);
    const desired = renderer.render(complete(emptyInstructions(), undefined, state, 1), LOCALS);
    const tables = maps(EMPTY);
    const plan = planFlush(EMPTY, desired.tables, 0);
    execute(tables, plan);
    const actual = Object.fromEntries(TABLES.map((t) => [t, VersionedMap.of(tables[t])])) as unknown as Tables;
    const again = planFlush(actual, desired.tables, plan.generation);
    expect([again.puts, again.deletes, again.sweep, again.bump, again.flips]).toEqual([[], [], [], false, false]);
    expect(again.generation).toBe(plan.generation);
  });

  it('generations, grow at a flip and stay where only the policy version changes', () => {
    const dice = new Dice(9);
    const renderer = new Renderer(config);
    const state = stateOf(dice, 1, [1, 2, 3]);
    const first = complete(emptyInstructions(), undefined, state, 1);
    const tables = maps(EMPTY);
    const { tables: desired } = renderer.render(first, LOCALS);
    const plan = planFlush(EMPTY, desired, 40);
    execute(tables, plan);
    const generationsOf = () => [...tables.rf_endpoints.values()].map((v) => endpointOf(v).generation);
    expect(generationsOf()).toEqual([41, 42, 43]);
    const versioned = renderer.render({ ...first, policyVersion: 2 }, LOCALS);
    const current = () =>
      Object.fromEntries(TABLES.map((t) => [t, VersionedMap.of(new Map(tables[t]))])) as unknown as Tables;
    const later = planFlush(current(), versioned.tables, plan.generation);
    execute(tables, later);
    expect(generationsOf()).toEqual([41, 42, 43]);
    expect([...tables.rf_endpoints.values()].map((v) => endpointOf(v).policyVersion)).toEqual([2, 2, 2]);
    expect([later.flips, later.bump]).toEqual([false, false]);
    const enforced = { ...state, assignments: state.assignments.map((a, i) => (i === 1 ? { ...a, modeIn: 0 } : a)) };
    const flipped = planFlush(current(), renderer.render(complete(first, state, enforced, 3), LOCALS).tables, 43);
    execute(tables, flipped);
    expect(generationsOf()).toEqual([41, 44, 43]);
    expect([flipped.flips, flipped.bump]).toEqual([true, false]);
  });

  it('peak, counts old and new side by side', () => {
    const dice = new Dice(4);
    const renderer = new Renderer(config);
    const old = stateOf(dice, 1, [1, 1, 1, 1]);
    const first = complete(emptyInstructions(), undefined, old, 1);
    const start: DesiredState = renderer.render(first, LOCALS);
    const next = renderer.render(complete(first, old, stateOf(dice, 2, [0, 0, 0, 0, 9, 9]), 2), LOCALS);
    const plan = planFlush(start.tables, next.tables, 0);
    expect(plan.peak.rf_peers).toBe(6);
    const groups = plan.puts.find((step) => step.table === 'rf_groups')?.changes.length ?? 0;
    expect(plan.peak.rf_groups).toBe(start.tables.rf_groups.size + groups);
  });

  it('an exclusion inside a list, is there before its list comes and until the list is gone', () => {
    const base = stateOf(new Dice(2), 1, [1]);
    const lists = [
      { prefix: { address: address('10.0.0.0'), length: 104 }, classId: 1 },
      { prefix: { address: address('10.1.0.0'), length: 112 }, classId: 0 },
      { prefix: { address: address('10.1.0.0'), length: 128 }, classId: 2 },
    ];
    const renderer = new Renderer(config);
    const bare = complete(emptyInstructions(), undefined, base, 1);
    const without = renderer.render(bare, LOCALS);
    const withLists = renderer.render(complete(bare, base, { ...base, cidrs: lists }, 2), LOCALS);
    const lengths = (plan: Plan, part: 'puts' | 'deletes') =>
      plan[part].find((s) => s.table === 'rf_cidrs')?.changes.map((c) => c.key.charCodeAt(0));
    const coming = planFlush(without.tables, withLists.tables, 0);
    expect(lengths(coming, 'puts')).toEqual([128, 112, 104]);
    expect(coming.bump).toBe(true);
    expect(lengths(planFlush(withLists.tables, without.tables, 0), 'deletes')).toEqual([104, 112, 128]);
  });
});
