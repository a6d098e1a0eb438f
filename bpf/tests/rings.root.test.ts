// Four million events offered: produced = delivered + dropped, per CPU and lane, and every gap is visible in the sequence numbers.
import { RingConsumer } from '@ringfence/native';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, it } from 'vitest';
import { EVENT, EVENT_COLUMNS, EventColumns, LANE_STATS, Lane, laneIndex } from '../ts/index.js';
import { TestKernel, u32 } from './kernel.js';
import * as p from './packets.js';

const OFFERED = 4_000_000;
const CHUNK = 100_000;

it.each([
  ['rings of 1 MiB', 1 << 20],
  ['rings of a page, which overflow', 4096],
])('%s: four million events, are delivered or counted as dropped', { timeout: 120_000 }, async (_, ringBytes) => {
  // An update period of 0: every packet of an open flow is an event.
  const kernel = new TestKernel({
    programs: ['rf_tc_ingress'],
    ringBytes: [ringBytes, 4096],
    rodata: { rf_has_coarse_clock: 0, rf_update_period_ns: 0n },
  });
  kernel.endpoint({
    number: 1,
    identity: 1,
    space: 0,
    setIn: 0,
    setOut: 0,
    generation: 1,
    policyVersion: 1,
    flags: 0,
    modeIn: Mode.MODE_VISIBILITY,
    modeOut: Mode.MODE_VISIBILITY,
  });
  let seen = 0;
  let highest = 0;
  let backwards = 0;
  const consumer = new RingConsumer({ lanes: kernel.rings, recordBytes: EVENT.size, batchRecords: 16_384 }, (batch) => {
    const columns = new EventColumns(batch.buffer, 0, batch.recordCount);
    seen += batch.recordCount;
    // One CPU may have been left for another: numbers grow within a batch as long as it is of one ring.
    let last = 0;
    for (let row = 0; row < columns.count; row++) {
      const sequence = columns.u32(row, EVENT_COLUMNS.sequence);
      if (sequence <= last) backwards += 1;
      last = sequence;
      highest = Math.max(highest, sequence);
    }
    batch.release();
  });
  const packet = p.udp('10.0.0.1', '192.0.2.9', 5000, 53);
  const program = kernel.program('rf_tc_ingress');
  for (let done = 0; done < OFFERED; done += CHUNK) {
    program.testRun({ data: packet, repeat: CHUNK });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await consumer.close();
  const [flows] = consumer.counters();
  const lane = kernel.lane(Lane.FLOWS);
  // Two packets in one nanosecond of the clock make one event.
  expect(Number(lane.produced)).toBeGreaterThan(OFFERED * 0.99);
  expect(Number(lane.produced)).toBeLessThanOrEqual(OFFERED);
  expect(lane.delivered + lane.dropped).toBe(lane.produced);
  expect(flows?.consumed).toBe(lane.delivered);
  expect(BigInt(seen) + (flows?.dropped ?? 0n)).toBe(lane.delivered);
  const perCpu = Array.from({ length: kernel.cpus }, (_, cpu) =>
    LANE_STATS.decode(kernel.map('rf_lanes').lookup(u32(laneIndex(cpu, Lane.FLOWS))) ?? new Uint8Array()),
  );
  for (const { produced, delivered, dropped } of perCpu) expect(delivered + dropped).toBe(produced);
  expect(highest).toBeLessThanOrEqual(Math.max(...perCpu.map((cpu) => Number(cpu.produced))));
  if (perCpu.filter((cpu) => cpu.produced > 0n).length === 1) expect(backwards).toBe(0);
  if (ringBytes === 4096) expect(lane.dropped).toBeGreaterThan(0n);
  expect(kernel.failures()).toEqual({});
  console.log(
    `rings of ${ringBytes}: produced ${lane.produced} delivered ${lane.delivered} dropped ${lane.dropped}, read ${seen}`,
  );
  kernel.close();
});
