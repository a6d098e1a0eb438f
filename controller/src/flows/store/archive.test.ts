// One set of cases over both archives: what a filter finds, what pages hold, what a graph adds up to.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LabelRequirement_Operator as Operator } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction, EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { flowPredicate, RESOLVED_NAMES } from '../../api/flow-filter.js';
import { flowRow } from '../../api/flow-rows.js';
import type { WorkloadRecord } from '../../store/records.js';
import { type FlowRow, flowColumns } from '../../testing/flow-columns.js';
import { EndResolver } from '../ends.js';
import { Followers } from '../followers.js';
import { type FlowPredicate, type FlowRef, MemoryHistory } from '../history.js';
import { FlowIngest } from '../ingest.js';
import type { FlowArchive, GraphRow } from './archive.js';
import { DuckArchive } from './duck-archive.js';
import { MemoryArchive } from './memory-archive.js';

const START_MS = 1_790_000_000_000;
const workloads = new Map(
  [
    ['h1/web', 'web', { role: 'web', app: 'shop' }],
    ['h1/api', 'api', { role: 'api', app: 'shop' }],
    ['h2/db', 'db', { role: 'db', app: 'shop', env: 'prod' }],
    ['h2/ledger', 'ledger', { role: 'db', app: 'bank' }],
  ].map(([id, name, labels]) => [
    id as string,
    workload(id as string, name as string, labels as Record<string, string>),
  ]),
);

function workload(id: string, name: string, labels: Record<string, string>): WorkloadRecord {
  const [hostId = ''] = id.split('/');
  const none = { source: '', image: '', addresses: [], published: [], cgroupPath: '', metadata: {} };
  const state = { sticky: false, present: true, goneMs: 0, createdMs: 0, version: 1 };
  return { id, name, kind: 2, hostId, localId: id, labels, ...none, ...state };
}

/** Addresses of the workloads, in their order, and of a stranger. */
const ADDRESSES = ['10.0.1.1', '10.0.1.2', '10.0.2.1', 'fd00::7', '192.0.2.9'];
const IDS = [...workloads.keys()];

/** Deterministic, and different in every column. */
function rows(count: number, seed: number): FlowRow[] {
  return Array.from({ length: count }, (_, n) => {
    const i = n + seed;
    const local = i % 4;
    const firstSeenUs = (START_MS + i * 1000) * 1000;
    return {
      workload: IDS[local] ?? '',
      local: ADDRESSES[local] ?? '',
      remote: ADDRESSES[(i * 7 + 1) % 5] ?? '',
      localPort: 30_000 + (i % 100),
      remotePort: [80, 443, 5432, 9000][i % 4] ?? 0,
      protocol: i % 5 === 0 ? 17 : 6,
      direction: i % 3 === 0 ? Direction.DIRECTION_INBOUND : Direction.DIRECTION_OUTBOUND,
      verdict: [Verdict.VERDICT_ALLOWED, Verdict.VERDICT_BLOCKED, Verdict.VERDICT_WOULD_BLOCK][i % 3] ?? 0,
      reason: i % 2 === 0 ? Reason.REASON_RULE_ALLOW : Reason.REASON_IMPLICIT_DENY,
      mode: i % 7 === 0 ? Mode.MODE_TEST : Mode.MODE_ENFORCE,
      rule: i % 6,
      policyVersion: 1 + (i % 2),
      localIdentity: 10 + local,
      process: ['nginx', 'postgres', ''][i % 3] ?? '',
      pid: i,
      firstSeenUs,
      lastSeenUs: firstSeenUs + (i % 50) * 1000,
      bytesIn: i * 3,
      bytesOut: 2 ** 33 + i,
    };
  });
}

const place = { selector: undefined, workloads: [], addresses: [], ports: [], hosts: [] };
const role = (values: string[], operator = Operator.OPERATOR_IN) => ({
  ...place,
  selector: { requirements: [{ dimension: 'role', operator, values }] },
});
const cases: [string, Parameters<typeof FlowFilter.fromPartial>[0]][] = [
  ['nothing asked', {}],
  ['verdict', { verdicts: [Verdict.VERDICT_BLOCKED, Verdict.VERDICT_WOULD_BLOCK] }],
  ['reason and mode', { reasons: [Reason.REASON_IMPLICIT_DENY], modes: [Mode.MODE_TEST] }],
  ['protocol and direction', { protocols: [17], directions: [Direction.DIRECTION_INBOUND] }],
  [
    'service ports',
    {
      ports: [
        { low: 80, high: 80 },
        { low: 5000, high: 6000 },
      ],
    },
  ],
  ['rules', { rules: ['0', '3'] }],
  ['kinds', { kinds: [EventKind.EVENT_KIND_NEW] }],
  ['kinds that none has', { kinds: [EventKind.EVENT_KIND_END] }],
  ['reporter', { reporters: ['h2'] }],
  ['reporter that never reported', { reporters: ['h9'] }],
  ['process', { processes: ['postgres', 'nobody'] }],
  ['time', { sinceUs: BigInt(START_MS + 200_000) * 1000n, untilUs: BigInt(START_MS + 400_000) * 1000n }],
  ['source label', { source: role(['web', 'db']) }],
  ['destination without label', { destination: role([], Operator.OPERATOR_NOT_EXISTS) }],
  ['either workload by name', { either: { ...place, workloads: ['ledger'] } }],
  ['workload by id and other end', { source: { ...place, workloads: ['h1/api'] }, destination: role(['web']) }],
  ['hosts of an end', { destination: { ...place, hosts: ['h1'] } }],
  ['IPv4 prefix', { source: { ...place, addresses: ['10.0.0.0/15'] } }],
  ['odd prefix lengths', { either: { ...place, addresses: ['192.0.2.8/30', 'fd00::/9'] } }],
  ['IPv6 address', { destination: { ...place, addresses: ['fd00::7'] } }],
  ['ports of an end', { source: { ...place, ports: [{ low: 30_010, high: 30_020 }] } }],
  [
    'all together',
    {
      source: { ...role(['api', 'web']), addresses: ['10.0.1.0/24'], ports: [{ low: 30_000, high: 30_080 }] },
      destination: { ...place, addresses: ['10.0.0.0/8', '192.0.2.9'] },
      verdicts: [Verdict.VERDICT_BLOCKED, Verdict.VERDICT_ALLOWED],
    },
  ],
];

const RUN = Buffer.alloc(16, 5);
const BATCHES = 6;
const BATCH = 1500;

describe.each(['memory', 'disk'])('%s', (kind) => {
  const directory = mkdtempSync(join(tmpdir(), 'rf-flows-'));
  const history = new MemoryHistory(100_000);
  let archive: FlowArchive;
  /** What a plain scan of the staged records says. */
  const scan = (matches: FlowPredicate) => history.newest(matches, Number.MAX_SAFE_INTEGER);

  beforeAll(async () => {
    // Two records of each batch's hour: the hours advance, so that most are closed and rolled up.
    let hours = 0;
    archive =
      kind === 'memory'
        ? new MemoryArchive(history)
        : await DuckArchive.open({
            file: join(directory, 'flows.duckdb'),
            days: 30,
            bytes: 2 ** 30,
            memoryBytes: 2 ** 28,
            now: () => START_MS + hours * 3_600_000,
            onDeath: () => {},
          });
    const addressIds = new Map(ADDRESSES.map((address, index) => [hexOf(address), IDS[index]]));
    const ends = new EndResolver({
      workload: (id) => workloads.get(id),
      at: (hex) => [...workloads.values()].filter(({ id }) => id === addressIds.get(hex)),
      ofHost: () => [],
      identityOf: (id) => 10 + IDS.indexOf(id),
      workloadsOf: () => [],
    });
    const ingest = new FlowIngest({ history, followers: new Followers(), ends, archive });
    for (let batch = 0; batch < BATCHES; batch += 1) {
      hours = Math.floor(batch / 2);
      const flows = flowColumns(rows(BATCH, batch * BATCH));
      await new Promise<void>((resolve) => {
        ingest.take(
          batch % 2 === 0 ? 'h1' : 'h2',
          { run: RUN, sequence: BigInt(batch + 1), flows, loss: undefined, translations: undefined },
          resolve,
        );
      });
    }
  });
  afterAll(async () => {
    await archive.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test.each(cases)('filter: %s', async (_name, partial) => {
    const filter = FlowFilter.fromPartial(partial);
    const expected = scan(flowPredicate(filter, RESOLVED_NAMES));
    const page = await archive.page({ filter, afterId: 0, limit: 100_000 });
    expect(page.more).toBe(false);
    expect(page.records.map(({ block, index }) => block.idAt(index))).toEqual(
      expected.map(({ block, index }) => block.idAt(index)),
    );
    const some = (_: unknown, i: number) => i % 37 === 0;
    expect(page.records.filter(some).map(recordOf)).toEqual(expected.filter(some).map(recordOf));
  });

  test.each(cases)('graph: %s', async (_name, partial) => {
    const filter = FlowFilter.fromPartial(partial);
    const expected = await new MemoryArchive(history).graph({ filter, groupBy: ['role', 'app'] });
    const found = await archive.graph({ filter, groupBy: ['role', 'app'] });
    expect(sorted(found)).toEqual(sorted(expected));
  });

  test('pages follow each other without gap or duplicate and end joined', async () => {
    const filter = FlowFilter.fromPartial({ protocols: [17] });
    const ids: number[] = [];
    let joins = 0;
    for (let afterId = 0, more = true; more; ) {
      const page = await archive.page({ filter, afterId, limit: 500 }, () => {
        joins += 1;
      });
      ids.push(...page.records.map(({ block, index }) => block.idAt(index)));
      ({ lastId: afterId, more } = page);
    }
    expect(ids).toEqual(scan(flowPredicate(filter, RESOLVED_NAMES)).map(({ block, index }) => block.idAt(index)));
    expect(joins).toBe(1);
  });

  test.each([1, 700, 2500, 8999, 9000, 50_000])('the newest %i begin where they should', async (limit) => {
    const filter = FlowFilter.fromPartial({});
    const afterId = await archive.startOfNewest(filter, limit);
    const { records } = await archive.page({ filter, afterId, limit: 100_000 });
    expect(records).toHaveLength(Math.min(limit, BATCHES * BATCH));
  });
});

function hexOf(address: string): string {
  return address.includes(':')
    ? 'fd000000000000000000000000000007'
    : `00000000000000000000ffff${address
        .split('.')
        .map((part) => Number(part).toString(16).padStart(2, '0'))
        .join('')}`;
}

function recordOf({ block, index }: FlowRef): object {
  const flow = flowRow({ block, index }, String);
  return {
    ...flow,
    pid: block.pid[index],
    strings: [block.process[index], block.reporter[index]].map((ref) => block.strings[ref ?? -1]),
  };
}

function sorted(rows: readonly GraphRow[]): GraphRow[] {
  const key = (row: GraphRow) =>
    [row.source, row.destination, row.direction, row.protocol, row.servicePort, row.verdict, row.process].join('|');
  return [...rows].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
