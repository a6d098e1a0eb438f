// Folding in the ring's reader: random records of a few things, and what a receiver makes of those that are left.
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MapType } from './constants.js';
import { possibleCpus } from './kernel.js';
import { BpfMap } from './map.js';
import { BpfObject } from './object.js';
import type { BpfProgram } from './program.js';
import { RingConsumer, type RingFold } from './ring.js';
import { eventually, testProgram, thrownBy, u32 } from './test-support.js';

const RECORD = 128;
const KIND = { new: 1, update: 2, end: 3 };
const AT = { time: 0, total: 8, thing: 16, kind: 24, decision: 25 };
const FOLD: RingFold = {
  lane: 0,
  entries: 64,
  maxHeldMs: 60_000,
  timeOffset: AT.time,
  kindOffset: AT.kind,
  kind: KIND.update,
  key: [AT.thing, 8],
  same: [AT.decision, 1],
};

interface Told {
  readonly thing: number;
  readonly kind: number;
  readonly decision: number;
  readonly time: number;
  /** Cumulative. */
  readonly total: number;
}

let object: BpfObject;
let put: BpfProgram;
let rings: BpfMap[];

beforeAll(() => {
  const cpus = possibleCpus();
  object = BpfObject.open(testProgram('rings'));
  object.setRodata({ cpus });
  object.setMaxEntries('t_rings', 2 * cpus);
  const make = () =>
    BpfMap.create({ type: MapType.RINGBUF, name: 'rfnat_fold', keySize: 0, valueSize: 0, maxEntries: 1 << 16 });
  using template = make();
  object.setInnerMap('t_rings', template);
  object.load();
  using outer = object.map('t_rings');
  rings = Array.from({ length: cpus }, (_, cpu) => {
    const ring = make();
    outer.setInner(u32(cpu), ring);
    return ring;
  });
  put = object.program('put');
});
afterAll(() => {
  for (const ring of rings) ring.close();
  put.close();
  object.close();
});

function send({ thing, kind, decision, time, total }: Told): void {
  const data = new Uint8Array(RECORD);
  const view = new DataView(data.buffer);
  view.setBigUint64(AT.time, BigInt(time), true);
  view.setBigUint64(AT.total, BigInt(total), true);
  view.setBigUint64(AT.thing, BigInt(thing), true);
  data[AT.kind] = kind;
  data[AT.decision] = decision;
  expect(put.testRun({ data }).retval).toBe(0);
}

/** A consumer and all that it was handed, in order. */
function receiver(fold: Partial<RingFold> = {}, batches: { batchRecords?: number; batchesPerLane?: number } = {}) {
  const told: Told[] = [];
  const options = { lanes: [rings], recordBytes: RECORD, fold: { ...FOLD, ...fold }, ...batches };
  const consumer = new RingConsumer(options, ({ buffer, recordCount, release }) => {
    const view = new DataView(buffer);
    for (let i = 0; i < recordCount; i += 1) {
      const long = (at: number) => Number(view.getBigUint64(i * RECORD + at, true));
      const byte = (at: number) => view.getUint8(i * RECORD + at);
      const [kind, decision] = [byte(AT.kind), byte(AT.decision)];
      told.push({ time: long(AT.time), total: long(AT.total), thing: long(AT.thing), kind, decision });
    }
    release();
  });
  return { told, consumer };
}

describe('RingFold', () => {
  test('a thing told of a thousand times is handed over once, and again only when more was told', async () => {
    const { told, consumer } = receiver();
    const told1 = { thing: 7, kind: KIND.update, decision: 1 };
    // Whatever is there before the first round begins goes with it.
    await consumer.flush();
    for (let i = 1; i <= 400; i += 1) send({ ...told1, time: i, total: 10 * i });
    await consumer.flush();
    const lastOf = told.at(-1);
    expect(lastOf).toEqual({ ...told1, time: 400, total: 4000 });
    const before = told.length;
    await consumer.flush();
    expect(told.length).toBe(before);
    const [counters] = consumer.counters();
    expect(counters).toMatchObject({ consumed: 400n, delivered: BigInt(before), dropped: 0n, pending: 0n });
    expect(counters?.folded).toBe(400n - BigInt(before));
    await consumer.close();
  });

  test('what is held goes by itself after maxHeldMs', async () => {
    const { told, consumer } = receiver({ maxHeldMs: 20 });
    await consumer.flush();
    send({ thing: 1, kind: KIND.update, decision: 1, time: 1, total: 5 });
    await eventually('the record', () => told.length === 1);
    await consumer.close();
  });

  test('an end takes the place of what is held; a changed decision leaves both, in order', async () => {
    const { told, consumer } = receiver();
    await consumer.flush();
    consumer.pause();
    await consumer.flush();
    const one = { thing: 1, decision: 1 };
    send({ ...one, kind: KIND.new, time: 1, total: 1 });
    send({ ...one, kind: KIND.update, time: 2, total: 2 });
    send({ ...one, kind: KIND.update, time: 3, total: 3, decision: 2 });
    send({ ...one, kind: KIND.end, time: 4, total: 4, decision: 2 });
    send({ ...one, kind: KIND.end, time: 5, total: 5, thing: 2 });
    consumer.resume();
    await consumer.flush();
    expect(told.map(({ thing, kind, time }) => [thing, kind, time])).toEqual([
      [1, KIND.new, 1],
      [1, KIND.update, 2],
      [1, KIND.end, 4],
      [2, KIND.end, 5],
    ]);
    await consumer.close();
  });

  test('what comes late, from another processor’s ring: repeated by what is held, or handed over', async () => {
    const { told, consumer } = receiver();
    await consumer.flush();
    consumer.pause();
    await consumer.flush();
    const one = { thing: 1, decision: 1 };
    send({ ...one, kind: KIND.update, time: 9, total: 9 });
    send({ ...one, kind: KIND.update, time: 8, total: 8 });
    send({ ...one, kind: KIND.update, time: 7, total: 7, decision: 2 });
    send({ ...one, kind: KIND.new, time: 1, total: 1 });
    consumer.resume();
    await consumer.flush();
    expect(told.map(({ kind, time }) => [kind, time])).toEqual([
      [KIND.update, 7],
      [KIND.new, 1],
      [KIND.update, 9],
    ]);
    expect(consumer.counters()[0]).toMatchObject({ consumed: 4n, delivered: 3n, folded: 1n });
    await consumer.close();
  });

  test('held records wait for slots and are never dropped for want of one; flush waits for them', async () => {
    const { told, consumer } = receiver({ entries: 300 }, { batchRecords: 10, batchesPerLane: 2 });
    for (let i = 0; i < 300; i += 1) {
      send({ thing: i, kind: KIND.update, decision: 1, time: i, total: i });
      if (i % 10 === 9) await consumer.flush();
    }
    for (let i = 0; i < 300; i += 1) send({ thing: i, kind: KIND.update, decision: 1, time: 1000 + i, total: 1000 });
    await consumer.flush();
    const last = new Map(told.map((record) => [record.thing, record]));
    expect(last.size).toBe(300);
    for (const { total } of last.values()) expect(total).toBe(1000);
    expect(consumer.counters()[0]).toMatchObject({ consumed: 600n, dropped: 0n, pending: 0n });
    await consumer.close();
  });

  test('more things than there is room for are handed over unfolded', async () => {
    const { told, consumer } = receiver({ entries: 4 });
    await consumer.flush();
    for (let round = 0; round < 3; round += 1) {
      for (let thing = 0; thing < 20; thing += 1)
        send({ thing, kind: KIND.update, decision: 1, time: round, total: round });
    }
    await consumer.close();
    expect(new Map(told.map(({ thing, total }) => [thing, total])).size).toBe(20);
    for (const thing of Array(20).keys()) {
      const totals = told.filter((record) => record.thing === thing).map(({ total }) => total);
      expect(totals.at(-1)).toBe(2);
      expect(totals).toEqual([...totals].sort((a, b) => a - b));
    }
    expect(consumer.counters()[0]).toMatchObject({ consumed: 60n, dropped: 0n, pending: 0n });
  });

  test('random records: what each thing’s records say in the end, each decision and each record of another kind is kept', async () => {
    const step = fc.record({
      thing: fc.integer({ min: 0, max: 5 }),
      kind: fc.constantFrom(KIND.update, KIND.update, KIND.update, KIND.new, KIND.end),
      decision: fc.constantFrom(1, 1, 1, 2),
      more: fc.integer({ min: 0, max: 9 }),
      after: fc.constantFrom('nothing', 'nothing', 'nothing', 'flush', 'wait'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { told, consumer } = receiver({ entries: 4, maxHeldMs: 1 });
        const sent: Told[] = [];
        const totals = new Map<number, number>();
        for (const { thing, kind, decision, more, after } of steps) {
          const total = (totals.get(thing) ?? 0) + more;
          totals.set(thing, total);
          const record = { thing, kind, decision, time: sent.length + 1, total };
          sent.push(record);
          send(record);
          if (after === 'flush') await consumer.flush();
          if (after === 'wait') await delay(1);
        }
        await consumer.flush();
        await consumer.close();
        for (const thing of totals.keys()) {
          const of = (records: readonly Told[]) => records.filter((record) => record.thing === thing);
          const [was, is] = [of(sent), of(told)];
          for (const record of is) expect(record).toEqual(sent[record.time - 1]);
          const others = (records: readonly Told[]) =>
            records.filter(({ kind }) => kind !== KIND.update).map(({ time }) => time);
          expect(others(is)).toEqual(others(was));
          expect(runsOf(is)).toEqual(runsOf(was));
        }
        const [counters] = consumer.counters();
        expect(counters).toMatchObject({ consumed: BigInt(sent.length), dropped: 0n, pending: 0n });
        expect(counters?.delivered).toBe(BigInt(told.length));
      }),
      { numRuns: 150 },
    );
  });

  test('options that do not fit are refused', () => {
    const make = (fold: Partial<RingFold>) => () => receiver(fold);
    thrownBy(make({ entries: 0 }), 'RF_ARGUMENT');
    thrownBy(make({ key: [] }), 'RF_ARGUMENT');
    thrownBy(make({ key: [RECORD - 1, 2] }), 'RF_ARGUMENT');
    thrownBy(make({ same: [0, 0] }), 'RF_ARGUMENT');
    thrownBy(make({ timeOffset: RECORD - 7 }), 'RF_ARGUMENT');
    thrownBy(make({ kindOffset: RECORD }), 'RF_ARGUMENT');
    thrownBy(make({ kind: 256 }), 'RF_ARGUMENT');
    thrownBy(make({ lane: 1 }), 'RF_ARGUMENT');
  });
});

/** The decisions one after the other, and what was told in the end under each. */
function runsOf(records: readonly Told[]): [decision: number, total: number][] {
  const runs: [number, number][] = [];
  for (const { decision, total } of records) {
    const last = runs.at(-1);
    if (last?.[0] === decision) last[1] = total;
    else runs.push([decision, total]);
  }
  return runs;
}
