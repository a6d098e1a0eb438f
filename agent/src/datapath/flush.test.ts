// A flush stopped at every possible entry, on maps that refuse: what is undone is undone exactly.
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { type DesiredState, TABLES, type TableName } from '../desired/desired.js';
import { applyUpdate, emptyInstructions, type Instructions } from '../desired/instructions.js';
import type { LocalWorkload } from '../desired/local.js';
import { Renderer } from '../desired/renderer.js';
import { Dice, randomSet, randomState, type State, updateBetween } from '../desired/testing/random-state.js';
import { Flush, type Generations, type Hooks } from './flush.js';
import { planFlush, type Tables } from './plan.js';
import { type PolicyMap, TableWriteError, TableWriter } from './table-writer.js';

/** A map in memory that refuses the entry after `left` more writes. */
class RefusingMap implements PolicyMap {
  readonly entries = new Map<string, Uint8Array>();
  readonly budget: { left: number };
  readonly info: PolicyMap['info'];

  constructor(name: string, keySize: number, valueSize: number, budget: { left: number }) {
    this.budget = budget;
    this.info = { id: 1, type: 1, name, keySize, valueSize, valueStride: valueSize, maxEntries: 4096, flags: 0 };
  }

  dump() {
    const keys = [...this.entries.keys()].map((key) => Buffer.from(key, 'latin1'));
    return { count: keys.length, keys: Buffer.concat(keys), values: Buffer.concat([...this.entries.values()]) };
  }

  updateBatch(keys: Uint8Array, values: Uint8Array) {
    return this.#each(keys, (key, i) => {
      const at = i * this.info.valueSize;
      this.entries.set(key, values.slice(at, at + this.info.valueSize));
      return true;
    });
  }

  deleteBatch(keys: Uint8Array) {
    return this.#each(keys, (key) => this.entries.delete(key));
  }

  #each(keys: Uint8Array, one: (key: string, i: number) => boolean) {
    const { keySize } = this.info;
    let [applied, missing] = [0, 0];
    for (let i = 0; i < keys.length / keySize; i += 1) {
      if (this.budget.left-- === 0) return { applied, missing, errno: 12, errnoName: 'ENOMEM' };
      if (one(Buffer.from(keys.subarray(i * keySize, (i + 1) * keySize)).toString('latin1'), i)) applied += 1;
      else missing += 1;
    }
    return { applied, missing, errno: 0, errnoName: '' };
  }
}

const SIZES: Record<TableName, [number, number]> = {
  rf_failsafe: [24, 4],
  rf_shared: [8, 4],
  rf_ports: [12, 8],
  rf_groups: [12, 4],
  rf_cidrs: [20, 4],
  rf_nat: [24, 8],
  rf_peers: [20, 8],
  rf_endpoints: [16, 32],
};
const LOCALS: LocalWorkload[] = ['container:1', 'container:2'].map((localId, i) => ({
  localId,
  kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
  interfaces: [{ name: `v${i}`, ifindex: i + 1 }],
  cgroup: undefined,
  addresses: [],
  netns: undefined,
}));

function rig() {
  const budget = { left: Number.POSITIVE_INFINITY };
  const maps = Object.fromEntries(
    TABLES.map((name) => [name, new RefusingMap(name, ...SIZES[name], budget)]),
  ) as unknown as Record<TableName, RefusingMap>;
  const writers = Object.fromEntries(TABLES.map((name) => [name, new TableWriter(name, maps[name])])) as Record<
    TableName,
    TableWriter
  >;
  const state: Generations = {
    generation: 1,
    setGeneration(generation: number) {
      (this as { generation: number }).generation = generation;
    },
  };
  const attached = new Set<string>();
  const hooks: Hooks = {
    attach(interfaces) {
      const fresh = interfaces.map((i) => i.name).filter((name) => !attached.has(name));
      for (const name of fresh) attached.add(name);
      return fresh;
    },
    detachOthers(interfaces) {
      for (const name of attached) if (!interfaces.some((i) => i.name === name)) attached.delete(name);
    },
    drop(names) {
      for (const name of names) attached.delete(name);
    },
  };
  const actual = () => Object.fromEntries(TABLES.map((t) => [t, writers[t].actual])) as unknown as Tables;
  return { budget, maps, writers, state, hooks, attached, actual };
}

type Rig = ReturnType<typeof rig>;

const contentOf = (r: Rig) =>
  Object.fromEntries(
    TABLES.map((t) => [t, new Map([...r.maps[t].entries].map(([k, v]) => [k, Buffer.from(v).toString('hex')]))]),
  );

function run(r: Rig, desired: DesiredState, before?: DesiredState): { flush: Flush; error: unknown } {
  const flush = new Flush(r.writers, r.state, r.hooks);
  try {
    flush.run(planFlush(r.actual(), desired.tables, 7), desired, before);
    return { flush, error: undefined };
  } catch (error) {
    return { flush, error };
  }
}

function complete(base: Instructions, from: State | undefined, to: State, revision: number): Instructions {
  const result = applyUpdate(base, undefined, updateBetween(from, to, revision));
  if (result.kind !== 'complete') throw new Error('not complete');
  return result.next;
}

describe('Flush', () => {
  const dice = new Dice(17);
  const pool = Array.from({ length: 4 }, () => randomSet(dice));
  const [one, two] = [randomState(dice, 1, pool), randomState(dice, 2, pool)];
  const renderer = new Renderer({ unassigned: 'visibility', rejectMode: 'policy', failsafes: [] });
  const first = complete(emptyInstructions(), undefined, one, 1);
  const before = renderer.render(first, LOCALS);
  const after = renderer.render(complete(first, one, two, 2), LOCALS.slice(1));

  it('refused at any entry, puts back every entry and hook, and knows what the maps hold', () => {
    let stopped = 0;
    for (let left = 0; ; left += 1) {
      const r = rig();
      expect(run(r, before).error).toBeUndefined();
      const was = contentOf(r);
      const generation = r.state.generation;
      r.budget.left = left;
      const { flush, error } = run(r, after, before);
      if (error === undefined) break;
      stopped += 1;
      expect(error).toBeInstanceOf(TableWriteError);
      expect((error as TableWriteError).full).toBe(true);
      r.budget.left = Number.POSITIVE_INFINITY;
      expect(flush.undo()).toBe(true);
      expect(contentOf(r)).toEqual(was);
      expect([...r.attached].sort()).toEqual(['v0', 'v1']);
      for (const table of TABLES) {
        expect(new Map(r.writers[table].actual.entries()).size).toBe(r.maps[table].entries.size);
      }
      if (left > 0) expect(r.state.generation).toBeGreaterThan(generation);
    }
    expect(stopped).toBeGreaterThan(50);
  });

  it('undo refused too, says so', () => {
    const r = rig();
    run(r, before);
    r.budget.left = 20;
    const { flush, error } = run(r, after, before);
    expect(error).toBeInstanceOf(TableWriteError);
    r.budget.left = 0;
    expect(flush.undo()).toBe(false);
  });

  it('not refused, ends with the desired content', () => {
    const r = rig();
    run(r, before);
    expect(run(r, after, before).error).toBeUndefined();
    for (const table of TABLES) {
      const want = [...after.tables[table].keys()].sort();
      expect([...r.maps[table].entries.keys()].sort(), table).toEqual(want);
    }
    expect([...r.attached]).toEqual(['v1']);
  });
});
