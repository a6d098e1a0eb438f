import { once } from 'node:events';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { MapType } from './constants.js';
import { possibleCpus } from './kernel.js';
import { BpfMap } from './map.js';
import { BpfObject } from './object.js';
import { type BpfProgram, skbContext } from './program.js';
import { type RingBatch, RingConsumer, type RingOptions } from './ring.js';
import { addonPath, eventually, testProgram, thrownBy, u32 } from './test-support.js';

const LANES = 2;
const RECORD = 128;

interface Producer {
  program: BpfProgram;
  lanes: BpfMap[][];
  /** Sums over CPUs, per lane. */
  stats(): { produced: bigint; delivered: bigint; dropped: bigint }[];
  /** runs × 1000 (or per_run) events into the lane, on whatever CPU this is. */
  produce(lane: number, runs: number): void;
  close(): void;
}

function makeProducer(ringBytes: number, rodata: Record<string, number | bigint> = {}): Producer {
  const cpus = possibleCpus();
  const object = BpfObject.open(testProgram('rings'));
  object.setRodata({ cpus, ...rodata });
  object.setMaxEntries('t_rings', LANES * cpus);
  const make = (): BpfMap =>
    BpfMap.create({ type: MapType.RINGBUF, name: 'rfnat_ring', keySize: 0, valueSize: 0, maxEntries: ringBytes });
  const template = make();
  object.setInnerMap('t_rings', template);
  object.load();
  template.close();
  const rings = object.map('t_rings');
  const statsMap = object.map('t_stats');
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    Array.from({ length: cpus }, (_unused, cpu) => {
      const ring = make();
      rings.setInner(u32(lane * cpus + cpu), ring);
      return ring;
    }),
  );
  const program = object.program('produce');
  return {
    program,
    lanes,
    stats: () =>
      lanes.map((_, lane) => {
        const values = new BigUint64Array(statsMap.lookup(u32(lane))?.buffer ?? new ArrayBuffer(0));
        const sum = (field: number): bigint =>
          values.filter((_value, i) => i % 3 === field).reduce((a, b) => a + b, 0n);
        return { produced: sum(0), delivered: sum(1), dropped: sum(2) };
      }),
    produce: (lane, runs) => {
      const { retval } = program.testRun({
        data: new Uint8Array(64),
        context: skbContext({ mark: lane }),
        repeat: runs,
      });
      expect(retval).toBe(0);
    },
    close: () => {
      for (const ring of lanes.flat()) ring.close();
      for (const thing of [program, rings, statsMap, object]) thing.close();
    },
  };
}

/** Counts records and checks, per ring, that sequences only grow. */
function makeReceiver() {
  const last = new Map<number, bigint>();
  const records = [0n, 0n];
  let batches = 0;
  return {
    records,
    get batches() {
      return batches;
    },
    take({ buffer, recordCount, lane, release }: RingBatch): void {
      batches++;
      const view = new DataView(buffer);
      for (let i = 0; i < recordCount; i++) {
        const sequence = view.getBigUint64(i * RECORD, true);
        const cpu = view.getUint32(i * RECORD + 8, true);
        if (view.getUint32(i * RECORD + 12, true) !== lane) throw new Error('found a record of another lane');
        const ring = lane * 1000 + cpu;
        if (sequence <= (last.get(ring) ?? 0n)) throw new Error(`found sequence ${sequence} after ${last.get(ring)}`);
        last.set(ring, sequence);
      }
      records[lane] = (records[lane] ?? 0n) + BigInt(recordCount);
      release();
    },
  };
}

function consume(
  producer: Producer,
  onBatch: (batch: RingBatch) => void,
  options: Partial<RingOptions> = {},
): RingConsumer {
  return new RingConsumer({ lanes: producer.lanes, ...options }, onBatch);
}

/** Runs the producer from its own threads, so that producers, the consumer and JavaScript really compete. */
async function produceFromThreads(producer: Producer, threads: number, rounds: number, runs: number): Promise<void> {
  const code = `
    const { workerData } = require('node:worker_threads');
    const n = require(workerData.addon);
    const program = n.programFromId(workerData.id);
    for (let i = 0; i < workerData.rounds; i++) {
      for (const context of workerData.contexts) {
        if (program.testRun(new Uint8Array(64), 0, context, workerData.runs, 0, '').retval !== 0) throw new Error('not produced');
      }
    }
    program.close();`;
  const contexts = [skbContext({ mark: 0 }), skbContext({ mark: 1 })];
  const id = producer.program.info.id;
  const workers = Array.from(
    { length: threads },
    () => new Worker(code, { eval: true, workerData: { addon: addonPath, id, rounds, runs, contexts } }),
  );
  const ends = (await Promise.all(workers.map((worker) => once(worker, 'exit')))) as [number][];
  expect(ends.map(([code]) => code)).toEqual(workers.map(() => 0));
}

describe('RingConsumer counts exactly', () => {
  test('4 million events from two threads: produced = delivered + dropped in the kernel, and again in the consumer', async () => {
    const producer = makeProducer(4 << 20);
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch));
    await produceFromThreads(producer, 2, 20, 50);
    await consumer.close();
    const kernel = producer.stats();
    const counters = consumer.counters();
    expect(kernel.map((lane) => lane.produced)).toEqual([2_000_000n, 2_000_000n]);
    for (const lane of [0, 1]) {
      const inKernel = kernel[lane];
      const here = counters[lane];
      expect(inKernel?.produced).toBe((inKernel?.delivered ?? 0n) + (inKernel?.dropped ?? 0n));
      expect(here?.consumed).toBe(inKernel?.delivered);
      expect(here?.consumed).toBe((here?.delivered ?? 0n) + (here?.dropped ?? 0n));
      expect(here?.delivered).toBe(receiver.records[lane]);
      expect(here).toMatchObject({ malformed: 0n, pending: 0n });
    }
    expect(receiver.records[0]).toBeGreaterThan(0n);
    producer.close();
  });

  test('nothing is lost when the receiver keeps up', async () => {
    const producer = makeProducer(1 << 20);
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch));
    for (let i = 0; i < 100; i++) {
      producer.produce(i % 2, 5);
      await consumer.flush();
    }
    expect(receiver.records).toEqual([250_000n, 250_000n]);
    expect(consumer.counters()).toEqual(
      [0, 1].map(() => ({
        consumed: 250_000n,
        delivered: 250_000n,
        dropped: 0n,
        malformed: 0n,
        folded: 0n,
        pending: 0n,
      })),
    );
    await consumer.close();
    producer.close();
  });

  test('a receiver that never releases: its slots are delivered, the rest is dropped and counted; the other lane goes on', async () => {
    const producer = makeProducer(1 << 20);
    const kept: RingBatch[] = [];
    const receiver = makeReceiver();
    const consumer = consume(
      producer,
      (batch) => {
        if (batch.lane === 0) kept.push(batch);
        else receiver.take(batch);
      },
      { batchRecords: 100, batchesPerLane: 4 },
    );
    producer.produce(0, 3);
    producer.produce(1, 1);
    await consumer.flush();
    expect(kept.map((batch) => batch.recordCount)).toEqual([100, 100, 100, 100]);
    expect(consumer.counters()[0]).toEqual({
      consumed: 3000n,
      delivered: 400n,
      dropped: 2600n,
      malformed: 0n,
      folded: 0n,
      pending: 0n,
    });
    expect(consumer.counters()[1]?.consumed).toBe(1000n);
    // What was kept still holds what was delivered.
    expect(kept.map(({ buffer }) => new DataView(buffer).getBigUint64(0, true))).toEqual([1n, 101n, 201n, 301n]);
    for (const batch of kept) batch.release();
    const before = kept.length;
    producer.produce(0, 1);
    await consumer.flush();
    expect(kept.length).toBeGreaterThan(before);
    await consumer.close();
    expect(consumer.counters()[0]?.pending).toBe(0n);
    producer.close();
  });

  test('a receiver that stands still while records trickle in loses nothing while its last slot has room', async () => {
    const producer = makeProducer(1 << 20, { per_run: 10 });
    const kept: RingBatch[] = [];
    const take = (batch: RingBatch) => kept.push(batch);
    const consumer = consume(producer, take, { batchRecords: 100, batchesPerLane: 4, maxDelayMs: 1 });
    // Ever older than maxDelayMs: half-full batches would use up all slots with 40 records.
    for (let run = 0; run < 12; run += 1) {
      producer.produce(0, 1);
      await delay(5);
    }
    for (const batch of kept) batch.release();
    await consumer.close();
    expect(consumer.counters()[0]).toMatchObject({ consumed: 120n, delivered: 120n, dropped: 0n });
    expect(kept.reduce((sum, { recordCount }) => sum + recordCount, 0)).toBe(120);
    producer.close();
  });

  test('releasing twice does not lend a buffer twice', async () => {
    const producer = makeProducer(1 << 20);
    const held: RingBatch[] = [];
    const consumer = consume(producer, (batch) => held.push(batch), { batchRecords: 10, batchesPerLane: 2 });
    producer.produce(0, 1);
    await consumer.flush();
    expect(held.length).toBe(2);
    held[0]?.release();
    held[0]?.release();
    producer.produce(0, 1);
    await consumer.flush();
    expect(held.length).toBe(3);
    expect(held[2]?.buffer).toBe(held[0]?.buffer);
    expect(held[2]?.buffer).not.toBe(held[1]?.buffer);
    await consumer.close();
    producer.close();
  });

  test('records of another length are malformed and dropped', async () => {
    const producer = makeProducer(1 << 20, { event_bytes: 64, per_run: 7 });
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch));
    producer.produce(1, 1);
    await consumer.flush();
    expect(consumer.counters()[1]).toEqual({
      consumed: 7n,
      delivered: 0n,
      dropped: 7n,
      malformed: 7n,
      folded: 0n,
      pending: 0n,
    });
    expect(receiver.batches).toBe(0);
    await consumer.close();
    producer.close();
  });

  test('a full ring drops in the kernel, visible as a gap, and is taken up again', async () => {
    const producer = makeProducer(4096);
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch));
    consumer.pause();
    await consumer.flush();
    producer.produce(0, 1);
    const kernel = producer.stats()[0];
    expect(kernel?.delivered).toBeLessThan(1000n);
    consumer.resume();
    await eventually('records', () => receiver.records[0] === kernel?.delivered);
    producer.produce(0, 1);
    await consumer.close();
    const after = producer.stats()[0];
    expect(after?.produced).toBe(2000n);
    expect(receiver.records[0]).toBe(after?.delivered);
    producer.close();
  });
});

describe('RingConsumer timing and life', () => {
  test('producers that never wake it are found by the idle timer', async () => {
    const producer = makeProducer(1 << 16, { per_run: 3 });
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch), { maxIdleMs: 5 });
    producer.produce(0, 1);
    await eventually('three records', () => receiver.records[0] === 3n);
    await consumer.close();
    producer.close();
  });

  test('a producer that wakes is heard long before the idle timer', async () => {
    const producer = makeProducer(1 << 16, { per_run: 3, wakeup_bytes: 1 });
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch), { maxIdleMs: 3_600_000, maxDelayMs: 1 });
    for (let round = 1; round <= 20; round++) {
      producer.produce(round % 2, 1);
      await eventually(
        'three more records',
        () => (receiver.records[0] ?? 0n) + (receiver.records[1] ?? 0n) === BigInt(3 * round),
      );
    }
    await consumer.close();
    producer.close();
  });

  test('after a quiet while a half-full batch does not wait for maxDelayMs', async () => {
    const producer = makeProducer(1 << 16, { per_run: 3, wakeup_bytes: 1 });
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch), { maxDelayMs: 40_000 });
    producer.produce(0, 1);
    await eventually('the records', () => receiver.records[0] === 3n);
    await consumer.close();
    producer.close();
  });

  test('paused it takes nothing; resumed it takes what waited; close drains also when paused', async () => {
    const producer = makeProducer(1 << 18);
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch));
    consumer.pause();
    await consumer.flush();
    producer.produce(0, 1);
    await consumer.flush();
    expect(consumer.counters()[0]?.consumed).toBe(0n);
    consumer.resume();
    await eventually('the records that waited', () => receiver.records[0] === 1000n);
    consumer.pause();
    await consumer.flush();
    producer.produce(0, 1);
    await consumer.close();
    expect(receiver.records[0]).toBe(2000n);
    producer.close();
  });

  test('ring handles may be closed once it runs', async () => {
    const producer = makeProducer(1 << 18);
    const receiver = makeReceiver();
    const consumer = consume(producer, (batch) => receiver.take(batch));
    for (const ring of producer.lanes.flat()) ring.close();
    producer.produce(0, 1);
    await consumer.flush();
    expect(receiver.records[0]).toBe(1000n);
    await consumer.close();
    producer.close();
  });

  test('close is idempotent; afterwards control is RF_CLOSED, counters and late releases still work', async () => {
    const producer = makeProducer(1 << 18);
    const held: RingBatch[] = [];
    const consumer = consume(producer, (batch) => held.push(batch));
    producer.produce(0, 1);
    await Promise.all([consumer.close(), consumer.close()]);
    expect(consumer.closed).toBe(true);
    await consumer.close();
    for (const call of [() => consumer.pause(), () => consumer.resume(), () => consumer.flush()])
      thrownBy(call, 'RF_CLOSED');
    expect(consumer.counters()[0]).toMatchObject({ consumed: 1000n, delivered: 1000n, pending: 0n });
    expect(new DataView(held[0]?.buffer ?? new ArrayBuffer(0)).getBigUint64(0, true)).toBe(1n);
    for (const batch of held) batch.release();
    producer.close();
  });

  test('a flush that close overtakes is still answered', async () => {
    const producer = makeProducer(1 << 18);
    const consumer = consume(producer, (batch) => batch.release());
    const flushes = [consumer.flush(), consumer.flush()];
    await consumer.close();
    await Promise.all(flushes);
    producer.close();
  });

  test('options and maps that do not fit are refused', () => {
    using notRing = BpfMap.create({ type: MapType.ARRAY, keySize: 4, valueSize: 4, maxEntries: 1 });
    using ring = BpfMap.create({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
    const make = (options: RingOptions) => () => new RingConsumer(options, () => undefined);
    thrownBy(make({ lanes: [[notRing]] }), 'RF_ARGUMENT');
    thrownBy(make({ lanes: [] }), 'RF_ARGUMENT');
    thrownBy(make({ lanes: [[ring]], drainIntervalUs: 501 }), 'RF_ARGUMENT');
    thrownBy(make({ lanes: [[ring]], drainIntervalUs: 0 }), 'RF_ARGUMENT');
    thrownBy(make({ lanes: [[ring]], recordBytes: 0 }), 'RF_ARGUMENT');
    thrownBy(make({ lanes: [[ring]], batchesPerLane: 1 }), 'RF_ARGUMENT');
    thrownBy(make({ lanes: [[ring]], batchRecords: 2 ** 31 }), 'RF_ARGUMENT');
  });

  test('a worker terminated while its consumer delivers takes nothing down', async () => {
    const producer = makeProducer(1 << 18);
    const code = `
      const { workerData, parentPort } = require('node:worker_threads');
      const n = require(workerData.addon);
      const ring = n.createRing(workerData.lanes, 128, 16, 4, 500, 1, 5, null, (buffer, count, lane, slot) => {
        parentPort.postMessage(count);
        ring.release(lane, slot);
      });`;
    const lanes = producer.lanes.map((lane) => lane.map((ring) => ring.fd));
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(code, { eval: true, workerData: { addon: addonPath, lanes } });
      await once(worker, 'online');
      let delivered = 0;
      worker.on('message', (count: number) => {
        delivered += count;
      });
      while (delivered === 0) {
        producer.produce(0, 1);
        await nextTurn();
      }
      producer.produce(0, 1);
      await worker.terminate();
    }
    // The rings are free for the next consumer, which goes on where the last one stopped.
    const consumer = consume(producer, (batch) => batch.release());
    producer.produce(0, 1);
    await consumer.flush();
    expect(consumer.counters()[0]?.consumed).toBeGreaterThan(0n);
    await consumer.close();
    producer.close();
  });
});
