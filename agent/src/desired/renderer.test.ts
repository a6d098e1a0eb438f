// State chains: however a state was reached, its rendering is the one from scratch, and means what the compiled policy means.

import { maskAddress } from '@ringfence/proto/address.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { decideCompiledShared } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import type { RenderConfig } from './desired.js';
import { applyUpdate, emptyInstructions, type Instructions, type StagedRevision, snapshotOf } from './instructions.js';
import type { LocalWorkload } from './local.js';
import { cgroupKey, ifindexKey } from './pack.js';
import { recoverNumbers } from './recovered.js';
import { computeDesired, Renderer } from './renderer.js';
import { canonical } from './testing/canonical.js';
import { decide } from './testing/kernel-model.js';
import {
  ADDRESSES,
  Dice,
  LOCAL_IDS,
  PROTOCOLS,
  randomSet,
  randomState,
  type State,
  split,
  updateBetween,
} from './testing/random-state.js';
import type { InstructionUpdate } from './update.js';

const config: RenderConfig = { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] };
const local = (localId: string, kind: WorkloadKind, id: number): LocalWorkload => ({
  localId,
  kind,
  interfaces: kind === WorkloadKind.WORKLOAD_KIND_CONTAINER ? [{ name: `v${id}`, ifindex: id }] : [],
  cgroup: { path: `/cg/${id}`, id: BigInt(1000 + id) },
  addresses: kind === WorkloadKind.WORKLOAD_KIND_HOST ? ADDRESSES.slice(0, 3) : [],
  netns: undefined,
});
const LOCALS = [
  local('host', WorkloadKind.WORKLOAD_KIND_HOST, 1),
  local('cgroup:a', WorkloadKind.WORKLOAD_KIND_CGROUP, 2),
  local('container:1', WorkloadKind.WORKLOAD_KIND_CONTAINER, 3),
  local('container:2', WorkloadKind.WORKLOAD_KIND_CONTAINER, 4),
];
const KEYS: Record<string, string> = {
  host: cgroupKey(1001n),
  'cgroup:a': cgroupKey(1002n),
  'container:1': ifindexKey(3),
  'container:2': ifindexKey(4),
};

function chain(seed: number): State[] {
  const dice = new Dice(seed);
  const pool = Array.from({ length: 6 }, () => randomSet(dice));
  return Array.from({ length: 8 }, (_, i) => randomState(dice, i + 1, pool));
}

/** Delivers updates in order; gives the instructions after each complete revision. */
function deliver(updates: readonly InstructionUpdate[]): Instructions[] {
  let inForce = emptyInstructions();
  let staged: StagedRevision | undefined;
  const out: Instructions[] = [];
  for (const update of updates) {
    const result = applyUpdate(inForce, staged, update);
    if (result.kind === 'refused') throw new Error(result.message);
    staged = result.kind === 'staged' ? result.staged : undefined;
    if (result.kind !== 'complete') continue;
    inForce = result.next;
    out.push(inForce);
  }
  return out;
}

const deltas = (states: readonly State[]) =>
  states.map((state, i) => updateBetween(i === 0 ? undefined : states[i - 1], state, i + 1));

const twice = (updates: readonly InstructionUpdate[], states: readonly State[]) =>
  updates.flatMap((update, i) => {
    const state = states[i] as State;
    const again = { ...updateBetween(undefined, state, i + 1), full: false, failsafes: undefined };
    // All of the state once more, as an overlapping resend would.
    return i === 0 ? [{ ...update, more: true }, again] : [{ ...update, more: true }, { ...again, more: true }, again];
  });

const EXPANDERS: Record<string, (states: readonly State[]) => InstructionUpdate[]> = {
  forward: deltas,
  'there and back': (states) => deltas([...states, ...[...states].reverse()]),
  split: (states) => deltas(states).flatMap(split),
  squashed: (states) => deltas(states.filter((_, i) => i % 3 === 0)),
  duplicated: (states) => twice(deltas(states), states),
  'full each time': (states) => states.map((state, i) => updateBetween(undefined, state, i + 1)),
};

describe('Renderer', () => {
  for (const [name, expand] of Object.entries(EXPANDERS)) {
    it.each([1, 2, 3, 4])(`chain ${name}, seed %i, gives at each step the content from scratch`, (seed) => {
      const renderer = new Renderer(config);
      for (const instructions of deliver(expand(chain(seed)))) {
        const got = canonical(renderer.render(instructions, LOCALS).tables);
        expect(got).toEqual(canonical(computeDesired(instructions, LOCALS, config).tables));
        expect(got.ports).toEqual([]);
      }
    });
  }

  it('workloads that come and go, give at each step the content from scratch', () => {
    const dice = new Dice(5);
    const renderer = new Renderer(config);
    for (const instructions of deliver(deltas(chain(5)))) {
      for (let i = 0; i < 4; i += 1) {
        const locals = dice.some(LOCALS);
        const got = canonical(renderer.render(instructions, locals).tables);
        expect(got).toEqual(canonical(computeDesired(instructions, locals, config).tables));
      }
    }
  });

  it.each([11, 12, 13])('random packets, seed %i, meet the decision of the compiled policy', (seed) => {
    const dice = new Dice(seed);
    for (const state of chain(seed)) {
      const [instructions] = deliver([updateBetween(undefined, state, 1)]);
      const { tables } = computeDesired(instructions as Instructions, LOCALS, config);
      for (let i = 0; i < 150; i += 1) {
        const localId = dice.pick(LOCAL_IDS);
        const direction = dice.pick(['in', 'out'] as const);
        const remote = dice.pick(ADDRESSES);
        const protocol = dice.pick(PROTOCOLS);
        const port = dice.pick([0, 80, 81, 443, dice.below(700), dice.below(0x10000)]);
        const got = decide(tables, { endpoint: KEYS[localId] ?? '', direction, remote, protocol, port, remotePort: 5 });
        expect(verdictOf(got)).toEqual(verdictOf(reference(state, localId, direction, remote, protocol, port)));
      }
    }
  });

  it('restarted with the numbers read back from the kernel, renders the same bytes', () => {
    for (const instructions of deliver(deltas(chain(21)))) {
      const before = computeDesired(instructions, LOCALS, config);
      const content = Object.fromEntries(
        Object.entries(before.tables).map(([name, table]) => [name, new Map(table.entries())]),
      ) as unknown as Parameters<typeof recoverNumbers>[0];
      const recovered = recoverNumbers(content, before.highWater);
      const [again] = deliver([snapshotOf(instructions)]);
      const after = computeDesired(again as Instructions, [...LOCALS].reverse(), config, recovered);
      for (const [name, table] of Object.entries(after.tables)) {
        expect(new Map(table.entries()), name).toEqual(content[name as keyof typeof content]);
      }
      expect(after.highWater).toEqual(before.highWater);
    }
  });

  it('a number once swept, is not given out again, also not after a restart', () => {
    const [first, second] = deliver(deltas(chain(31).slice(0, 2)));
    const renderer = new Renderer(config);
    renderer.render(first as Instructions, LOCALS);
    const { tables, highWater } = renderer.render(second as Instructions, []);
    const content = Object.fromEntries(
      Object.entries(tables).map(([name, table]) => [name, new Map(table.entries())]),
    ) as unknown as Parameters<typeof recoverNumbers>[0];
    const after = computeDesired(second as Instructions, LOCALS, config, recoverNumbers(content, highWater));
    for (const endpoint of after.endpoints) expect(endpoint.number).toBeGreaterThanOrEqual(highWater.endpoint);
  });

  it('one binding added to many, touches one entry', () => {
    const state = chain(1)[0] as State;
    const many = Array.from({ length: 5000 }, (_, i) => ({
      space: '',
      address: Uint8Array.from([0xfd, 1, ...new Uint8Array(12), i >> 8, i & 255]),
      identity: 7,
      shared: [],
      unmanaged: false,
    }));
    const [start] = deliver([updateBetween(undefined, { ...state, bindings: many.slice(1) }, 1)]);
    const renderer = new Renderer(config);
    const before = renderer.render(start as Instructions, LOCALS).tables.rf_peers;
    const delta = updateBetween({ ...state, bindings: [] }, { ...state, bindings: many.slice(0, 1) }, 2);
    const result = applyUpdate(start as Instructions, undefined, delta);
    if (result.kind !== 'complete') throw new Error('not complete');
    const after = renderer.render(result.next, LOCALS).tables.rf_peers;
    expect(after.changesSince(before)).toHaveLength(1);
  });

  it('unassigned workloads, are visible or isolated as configured, the host never isolated', () => {
    const flags = (unassigned: RenderConfig['unassigned']) =>
      Object.fromEntries(
        computeDesired(emptyInstructions(), LOCALS, { ...config, unassigned }).endpoints.map((e) => [
          e.localId,
          e.isolated,
        ]),
      );
    expect(Object.values(flags('visibility'))).toEqual([false, false, false, false]);
    expect(flags('isolate')).toEqual({ 'container:1': true, 'container:2': true, 'cgroup:a': true, host: false });
  });
});

function verdictOf(decision: ReturnType<typeof decide>): unknown {
  return typeof decision === 'object' ? { rule: decision.rule, allow: decision.allow } : decision;
}

/** The same question to the controller's reference lookup. */
function reference(
  state: State,
  localId: string,
  direction: 'in' | 'out',
  remote: Uint8Array,
  protocol: number,
  port: number,
): ReturnType<typeof decide> {
  const assignment = state.assignments.find((a) => a.localId === localId);
  if (assignment === undefined) return undefined;
  const hash = direction === 'in' ? assignment.setIn : assignment.setOut;
  const same = (a: Uint8Array) => Buffer.compare(a, remote) === 0;
  const asked = direction === 'in' ? 5 : port;
  const nat = state.nats.find((n) => same(n.address) && n.protocol === protocol && n.port === asked);
  const binding = state.bindings.find((b) => same(b.address) && b.former !== true);
  const candidates = nat
    ? [nat.identity]
    : binding
      ? binding.shared.length > 1
        ? binding.shared
        : [binding.identity]
      : [];
  const lists = state.cidrs.filter((c) => Buffer.compare(maskAddress(remote, c.prefix.length), c.prefix.address) === 0);
  const classId = lists.sort((a, b) => b.prefix.length - a.prefix.length)[0]?.classId ?? 0;
  const service = nat !== undefined && direction === 'out' ? nat.targetPort : port;
  return decideCompiledShared(
    state.sets.find((s) => s.hash === hash),
    candidates,
    classId,
    protocol,
    service,
  );
}
