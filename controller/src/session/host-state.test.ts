import { Update } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { AssignmentState, BindingState, HostDelta } from '@ringfence/proto/instructions.js';
import { policySet } from '@ringfence/proto/policy-set.js';
import { expect, test } from 'vitest';
import { countCapacity } from '../compile/capacity.js';
import { random } from '../policy/testing/random.js';
import { HostState } from './host-state.js';
import { setBytes, updatesOf } from './wire.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const EMPTY: HostDelta = {
  hostId: 'h',
  full: false,
  policyVersion: 1,
  sets: [],
  removedSets: [],
  assignments: [],
  removedAssignments: [],
  bindings: [],
  removedBindings: [],
  cidrs: [],
  removedCidrs: [],
};

function binding(n: number, identity = 1, shared: number[] = []): BindingState {
  const address = new Uint8Array(16);
  new DataView(address.buffer).setUint32(12, n);
  return { space: '', address, identity, shared, unmanaged: false };
}

function set(n: number, ports = 1) {
  const entries = Array.from({ length: ports }, (_, i) => ({
    protocol: 6,
    portLow: i,
    portHigh: i,
    rule: n,
    allow: true,
    constraints: 0,
  }));
  return policySet([{ anyone: true, identities: [], classes: [], ports: entries }]);
}

test('changedSince names keys changed after a revision, gone ones included; known sets are no change', () => {
  const state = new HostState('h', 10);
  expect(state.apply({ ...EMPTY, bindings: [binding(1), binding(2)], sets: [set(1)] }, 11)).toHaveLength(4);
  expect(state.apply({ ...EMPTY, sets: [set(1)] }, 12)).toEqual([]);
  expect(state.apply({ ...EMPTY, removedBindings: [binding(1), binding(9)] }, 13)).toHaveLength(1);
  expect(state.changedSince(11)).toHaveLength(1);
  // The policy version is a key too.
  expect(state.changedSince(10)).toHaveLength(4);
  expect(state.changedSince(13)).toEqual([]);
  expect(state.changedSince(9)).toBeUndefined();
  expect(state.changedSince(14)).toBeUndefined();
  expect(state.size).toBe(2);
  expect(() => state.touch(12)).toThrow(RangeError);
});

test(`need is what counting the whole state gives, after every delta (seed ${SEED})`, () => {
  const r = random(SEED);
  const state = new HostState('h', 0);
  const pick = <T>(make: (n: number) => T): T[] => Array.from({ length: r.below(4) }, () => make(r.below(30)));
  const address = (n: number) => binding(n).address;
  const nat = (n: number) => ({ space: '', protocol: 6, address: address(n), port: 80 });
  const prefix = (n: number) => ({ address: address(n), length: 128 });
  for (let revision = 1; revision < 300; revision += 1) {
    state.apply(
      {
        ...EMPTY,
        full: r.chance(0.05),
        sets: pick((n) => set(n, n)),
        removedSets: pick((n) => set(n, n).hash),
        assignments: pick((n) => ({ localId: `w${n}` }) as AssignmentState),
        removedAssignments: pick((n) => `w${n}`),
        bindings: pick((n) => binding(n, 1, r.chance(0.5) ? [1, 2, n] : [])),
        removedBindings: pick((n) => binding(n)),
        cidrs: pick((n) => ({ prefix: prefix(n), classId: n })),
        removedCidrs: pick(prefix),
        nats: pick((n) => ({ ...nat(n), identity: 1, workloadPort: n })),
        removedNats: pick(nat),
      },
      revision,
    );
    const values = { sets: [], assignments: [], bindings: [], cidrs: [], nats: [] } as Record<string, unknown[]>;
    for (const cell of state.cells()) values[`${cell.table}s`]?.push(cell.value);
    expect(state.need).toEqual(countCapacity({ ...EMPTY, ...values }));
  }
});

test('a full delta removes what is not in it, destination mappings too', () => {
  const state = new HostState('h', 1);
  state.apply({ ...EMPTY, bindings: [binding(1), binding(2)] }, 2);
  const nat = { space: '', protocol: 6, address: binding(7).address, port: 80, identity: 1, workloadPort: 8080 };
  const other = { ...nat, port: 81 };
  expect(state.apply({ ...EMPTY, nats: [nat, other] }, 3)).toHaveLength(2);
  state.apply({ ...EMPTY, full: true, bindings: [binding(2)], nats: [other] }, 4);
  expect([...state.cells()].map(({ table }) => table).sort()).toEqual(['binding', 'nat']);
  state.apply({ ...EMPTY, removedNats: [other] }, 5);
  expect(state.keys('nat')).toEqual([]);
});

test('tombstones are bounded: beyond the bound the oldest revisions are no longer known', () => {
  const state = new HostState('h', 1);
  for (let i = 0; i < 20_000; i += 1) {
    state.apply({ ...EMPTY, bindings: [binding(i)] }, 2 * i + 2);
    state.apply({ ...EMPTY, removedBindings: [binding(i)] }, 2 * i + 3);
  }
  expect(state.size).toBe(0);
  expect(state.changedSince(2)).toBeUndefined();
  expect(state.changedSince(39_000)?.length).toBeGreaterThan(400);
});

test('updatesOf cuts a revision into messages below the bound that decode to the whole', () => {
  const state = new HostState('h', 1);
  const bindings = Array.from({ length: 3000 }, (_, i) =>
    binding(i, i, i % 50 === 0 ? Array.from({ length: 300 }, (_, n) => n) : []),
  );
  state.apply({ ...EMPTY, bindings, sets: [set(1, 500), set(2, 800)] }, 2);
  const parts = [
    ...updatesOf(
      { revision: 2, full: true, policyVersion: 1, confirmWithinMs: 0, unpaired: undefined, cells: [...state.cells()] },
      20_000,
    ),
  ];
  expect(parts.length).toBeGreaterThan(5);
  expect(parts.map(({ more }) => more)).toEqual([...parts.slice(1).map(() => true), false]);
  expect(parts.map(({ full }) => full)).toEqual(parts.map((_, i) => i === 0));
  for (const part of parts) {
    const bytes = Update.encode(part).finish().length;
    // One item may be larger than the aim; a sum never is.
    expect(bytes).toBeLessThanOrEqual(Math.max(20_000, setBytes(set(2, 800)) + 32));
  }
  const decoded = parts.map((part) => Update.decode(Update.encode(part).finish()));
  expect(decoded.flatMap((part) => part.bindings)).toHaveLength(3000);
  expect(decoded.flatMap((part) => part.sets)).toHaveLength(2);
});

test('an empty revision is one message', () => {
  expect([
    ...updatesOf({ revision: 5, full: true, policyVersion: 2, confirmWithinMs: 0, unpaired: undefined, cells: [] }),
  ]).toMatchObject([{ revision: 5n, full: true, more: false, policyVersion: 2 }]);
});
