// Issue 6, must show 1, second half: a flood of allowed events overflows its rings; no deny is lost, and every loss is counted.
import { RingConsumer } from '@ringfence/native';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, it } from 'vitest';
import { EVENT, EVENT_COLUMNS, EventColumns, Lane } from '../ts/index.js';
import { TestKernel } from './kernel.js';
import * as p from './packets.js';

const ALLOWED = 2_000_000;
const CHUNK = 5000;
const DENIES_PER_CHUNK = 5;
const DENY = 5;

it('two million allowed events overflow their rings: each of 2,000 denies arrives, the rest is counted', {
  timeout: 120_000,
}, async () => {
  // An update period of 0: every packet of the open flow is an event. Its ring holds thirty of them.
  const kernel = new TestKernel({
    programs: ['rf_tc_ingress'],
    ringBytes: [4096, 1 << 20],
    rodata: { rf_has_coarse_clock: 0, rf_update_period_ns: 0n },
  });
  const endpoint = {
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
  };
  kernel.endpoint(endpoint);
  const denied = new Set<number>();
  let allowed = 0;
  const consumer = new RingConsumer({ lanes: kernel.rings, recordBytes: EVENT.size, batchRecords: 4096 }, (batch) => {
    const columns = new EventColumns(batch.buffer, 0, batch.recordCount);
    for (let row = 0; row < columns.count; row++) {
      if (columns.u8(row, EVENT_COLUMNS.kind) === DENY) denied.add(columns.port(row, EVENT_COLUMNS.localPort));
      else allowed += 1;
    }
    batch.release();
  });
  const program = kernel.program('rf_tc_ingress');
  const open = p.udp('10.0.0.1', '192.0.2.9', 5000, 53);
  program.testRun({ data: open });
  // What is open stays allowed, as its generation is the endpoint's; what is new is refused by a set that allows nothing.
  kernel.endpoint({ ...endpoint, modeOut: Mode.MODE_ENFORCE });
  let port = 10_000;
  const startedMs = performance.now();
  for (let done = 0; done < ALLOWED; done += CHUNK) {
    program.testRun({ data: open, repeat: CHUNK });
    for (let i = 0; i < DENIES_PER_CHUNK; i += 1) {
      program.testRun({ data: p.udp('10.0.0.2', '192.0.2.9', port, 53) });
      port += 1;
    }
    if (done % (20 * CHUNK) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const perSecond = (ALLOWED / (performance.now() - startedMs)) * 1000;
  await consumer.close();
  const [flows, denies] = [kernel.lane(Lane.FLOWS), kernel.lane(Lane.DENIES)];
  const wanted = (ALLOWED / CHUNK) * DENIES_PER_CHUNK;
  expect(denies).toMatchObject({ produced: BigInt(wanted), delivered: BigInt(wanted), dropped: 0n });
  expect(denied.size).toBe(wanted);
  expect(flows.dropped).toBeGreaterThan(BigInt(ALLOWED / 2));
  expect(flows.delivered + flows.dropped).toBe(flows.produced);
  const handOff = consumer.counters()[Lane.FLOWS]?.dropped ?? 0n;
  expect(BigInt(allowed) + handOff).toBe(flows.delivered);
  expect(consumer.counters()[Lane.DENIES]?.dropped).toBe(0n);
  console.log(
    `${Math.round(perSecond)} allowed events/s: ${flows.dropped} of ${flows.produced} dropped; denies ${denies.delivered} of ${denies.produced}`,
  );
  kernel.close();
});
