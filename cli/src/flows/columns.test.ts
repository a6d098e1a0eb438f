import { expect, test } from 'vitest';
import { allowedFlow, sampleFlow, sampleTimeUs } from '../testing/samples.js';
import { plain } from '../text/style.js';
import { renderHeading, renderLine } from '../text/table.js';
import { clockFromUs } from '../text/time.js';
import { displayWidth } from '../text/width.js';
import { flowJson } from '../views/flow.js';
import { endText, flowColumns, layoutFor, processText, seenText, whyText } from './columns.js';
import { gapText } from './gap.js';
import { flowLine } from './line.js';

const nowMs = Number(sampleTimeUs / 1000n);
const today = { now: () => nowMs, dated: false };
const clock = clockFromUs(sampleTimeUs, nowMs);

function table(room: number): string {
  const { columns, widths, dropped } = layoutFor(room, today);
  const lines = [
    renderHeading(columns, widths, plain),
    ...[sampleFlow(), allowedFlow()].map((flow) =>
      renderLine(columns, widths, flow, plain, room !== Number.POSITIVE_INFINITY),
    ),
  ];
  return `${lines.join('\n').replaceAll(clock, 'HH:MM:SS.mmm')}\ndropped: ${dropped.join(' ')}`;
}

test('a full line says who, where, what, why, mode, version, process and confidence', () => {
  expect(table(Number.POSITIVE_INFINITY)).toMatchInlineSnapshot(`
    "TIME          VERDICT      SOURCE                              DESTINATION                         SERVICE     WHY                       MODE        SEEN       POLICY  PROCESS          PEER
    HH:MM:SS.mmm  blocked      client{role=client} 10.0.0.1        db{role=db env=prod} 2001:db8::2    tcp/5432    implicit-deny             enforce     outbound   v7      psql             exact
    HH:MM:SS.mmm  allowed      client{role=client} 10.0.0.1        db{role=db env=prod} 2001:db8::2    tcp/5432    allow by web-to-db        enforce     outbound   v7      psql             exact
    dropped: "
  `);
});

test('a narrow terminal cuts names and leaves out the least telling columns, and says which', () => {
  expect(table(100)).toMatchInlineSnapshot(`
    "TIME          VERDICT      SOURCE           DESTINATION      SERVICE     WHY            PROCESS
    HH:MM:SS.mmm  blocked      client{role=cl…  db{role=db env…  tcp/5432    implicit-deny  psql
    HH:MM:SS.mmm  allowed      client{role=cl…  db{role=db env…  tcp/5432    allow by web…  psql
    dropped: PEER SEEN POLICY MODE"
  `);
});

test.each([95, 100, 120, 160, 200, 300])('every line fits %i columns', (room) => {
  const { columns, widths } = layoutFor(room, today);
  expect(displayWidth(renderLine(columns, widths, sampleFlow(), plain, true))).toBeLessThanOrEqual(room);
  expect(columns.filter(({ dropOrder }) => dropOrder === 0)).toHaveLength(
    1 + flowColumns.filter(({ dropOrder }) => dropOrder === 0).length,
  );
});

test('the compact line is complete', () => {
  expect(flowLine(sampleFlow(), plain, nowMs).replace(clock, 'T')).toBe(
    'T blocked client{role=client}@10.0.0.1:40312 -> db{role=db,env=prod}@[2001:db8::2]:5432 tcp/5432 process=psql why=implicit-deny mode=enforce/outbound policy=v7 peer=exact host=a x3',
  );
});

test('lines of another day say which, in every form, and line up with those of today', () => {
  const later = nowMs + 3 * 86_400_000;
  const day = clockFromUs(sampleTimeUs, later);
  expect(day).toMatch(/^03-01 \d\d:\d\d:\d\d$/);
  const { columns, widths } = layoutFor(100, { now: () => later, dated: true });
  const lines = [sampleFlow(), sampleFlow({ lastSeenUs: BigInt(later) * 1000n })].map((flow) =>
    renderLine(columns, widths, flow, plain, true),
  );
  expect(lines[0]?.startsWith(`${day}  blocked`)).toBe(true);
  expect(lines[1]?.indexOf('blocked')).toBe(lines[0]?.indexOf('blocked'));
  expect(flowLine(sampleFlow(), plain, later).startsWith(`${day} blocked`)).toBe(true);
  const gap = { count: 1n, beforeFilter: false, hop: 'ring', hostId: '', fromUs: sampleTimeUs, untilUs: sampleTimeUs };
  expect(gapText(gap, later)).toContain(`, ${day}`);
});

test('an end whose name is not known is called by its id', () => {
  const source = { workloadId: 'alpha/c0ffee', workloadName: '', ip: Buffer.from([10, 0, 0, 5]), port: 1 };
  const flow = sampleFlow({ source });
  expect(endText(flow.source)).toBe('alpha/c0ffee 10.0.0.5');
  expect(flowLine(flow, plain, nowMs)).toContain(' alpha/c0ffee{}@10.0.0.5:1 -> ');
});

test('whyText names the rule, the implicit deny, or the reason', () => {
  expect(whyText(sampleFlow())).toBe('implicit-deny');
  expect(whyText(allowedFlow())).toBe('allow by web-to-db');
  expect(whyText(allowedFlow({ ruleId: '', reason: 2 }))).toBe('deny by no 12');
  expect(whyText(allowedFlow({ reason: 8 }))).toBe('readmitted by web-to-db');
  expect(whyText(sampleFlow({ reason: 6 }))).toBe('isolated');
});

test('a record of both ends says so, which one refused, and that it takes the place of an earlier one', () => {
  const [near, far] = [{ verdict: 1 }, { verdict: 2 }];
  const both = sampleFlow({ views: [near, far], replaces: 7n });
  expect(whyText(both)).toBe('implicit-deny at destination');
  expect(seenText(both)).toBe('both+');
  expect(whyText(sampleFlow({ views: [far, far] }))).toBe('implicit-deny');
  expect(flowJson(both)).toMatchObject({ replaces: 7n, views: [{ verdict: 'allowed' }, { verdict: 'blocked' }] });
});

test('ends that are not known are marked, and the reporting end gives the process', () => {
  expect(endText(undefined)).toBe('?');
  expect(endText(sampleFlow({ source: { ip: Buffer.from([192, 0, 2, 1]) } }).source)).toBe('192.0.2.1');
  const inbound = sampleFlow({ direction: 1, source: { process: 'psql' }, destination: { process: 'postgres' } });
  expect(processText(inbound)).toBe('postgres');
  expect(processText(sampleFlow({ source: {}, destination: {} }))).toBe('-');
});

test('flowJson has stable names, words, text addresses and exact numbers', () => {
  expect(flowJson(sampleFlow())).toEqual({
    id: 1n,
    firstSeen: '2026-03-01T08:15:02.122456Z',
    lastSeen: '2026-03-01T08:15:02.123456Z',
    verdict: 'blocked',
    reason: 'implicit-deny',
    rule: 0,
    ruleId: null,
    mode: 'enforce',
    policyVersion: 7,
    direction: 'outbound',
    confidence: 'exact',
    kind: 'deny',
    reporterHostId: 'a',
    source: {
      workloadId: 'a/container:1',
      workload: 'client',
      hostId: 'a',
      labels: { role: 'client' },
      identity: 7,
      address: '10.0.0.1',
      port: 40_312,
      process: 'psql',
      pid: 312,
    },
    destination: {
      workloadId: 'b/container:2',
      workload: 'db',
      hostId: 'b',
      labels: { role: 'db', env: 'prod' },
      identity: 9,
      address: '2001:db8::2',
      port: 5432,
      process: null,
      pid: null,
    },
    protocol: 'tcp',
    protocolNumber: 6,
    servicePort: 5432,
    service: 'tcp/5432',
    bytesForward: 9_007_199_254_740_993n,
    bytesBack: 0n,
    packetsForward: 1n,
    packetsBack: 0n,
    attempts: 3,
    tcpFlags: 0,
    replaces: null,
    views: [],
  });
});
