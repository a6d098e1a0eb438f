import type { BindingState, HostDelta } from '@ringfence/proto/instructions.js';
import { expect, test } from 'vitest';
import { AgentSession, type Outgoing, ProtocolError } from './agent-session.js';
import { type Cell, HostState } from './host-state.js';

const EPOCH = 'e1';

function binding(n: number, identity: number): BindingState {
  return {
    space: '',
    address: Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? n : 0)),
    identity,
    shared: [],
    unmanaged: false,
  };
}

function delta(
  set: readonly BindingState[],
  removed: readonly BindingState[] = [],
  more: Partial<HostDelta> = {},
): HostDelta {
  return {
    hostId: 'h',
    full: false,
    policyVersion: 1,
    sets: [],
    removedSets: [],
    assignments: [],
    removedAssignments: [],
    bindings: set,
    removedBindings: removed,
    cidrs: [],
    removedCidrs: [],
    ...more,
  };
}

/** A host with a state that tests change, and what an agent makes of what it is sent. */
class Bench {
  revision = 0;
  nowMs = 0;
  readonly state = new HostState('h', this.nextRevision());
  session = this.newSession();
  /** What the agent has in force: key text to identity. */
  held = new Map<string, number>();
  heldRevision = 0;
  heldEpoch = '';

  newSession(): AgentSession {
    return new AgentSession(EPOCH, () => this.nextRevision());
  }

  nextRevision(): number {
    this.revision += 1;
    return this.revision;
  }

  change(set: readonly BindingState[], removed: readonly BindingState[] = []): void {
    this.session.onChange(this.state.apply(delta(set, removed), this.nextRevision()));
  }

  connect(): boolean {
    this.session = this.newSession();
    return this.session.onHello({ protocol: 1, epoch: this.heldEpoch, revision: this.heldRevision }, this.state)
      .resumed;
  }

  next(): Outgoing | undefined {
    return this.session.next(this.nowMs);
  }

  apply(outgoing: Outgoing): void {
    if (outgoing.full) this.held.clear();
    for (const cell of outgoing.cells) {
      const key = String(cell.table === 'binding' ? cell.name.address[15] : cell.table);
      if (cell.table === 'binding' && cell.value !== undefined) this.held.set(key, cell.value.identity);
      else this.held.delete(key);
    }
    this.heldRevision = outgoing.revision;
    this.heldEpoch = EPOCH;
  }

  wanted(): Map<string, number> {
    const result = new Map<string, number>();
    for (const cell of this.state.cells())
      if (cell.table === 'binding') result.set(String(cell.value?.address[15]), cell.value?.identity ?? 0);
    return result;
  }
}

const names = (cells: readonly Cell[] | undefined) =>
  cells?.map((cell) => (cell.table === 'binding' ? cell.name.address[15] : cell.table));

test('onHello without state gives a full state; the ack makes the session current', () => {
  const bench = new Bench();
  bench.change([binding(1, 10), binding(2, 20)]);
  expect(bench.connect()).toBe(false);
  const full = bench.next();
  expect(full).toMatchObject({ full: true, policyVersion: 1 });
  expect(names(full?.cells)).toEqual([1, 2]);
  expect(bench.next()).toBeUndefined();
  expect(bench.session.isCurrent()).toBe(false);
  bench.session.onAck(full?.revision ?? 0);
  expect(bench.session.isCurrent()).toBe(true);
  expect(bench.session.ackedPolicyVersion).toBe(1);
});

test('changes while a revision is in flight gather as the newest value per key', () => {
  const bench = new Bench();
  bench.connect();
  const first = bench.next();
  for (let i = 0; i < 1000; i += 1) bench.change([binding(1, i)]);
  bench.change([binding(2, 5)]);
  bench.change([], [binding(2, 5)]);
  expect(bench.next()).toBeUndefined();
  bench.session.onAck(first?.revision ?? 0);
  const second = bench.next();
  expect(second?.full).toBe(false);
  expect(second?.cells).toHaveLength(2);
  expect(second?.cells.find((cell) => names([cell])?.[0] === 1)?.value).toMatchObject({ identity: 999 });
  expect(second?.cells.find((cell) => names([cell])?.[0] === 2)?.value).toBeUndefined();
});

test('a returning agent gets what changed since its revision, or all when that is not known', () => {
  const bench = new Bench();
  bench.change([binding(1, 10), binding(2, 20)]);
  bench.connect();
  const full = bench.next();
  if (full !== undefined) bench.apply(full);
  bench.change([binding(3, 30)], [binding(1, 0)]);
  expect(bench.connect()).toBe(true);
  expect(names(bench.next()?.cells)).toEqual([3, 1]);
  expect(bench.connect()).toBe(true);
  bench.heldEpoch = 'another';
  expect(bench.connect()).toBe(false);
  expect(bench.next()?.full).toBe(true);
});

test('a policy version that changes nothing else is sent, live and to an agent that returns', () => {
  const bench = new Bench();
  bench.change([binding(1, 10)]);
  bench.connect();
  const full = bench.next();
  if (full !== undefined) bench.apply(full);
  bench.session.onAck(full?.revision ?? 0);
  bench.session.onChange(bench.state.setPolicyVersion(2, bench.nextRevision()));
  expect(bench.next()).toMatchObject({ full: false, cells: [], policyVersion: 2 });
  expect(bench.connect()).toBe(true);
  const again = bench.next();
  expect(again).toMatchObject({ full: false, cells: [], policyVersion: 2 });
  bench.session.onAck(again?.revision ?? 0);
  expect(bench.session.ackedPolicyVersion).toBe(2);
});

test('an agent that is up to date is sent nothing and counts as current', () => {
  const bench = new Bench();
  bench.change([binding(1, 10)]);
  bench.connect();
  const full = bench.next();
  if (full !== undefined) bench.apply(full);
  expect(bench.connect()).toBe(true);
  expect(bench.next()).toBeUndefined();
  expect(bench.session.isCurrent()).toBe(true);
  expect(bench.session.ackedPolicyVersion).toBe(1);
});

test('an agent ahead of a restored store gets a full state with a newer revision', () => {
  const bench = new Bench();
  bench.heldEpoch = EPOCH;
  bench.heldRevision = 500;
  bench.revision = 500;
  expect(bench.connect()).toBe(false);
  expect(bench.next()).toMatchObject({ full: true, revision: 501 });
});

test('after a nack nothing is sent until the state changes, and then a full state, backed off', () => {
  const bench = new Bench();
  bench.connect();
  const first = bench.next();
  const refusal = { revision: first?.revision ?? 0, code: 'RF_MAP_FULL', message: 'm', table: 't' };
  bench.session.onNack(refusal, bench.nowMs);
  bench.nowMs += 1_000_000;
  expect(bench.next()).toBeUndefined();
  expect(bench.session.refusal).toEqual(refusal);
  bench.change([binding(1, 1)]);
  const second = bench.next();
  expect(second?.full).toBe(true);
  bench.session.onNack({ ...refusal, revision: second?.revision ?? 0 }, bench.nowMs);
  bench.change([binding(1, 2)]);
  expect(bench.next()).toBeUndefined();
  expect(bench.session.retryAtMs()).toBe(bench.nowMs + 2000);
  bench.nowMs += 2000;
  const third = bench.next();
  expect(third?.full).toBe(true);
  bench.session.onAck(third?.revision ?? 0);
  expect(bench.session.refusal).toBeUndefined();
});

test('a change that was made while the refused revision flew is tried as the correction', () => {
  const bench = new Bench();
  bench.connect();
  const first = bench.next();
  bench.change([binding(1, 1)]);
  bench.session.onNack({ revision: first?.revision ?? 0, code: 'c', message: '', table: '' }, bench.nowMs);
  bench.nowMs += 1000;
  expect(bench.next()?.full).toBe(true);
});

test('resync and hold: a second full state has a new revision; a held session sends nothing', () => {
  const bench = new Bench();
  bench.connect();
  const first = bench.next();
  bench.session.onResync();
  const second = bench.next();
  expect(second?.full).toBe(true);
  expect(second?.revision).toBeGreaterThan(first?.revision ?? 0);
  // The ack of what the agent has given up on says nothing.
  bench.session.onAck(first?.revision ?? 0);
  expect(bench.session.isCurrent()).toBe(false);
  bench.session.onAck(second?.revision ?? 0);
  bench.session.hold('too large');
  bench.change([binding(1, 1)]);
  expect(bench.next()).toBeUndefined();
  bench.session.hold(undefined);
  expect(bench.next()?.cells).toHaveLength(1);
});

test('messages out of place are protocol errors; repeated answers are not', () => {
  const bench = new Bench();
  expect(() => bench.session.onAck(1)).toThrow(ProtocolError);
  expect(() => bench.session.onHello({ protocol: 2, epoch: '', revision: 0 }, bench.state)).toThrow(
    /found protocol 2, wanted 1/,
  );
  bench.connect();
  expect(() => bench.session.onHello({ protocol: 1, epoch: '', revision: 0 }, bench.state)).toThrow(/second one/);
  const first = bench.next();
  expect(() => bench.session.onAck((first?.revision ?? 0) + 1)).toThrow(/wanted at most/);
  bench.session.onAck(first?.revision ?? 0);
  bench.session.onAck(first?.revision ?? 0);
  bench.session.onNack({ revision: first?.revision ?? 0, code: '', message: '', table: '' }, 0);
  expect(bench.session.refusal).toBeUndefined();
});

test('random scripts of changes, drops, delays, duplicates, nacks and resyncs end with the agent holding the state', () => {
  const seed = Number(process.env.RF_SEED ?? Date.now() % 1_000_000);
  const random = mulberry(seed);
  for (let round = 0; round < 300; round += 1) runScript(random, `seed ${seed} round ${round}`);
});

/** Numbers in [0, 1) that a seed determines. */
function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function runScript(random: () => number, label: string): void {
  const bench = new Bench();
  const pick = (n: number) => Math.floor(random() * n);
  bench.connect();
  let wire: Outgoing | undefined;
  let lastAcked = 0;
  let refused = false;
  const pull = () => {
    const outgoing = bench.next();
    if (outgoing === undefined) return;
    expect(wire, `${label}: one revision in flight`).toBeUndefined();
    expect(outgoing.revision, `${label}: revisions grow`).toBeGreaterThan(bench.heldRevision);
    if (refused) expect(outgoing.full, `${label}: full state after a refusal`).toBe(true);
    refused = false;
    wire = outgoing;
  };
  const reconnect = () => {
    wire = undefined;
    refused = false;
    bench.connect();
  };
  for (let step = 0; step < 60; step += 1) {
    bench.nowMs += pick(3000);
    const action = pick(9);
    if (action <= 2) bench.change([binding(pick(8), pick(100))]);
    else if (action === 3) bench.change([], [binding(pick(8), 0)]);
    else if (action === 4 && wire !== undefined) {
      bench.apply(wire);
      lastAcked = wire.revision;
      wire = undefined;
      bench.session.onAck(lastAcked);
    } else if (action === 5 && wire !== undefined) {
      // Dropped on the way, or applied and the ack dropped.
      if (random() < 0.5) bench.apply(wire);
      reconnect();
    } else if (action === 6 && wire !== undefined) {
      bench.session.onNack({ revision: wire.revision, code: 'c', message: '', table: '' }, bench.nowMs);
      wire = undefined;
      refused = true;
    } else if (action === 7 && lastAcked > 0 && bench.heldRevision >= lastAcked) {
      // A late repetition of an old answer.
      try {
        bench.session.onAck(lastAcked);
      } catch (error) {
        // On a new stream an old revision may be above everything sent there: that is the agent's error.
        expect(error).toBeInstanceOf(ProtocolError);
        reconnect();
      }
    } else if (action === 8 && random() < 0.3) {
      wire = undefined;
      bench.session.onResync();
    }
    if (random() < 0.7) pull();
  }
  // Quiet: whatever stands is delivered; a standing refusal needs a change to be tried again.
  bench.change([binding(0, 1)]);
  for (let i = 0; i < 5; i += 1) {
    bench.nowMs += 100_000;
    if (wire === undefined) pull();
    if (wire === undefined) continue;
    const outgoing: Outgoing = wire;
    wire = undefined;
    bench.apply(outgoing);
    bench.session.onAck(outgoing.revision);
  }
  expect(bench.session.isCurrent(), label).toBe(true);
  expect([...bench.held].sort(), label).toEqual([...bench.wanted()].sort());
}
