// What is in the stitching window when the controller dies: every observation is stored before it is acknowledged, and the next process
// takes the window up from the store.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, EventKind, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WorkloadRecord } from '../../store/records.js';
import { type FlowRow, flowColumns } from '../../testing/flow-columns.js';
import { EndResolver } from '../ends.js';
import { Followers } from '../followers.js';
import { MemoryHistory } from '../history.js';
import { FlowIngest } from '../ingest.js';
import { DuckArchive } from '../store/duck-archive.js';

const NOW_US = 1_790_000_000_000_000;
const RUN = Buffer.alloc(16, 3);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-restart-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A client on host a, seen as 10.0.0.1 by others; a server on b. */
const near: FlowRow = {
  workload: 'a/client',
  local: '172.17.0.2',
  localPort: 40_000,
  remote: '10.0.0.2',
  remotePort: 80,
  remoteIdentity: 2,
  firstSeenUs: NOW_US,
  bytesOut: 100,
};
const far: FlowRow = {
  workload: 'b/server',
  local: '10.0.0.2',
  localPort: 80,
  remote: '10.0.0.1',
  remotePort: 40_000,
  servicePort: 80,
  direction: Direction.DIRECTION_INBOUND,
  verdict: Verdict.VERDICT_BLOCKED,
  firstSeenUs: NOW_US + 1000,
  bytesIn: 90,
};

function workload(id: string): WorkloadRecord {
  const [hostId = '', name = ''] = id.split('/');
  const nothing = { source: '', image: '', addresses: [], published: [], cgroupPath: '', labels: {}, metadata: {} };
  const times = { goneMs: 0, createdMs: 0, version: 1 };
  return { id, name, kind: 2, hostId, localId: name, sticky: false, present: true, ...nothing, ...times };
}

/** A controller's flow part over the same store; `nowMs` is its clock. */
async function start(nowMs: () => number, wallMs: () => number = () => NOW_US / 1000) {
  const archive = await DuckArchive.open({
    file: join(dir, 'flows.duckdb'),
    days: 30,
    bytes: 2 ** 30,
    memoryBytes: 2 ** 28,
    now: wallMs,
    onDeath: () => {},
  });
  const known = new Map(['a/client', 'a/other', 'b/server'].map((id) => [id, workload(id)]));
  const identities = ['', 'a/client', 'b/server', 'a/other'];
  const ends = new EndResolver({
    workload: (id) => known.get(id),
    at: () => [],
    ofHost: () => [],
    identityOf: (id) => identities.indexOf(id),
    workloadsOf: (identity) => identities.slice(identity, identity + 1),
  });
  const behind = (_hostId: string, hex: string) => (hex.endsWith('0a000001') ? ['a/client', 'a/other'] : []);
  const end = (id: string) => ends.found(id, '', 0);
  const ingest = new FlowIngest({
    history: new MemoryHistory(10_000, archive.firstId),
    followers: new Followers(),
    ends,
    archive,
    translations: { behind, lately: () => [], version: () => 1, end },
    nowMs,
  });
  const restored = await ingest.restore(wallMs() * 1000);
  const take = (hostId: string, sequence: bigint, ...rows: FlowRow[]) =>
    new Promise<void>((resolve) => {
      const message = { run: RUN, sequence, flows: flowColumns(rows), loss: undefined, translations: undefined };
      ingest.take(hostId, message, resolve);
    });
  const rows = async () => {
    const page = await archive.page({ filter: FlowFilter.fromPartial({}), afterId: 0, limit: 100 });
    return page.records.map(({ block, index: i }) => ({
      source: block.ends[(block.direction[i] === 1 ? block.remote : block.local)[i] ?? 0]?.workloadId,
      views: block.views[i],
      verdict: block.verdict[i],
      bytes: [block.bytesOut[i], block.farBytesIn[i]],
      kind: block.kind[i],
    }));
  };
  return { archive, ingest, restored, take, rows };
}

test.each(['far', 'near'])(
  'the %s side before, the other one after a restart: one row, nothing twice',
  async (first) => {
    const one = await start(() => 0);
    const [before, after] =
      first === 'far'
        ? ([
            ['b', far],
            ['a', near],
          ] as const)
        : ([
            ['a', near],
            ['b', far],
          ] as const);
    await one.take(before[0], 1n, before[1]);
    expect(await one.rows()).toHaveLength(1);
    await one.archive.close();

    // The clock of another process begins anew.
    const two = await start(() => 5);
    expect(two.restored).toBe(1);
    // What was not acknowledged in time comes again.
    await two.take(before[0], 1n, before[1]);
    await two.take(after[0], 1n, after[1]);
    const together = { source: 'a/client', views: 3, verdict: Verdict.VERDICT_BLOCKED, bytes: [100, 90] };
    expect(await two.rows()).toEqual([{ ...together, kind: EventKind.EVENT_KIND_NEW }]);
    await two.archive.close();

    // And again, with both views in the row.
    const three = await start(() => 0);
    const later = { firstSeenUs: NOW_US, lastSeenUs: NOW_US + 3_000_000, bytesOut: 11 };
    await three.take('a', 2n, { ...near, ...later });
    expect(await three.rows()).toEqual([{ ...together, bytes: [111, 90], kind: EventKind.EVENT_KIND_NEW }]);
    await three.archive.close();
  },
);

test('an end within the tick of the first packet counts, also when the other side told its end before the restart', async () => {
  const one = await start(() => 0);
  const instant = { lastSeenUs: NOW_US, verdict: Verdict.VERDICT_ALLOWED };
  await one.take('a', 1n, { ...near, ...instant });
  await one.take('b', 1n, { ...far, ...instant, kind: EventKind.EVENT_KIND_END });
  await one.archive.close();
  const two = await start(() => 0);
  await two.take('a', 2n, { ...near, ...instant, bytesOut: 11, kind: EventKind.EVENT_KIND_END });
  expect(await two.rows()).toMatchObject([{ views: 3, bytes: [111, 90] }]);
  await two.archive.close();
});

test('what waited for this controller as long as it was away is one row, though it fell again between the two ends', async () => {
  const one = await start(() => 0);
  const old = { firstSeenUs: NOW_US - 1_800_000_000, lastSeenUs: NOW_US - 1_800_000_000 };
  await one.take('a', 1n, { ...near, ...old });
  await one.archive.close();
  const two = await start(() => 0);
  await two.take('b', 1n, { ...far, ...old });
  expect(await two.rows()).toMatchObject([{ views: 3, bytes: [100, 90] }]);
  await two.archive.close();
});

test('a row of the hour before is replaced while it may be, and left alone when its hour is closed', async () => {
  const hour = Math.floor(NOW_US / 3_600_000_000) * 3_600_000;
  const minutes = (n: number) => hour + n * 60_000;
  let wall = minutes(59);
  const began = { firstSeenUs: wall * 1000, lastSeenUs: wall * 1000 };
  const nearOf = (localPort: number) => ({ ...near, ...began, localPort });
  const farOf = (remotePort: number) => ({ ...far, ...began, remotePort });
  const process = () =>
    start(
      () => 0,
      () => wall,
    );
  const one = await process();
  await one.take('a', 1n, nearOf(1), nearOf(2));
  await one.archive.close();
  // Another process has the hour a little longer than the one that ended would have had it.
  wall = minutes(64);
  const two = await process();
  wall = minutes(66);
  await two.take('b', 1n, farOf(1));
  expect((await two.rows()).map(({ views }) => views).sort()).toEqual([2, 3]);
  wall = minutes(68);
  await two.take('b', 2n);
  wall = minutes(70);
  await two.take('b', 3n, farOf(9));
  await two.archive.close();
  const three = await process();
  await three.take('b', 4n, farOf(2));
  // Two rows of one end each, not one of both beside one of the first.
  expect((await three.rows()).map(({ views }) => views).sort()).toEqual([1, 1, 2, 3]);
  await three.archive.close();
});

test('what is older than an hour is not taken up', async () => {
  const one = await start(() => 0);
  const old = { firstSeenUs: NOW_US - 3_700_000_000, lastSeenUs: NOW_US - 3_700_000_000 };
  await one.take('a', 1n, { ...near, ...old });
  await one.archive.close();
  const two = await start(() => 0);
  expect(two.restored).toBe(0);
  await two.take('b', 1n, { ...far, ...old });
  expect(await two.rows()).toHaveLength(2);
  await two.archive.close();
});

test('history that is read in pages while rows are replaced says which row a later one takes the place of', async () => {
  const { archive, take } = await start(() => 0);
  const other = (n: number) => ({ ...near, remote: '192.0.2.9', localPort: 50_000 + n });
  await take('a', 1n, near, other(1), other(2), other(3));
  const page = (afterId: number) => archive.page({ filter: FlowFilter.fromPartial({}), afterId, limit: 2 });
  const seen = ({ records }: Awaited<ReturnType<typeof page>>) =>
    records.map(({ block, index }) => [block.idAt(index), block.replaces[index]]);
  const one = await page(0);
  expect(seen(one)).toEqual([
    [1, 0],
    [2, 0],
  ]);
  // Replaced twice before the next page, and what nobody has seen once.
  await take('b', 1n, far);
  await take('a', 2n, { ...near, lastSeenUs: NOW_US + 3_000_000 });
  await take('a', 3n, { ...other(3), lastSeenUs: NOW_US + 3_000_000 });
  const two = await page(one.lastId);
  expect(seen(two)).toEqual([
    [3, 0],
    [6, 1],
  ]);
  const three = await page(two.lastId);
  expect(three.more).toBe(false);
  expect(seen(three)).toEqual([[7, 0]]);
  // Another reader has seen none of it.
  const all = await archive.page({ filter: FlowFilter.fromPartial({}), afterId: 0, limit: 100 });
  expect(seen(all)).toEqual([2, 3, 6, 7].map((id) => [id, 0]));
  await archive.close();
});
