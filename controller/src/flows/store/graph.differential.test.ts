// Graphs of the store, by rollups or by records as it sees fit, against a plain addition of everything that was stored and not replaced: at
// random, over hours that close, days, replaced rows, filters that cut hours, groups, thresholds, and a store that is opened again.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, EventKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import { buildGraph } from '../graph.js';
import { groupKey } from './archive.js';
import { FlowDatabase } from './database.js';
import type { StoreBatch } from './messages.js';
import { syntheticBatch } from './synthetic.js';

const HOUR_MS = 3_600_000;
const START_MS = 500_000 * HOUR_MS;
const GROUPS = [[], ['role'], ['role', 'env'], ['app'], ['workload'], ['host'], ['env', 'host']];
const NONE = {
  bytesForward: 0,
  bytesBack: 0,
  packetsForward: 0,
  packetsBack: 0,
  count: 0,
  connections: 0,
  durationUs: 0,
};
type Sums = typeof NONE;
type Random = (below: number) => number;

function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** One row, as it was handed over. */
interface Row {
  readonly at: (name: string) => number;
  readonly ends: StoreBatch['ends'];
}

function madeUp(
  random: Random,
  firstId: number,
  sequence: number,
  startUs: number,
): { batch: StoreBatch; rows: Row[] } {
  const count = 1 + random(60);
  const made = syntheticBatch({ firstId, sequence: BigInt(sequence), count, startUs, workloads: 12, peers: 5 });
  const put = (name: string, value: () => number) => {
    const bytes = made.columns[name] as Uint8Array;
    const width = bytes.length / count;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < count; i += 1) {
      const n = value();
      if (width === 1) view.setUint8(i, n);
      else if (width === 2) view.setUint16(2 * i, n, true);
      else if (width === 4) view.setUint32(4 * i, n, true);
      else view.setBigUint64(8 * i, BigInt(n), true);
    }
  };
  const sides = Array.from({ length: count }, () => 1 + random(3));
  let place = 0;
  const inTurn = (of: (views: number) => number) => () => of(sides[place++ % count] as number);
  put(
    'views',
    inTurn((views) => views),
  );
  put(
    'direction',
    inTurn((views) => (views === 1 ? Direction.DIRECTION_INBOUND : Direction.DIRECTION_OUTBOUND)),
  );
  for (const name of ['far_bytes_in', 'far_bytes_out', 'far_packets_in', 'far_packets_out']) {
    put(
      name,
      inTurn((views) => (views === 3 ? random(1_000_000) : 0)),
    );
  }
  put('verdict', () => 1 + random(3));
  put('kind', () => 1 + random(5));
  put('attempts', () => 1 + random(4));
  put('service_port', () => [80, 443, 5432][random(3)] as number);
  put('reporter', () => 4 * random(2));
  const at = (i: number) => (name: string) => {
    const bytes = made.columns[name] as Uint8Array;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const width = bytes.length / count;
    if (width === 8) return Number(view.getBigUint64(8 * i, true));
    return width === 4 ? view.getUint32(4 * i, true) : width === 2 ? view.getUint16(2 * i, true) : view.getUint8(i);
  };
  return { batch: made, rows: Array.from({ length: count }, (_, i) => ({ at: at(i), ends: made.ends })) };
}

function sumsOf({ at }: Row): Sums {
  const way = (near: string, far: string) => Math.max(at(near), at(far));
  const [into, out] = [way('bytes_in', 'far_bytes_out'), way('bytes_out', 'far_bytes_in')];
  const [packetsIn, packetsOut] = [way('packets_in', 'far_packets_out'), way('packets_out', 'far_packets_in')];
  const inbound = at('direction') === Direction.DIRECTION_INBOUND;
  const denied = at('kind') === EventKind.EVENT_KIND_DENY;
  return {
    bytesForward: inbound ? into : out,
    bytesBack: inbound ? out : into,
    packetsForward: inbound ? packetsIn : packetsOut,
    packetsBack: inbound ? packetsOut : packetsIn,
    count: at('attempts'),
    connections: denied ? at('attempts') : at('kind') === EventKind.EVENT_KIND_END ? 1 : 0,
    durationUs: at('last_us') - at('first_us'),
  };
}

const NAMES = Object.keys(NONE) as (keyof Sums)[];
const both = (a: Sums, b: Sums, of: (x: number, y: number) => number) =>
  Object.fromEntries(NAMES.map((name) => [name, of(a[name], b[name])])) as Sums;
const plus = (a: Sums, b: Sums) => both(a, b, (x, y) => x + y);

interface Asked {
  readonly sinceUs: number;
  readonly untilUs: number;
  readonly verdicts: readonly number[];
  readonly groupBy: readonly string[];
  readonly min: { readonly bytes: number; readonly count: number; readonly durationUs: number };
}

/** Edges in words, sorted, and how many were left out. */
function plainly(rows: Iterable<Row>, { sinceUs, untilUs, verdicts, groupBy, min }: Asked) {
  const pairs = new Map<string, Map<string, Map<number, Sums>>>();
  let records = 0;
  for (const row of rows) {
    const { at, ends } = row;
    if (at('last_us') < sinceUs || (untilUs > 0 && at('first_us') >= untilUs)) continue;
    if (verdicts.length > 0 && !verdicts.includes(at('verdict'))) continue;
    records += 1;
    const keys = ['local_end', 'remote_end'].map((name) => groupKey(ends[at(name)] as StoreBatch['ends'][0], groupBy));
    if (at('direction') === Direction.DIRECTION_INBOUND) keys.reverse();
    const pair = keys.join(' > ');
    const services = pairs.get(pair) ?? new Map<string, Map<number, Sums>>();
    pairs.set(pair, services);
    const service = `${at('protocol')}/${at('service_port')}/${at('verdict')}`;
    const sides = services.get(service) ?? new Map<number, Sums>();
    services.set(service, sides);
    sides.set(at('views'), plus(sides.get(at('views')) ?? NONE, sumsOf(row)));
  }
  const edges = [...pairs].map(([pair, services]) => {
    const list = [...services].map(([service, sides]): [string, Sums] => {
      const alone = both(sides.get(1) ?? NONE, sides.get(2) ?? NONE, Math.max);
      return [service, plus(alone, sides.get(3) ?? NONE)];
    });
    return { pair, services: list.sort(), sums: list.map(([, sums]) => sums).reduce(plus, NONE) };
  });
  const kept = edges.filter(
    ({ sums }) =>
      sums.bytesForward + sums.bytesBack >= min.bytes && sums.count >= min.count && sums.durationUs >= min.durationUs,
  );
  return { records, leftOut: edges.length - kept.length, edges: kept.sort((a, b) => (a.pair < b.pair ? -1 : 1)) };
}

async function fromStore(database: FlowDatabase, { sinceUs, untilUs, verdicts, groupBy, min }: Asked) {
  const times = { sinceUs: BigInt(sinceUs), untilUs: BigInt(untilUs) };
  const filter = FlowFilter.fromPartial({ ...times, verdicts: [...verdicts] });
  const thresholds = {
    minBytes: BigInt(min.bytes),
    minCount: BigInt(min.count),
    minDurationUs: BigInt(min.durationUs),
  };
  const shape = { groupBy, ...thresholds, limit: 20_000, ruleId: () => '' };
  const graph = buildGraph(await database.graph({ filter, groupBy }), shape);
  const names = new Map(
    graph.nodes.map(({ id, labels }) => {
      const values = groupBy.map((name) => labels.find(({ dimension }) => dimension === name)?.value ?? null);
      return [id, JSON.stringify(values)];
    }),
  );
  const sumsIn = (sums: { readonly [K in keyof Sums]: bigint } | undefined) =>
    Object.fromEntries(NAMES.map((name) => [name, Number(sums?.[name] ?? -1n)])) as Sums;
  const edges = graph.edges.map(({ source, destination, services, sums }) => ({
    pair: `${names.get(source)} > ${names.get(destination)}`,
    services: services
      .map(({ protocol, port, verdict, sums: each }): [string, Sums] => [
        `${protocol}/${port}/${verdict}`,
        sumsIn(each),
      ])
      .sort(),
    sums: sumsIn(sums),
  }));
  return {
    records: Number(graph.records),
    leftOut: graph.edgesLeftOut,
    edges: edges.sort((a, b) => (a.pair < b.pair ? -1 : 1)),
  };
}

test.each([1, 2])('a graph is what adding everything up gives (seed %d)', { timeout: 120_000 }, async (seed) => {
  const dir = mkdtempSync(join(tmpdir(), 'rf-graph-'));
  const settings = { file: join(dir, 'flows.duckdb'), days: 400, bytes: 2 ** 40, memoryBytes: 2 ** 28 };
  const random = randomOf(seed);
  let database = new FlowDatabase(settings);
  try {
    await database.open('line');
    const kept = new Map<number, Row>();
    /** Ids that may be replaced still, with the time until which they may. */
    let fresh: { readonly id: number; readonly untilMs: number }[] = [];
    let [nowMs, nextId] = [START_MS, 1];
    const ask = async () => {
      const span = nowMs - START_MS + HOUR_MS;
      const unit = random(2) === 0 ? HOUR_MS : 1;
      const from = Math.floor((START_MS + random(span)) / unit) * unit;
      const until = Math.floor((from + random(span)) / unit) * unit;
      const asked: Asked = {
        sinceUs: random(3) === 0 ? 0 : from * 1000,
        untilUs: random(2) === 0 ? 0 : until * 1000,
        verdicts: [[], [], [3], [1, 2]][random(4)] as number[],
        groupBy: GROUPS[random(GROUPS.length)] as string[],
        min: {
          bytes: random(2) * random(3_000_000),
          count: random(2) * random(30),
          durationUs: random(2) * random(30_000_000),
        },
      };
      expect(await fromStore(database, asked), JSON.stringify(asked)).toEqual(plainly(kept.values(), asked));
    };
    for (let step = 1; step <= 45; step += 1) {
      nowMs += [20_000, 400_000, HOUR_MS, 7 * HOUR_MS][Math.min(3, random(6))] as number;
      const { batch, rows } = madeUp(random, nextId, step, nowMs * 1000);
      fresh = fresh.filter(({ id, untilMs }) => kept.has(id) && untilMs > nowMs);
      const replaced = fresh.filter(() => random(4) === 0).map(({ id }) => id);
      for (const id of replaced) kept.delete(id);
      rows.forEach((row, i) => {
        kept.set(nextId + i, row);
        fresh.push({ id: nextId + i, untilMs: nowMs + 120_000 });
      });
      nextId += rows.length;
      expect(await database.commit([{ ...batch, replaced: Float64Array.from(replaced) }], nowMs)).toBe(true);
      if (step % 3 === 0) await ask();
      if (step % 15 !== 0) continue;
      database.close();
      database = new FlowDatabase(settings);
      await database.open('line');
      await ask();
    }
    expect(database.status()).toMatchObject({ kept: kept.size, problem: '' });
    expect((await database.rollups()).wholeDays).toBeGreaterThan(2);
    for (let n = 0; n < 15; n += 1) await ask();
  } finally {
    database.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
