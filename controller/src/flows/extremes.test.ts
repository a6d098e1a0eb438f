// Times and counters at the ends of their ranges: whatever one agent says, what comes after it is stored, added up and shown.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter, FlowGraph, FlowTimeline } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { Flow, type FlowColumns, LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RESOLVED_NAMES } from '../api/flow-filter.js';
import { flowGraph } from '../api/flow-graph.js';
import { flowRow } from '../api/flow-rows.js';
import { flowTimeline } from '../api/flow-timeline.js';
import { type FlowRow, flowColumns } from '../testing/flow-columns.js';
import { EndResolver } from './ends.js';
import { Followers } from './followers.js';
import { MemoryHistory } from './history.js';
import { FlowIngest } from './ingest.js';
import type { FlowArchive } from './store/archive.js';
import { DuckArchive } from './store/duck-archive.js';
import { MemoryArchive } from './store/memory-archive.js';

const HOUR_MS = 3_600_000;
const START_MS = 500_000 * HOUR_MS;
const MOST = 2n ** 64n - 1n;
const row: FlowRow = { workload: 'h/w', local: '10.0.0.1', remote: '10.0.0.2', firstSeenUs: START_MS * 1000 };
const WIDE = ['firstSeenUs', 'lastSeenUs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const;

let dir: string;
let nowMs = START_MS;
let archive: FlowArchive;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-extremes-'));
  nowMs = START_MS;
});
afterEach(async () => {
  await archive.close();
  rmSync(dir, { recursive: true, force: true });
});

async function ingestInto(kind: string): Promise<FlowIngest> {
  const history = new MemoryHistory(10_000);
  const file = join(dir, 'flows.duckdb');
  const bounds = { days: 30, bytes: 2 ** 30, memoryBytes: 2 ** 28 };
  archive =
    kind === 'memory'
      ? new MemoryArchive(history)
      : await DuckArchive.open({ file, ...bounds, now: () => nowMs, onDeath: () => {} });
  const nobody = {
    workload: () => undefined,
    at: () => [],
    ofHost: () => [],
    identityOf: () => 0,
    workloadsOf: () => [],
  };
  return new FlowIngest({
    history,
    followers: new Followers(),
    ends: new EndResolver(nobody),
    archive,
    nowMs: () => nowMs,
  });
}

/** Columns of so many connections, with one value in some of them. */
function filled(
  count: number,
  value: bigint,
  port: number,
  names: readonly (typeof WIDE)[number][] = WIDE,
): FlowColumns {
  const columns = flowColumns(Array.from({ length: count }, (_, i) => ({ ...row, localPort: port + i })));
  const bytes = () => Buffer.from(new BigUint64Array(count).fill(value).buffer);
  return { ...columns, ...Object.fromEntries(names.map((name) => [name, bytes()])) };
}

function send(ingest: FlowIngest, hostId: string, sequence: bigint, flows: FlowColumns, loss?: LossCounters) {
  return new Promise<void>((resolve) => {
    const message = { run: Buffer.alloc(16, Number(sequence)), sequence, flows, loss, translations: undefined };
    expect(ingest.take(hostId, message, resolve)).toMatchObject({ taken: true });
  });
}

const everything = { filter: FlowFilter.fromPartial({}), afterId: 0, limit: 100_000 };
const loss = LossCounters.fromPartial({ ringDropped: MOST, deniesRingDropped: MOST, agentDropped: MOST });

test.each(['disk', 'memory'])('an agent that says the most of everything harms nobody else (%s)', async (kind) => {
  const ingest = await ingestInto(kind);
  await send(ingest, 'bad', 1n, filled(3000, MOST, 10_000), loss);
  await send(ingest, 'bad', 2n, filled(1, 2n ** 63n + 5n, 20_000, ['firstSeenUs']), loss);
  await send(ingest, 'bad', 3n, filled(1, 0n, 20_001, ['lastSeenUs']), loss);
  await send(ingest, 'good', 1n, flowColumns([{ ...row, workload: 'good/w', localPort: 7 }]));
  const page = await archive.page(everything);
  expect(page.records).toHaveLength(3003);
  for (const record of page.records) Flow.encode(flowRow(record, () => ''));
  expect(page.gaps).toMatchObject([
    { hop: 'ring' },
    { hop: 'agent' },
    { hop: 'ring' },
    { hop: 'agent' },
    { hop: 'ring' },
    { hop: 'agent' },
  ]);
  // Hours close, and what comes then is stored as well.
  for (const hours of [1, 2, 3]) {
    nowMs = START_MS + hours * HOUR_MS;
    await send(
      ingest,
      'good',
      1n + BigInt(hours),
      flowColumns([{ ...row, firstSeenUs: nowMs * 1000, localPort: hours }]),
    );
    // As time passes; else the clock has been set, and hours stay open.
    for (let step = 1; step <= 3; step += 1) {
      nowMs += 120_000;
      await send(ingest, 'good', BigInt(10 * hours + step), flowColumns([]));
    }
    expect((await archive.page({ ...everything, afterId: page.lastId })).records).toHaveLength(hours);
    expect(archive.status()).toMatchObject({ problem: '', lost: 0 });
  }
  const context = {
    archive,
    names: RESOLVED_NAMES,
    ruleId: () => '',
    policyOf: () => {
      throw new Error('not asked');
    },
    now: () => nowMs,
  };
  const graph = await flowGraph(
    {
      filter: undefined,
      groupBy: ['workload'],
      minBytes: 0n,
      minCount: 0n,
      minDurationUs: 0n,
      limit: 0,
      judge: undefined,
    },
    context,
  );
  FlowGraph.encode(graph);
  expect(graph).toMatchObject({ records: 3006n });
  for (const { sums } of graph.edges) expect(sums?.durationUs).toBeGreaterThanOrEqual(0n);
  FlowTimeline.encode(await flowTimeline({ filter: undefined, steps: 10 }, archive, RESOLVED_NAMES, nowMs));
  expect(ingest.losses('bad')).toMatchObject({ ringDropped: MOST });
});

test('what many reports of one connection add up to still travels', async () => {
  const ingest = await ingestInto('memory');
  const reports = Array.from({ length: 3000 }, (_, i) => ({
    ...row,
    localPort: 9,
    direction: Direction.DIRECTION_INBOUND,
    lastSeenUs: START_MS * 1000 + i,
  }));
  const most = Buffer.from(new BigUint64Array(3000).fill(MOST).buffer);
  await send(ingest, 'bad', 1n, { ...flowColumns(reports), bytesIn: most });
  const { records } = await archive.page(everything);
  expect(records).toHaveLength(1);
  for (const record of records) {
    const { bytesForward } = Flow.decode(Flow.encode(flowRow(record, () => '')).finish());
    expect(bytesForward).toBe(BigInt(Number.MAX_SAFE_INTEGER));
  }
});
