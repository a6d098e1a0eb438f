// What the stitcher makes of a few observations; fleets of them: stitcher.property.test.ts.
import { Confidence, Direction, EventKind, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { Bench, endOf, type Row, type Seen } from './testing/records.js';

const OUT = Direction.DIRECTION_OUTBOUND;
const IN = Direction.DIRECTION_INBOUND;
const { CONFIDENCE_EXACT: EXACT, CONFIDENCE_MAPPED: MAPPED, CONFIDENCE_SHARED: SHARED } = Confidence;
const { EVENT_KIND_NEW: NEW, EVENT_KIND_END: END, EVENT_KIND_DENY: DENY, EVENT_KIND_UPDATE: UPDATE } = EventKind;
const BOTH = 3;

/** A container on a behind a's address 10.0.0.1, to a published port of b. */
const near: Seen = {
  direction: OUT,
  local: 'a/client',
  remote: 'b/web',
  localAt: '172.17.0.2:40000',
  remoteAt: '10.0.0.2:8080',
  servicePort: 80,
  confidence: MAPPED,
};
const far: Seen = {
  direction: IN,
  local: 'b/web',
  remote: 'a/',
  localAt: '172.17.0.9:80',
  remoteAt: '10.0.0.1:40000',
  confidence: SHARED,
};
/** Another container of a with the same port. */
const rival: Seen = { ...near, local: 'a/other', localAt: '172.17.0.3:40000' };
const behindA = { mayBe: (_host: string, _ip: Uint8Array, id: string) => id.startsWith('a/') };
const moved: Seen = { ...far, remoteAt: '10.0.0.1:1027' };

/** What a graph makes of rows: of those of both ends the fuller view, of those of one end the fuller end. */
function counted(rows: readonly Row[]): number {
  const sum = (views: number, of: (row: Row) => number | undefined) =>
    rows.filter((row) => row.views === views).reduce((total, row) => total + (of(row) ?? 0), 0);
  const near = ({ bytes }: Row) => bytes[0];
  const both = sum(BOTH, ({ bytes: [left = 0, came = 0] }) => Math.max(left, came));
  return (
    both +
    Math.max(
      sum(2, near),
      sum(1, ({ bytesIn }) => bytesIn),
    )
  );
}

describe.each([
  ['near', 'far'],
  ['far', 'near'],
] as const)('of an absence of the controller the %s end tells all before the %s end', (first, other) => {
  const minutes = (from: number, until: number) =>
    Array.from({ length: (until - from) * 6 }, (_, i) => ({
      kind: i === 0 && from === 0 ? NEW : UPDATE,
      last: from * 60 + 10 * i + 5,
    }));
  const plain = { ...near, localAt: '10.0.0.1:40000', remoteAt: '10.0.0.2:80', confidence: EXACT };
  const called = { ...far, localAt: '10.0.0.2:80', remoteAt: '10.0.0.1:40000', remote: 'a/client', confidence: EXACT };
  const told = (side: 'near' | 'far', at: { kind: number; last: number }): Seen =>
    side === 'near' ? { ...plain, ...at, bytesOut: 100 } : { ...called, ...at, bytesIn: 100 };

  it('a long connection counts once, and is one row for both ends again when they keep pace', () => {
    const bench = new Bench();
    for (const at of minutes(0, 10)) bench.take(told(first, at));
    for (const at of minutes(0, 10)) bench.take(told(other, at));
    expect(counted(bench.rows())).toBeLessThanOrEqual(6200);
    expect(counted(bench.rows())).toBeGreaterThanOrEqual(6000);
    const before = bench.rows().length;
    for (const at of minutes(10, 15)) bench.take(told('near', at), told('far', at));
    expect(
      bench
        .rows()
        .slice(before)
        .map(({ views }) => views),
    ).toEqual(Array(bench.rows().length - before).fill(BOTH));
    expect(counted(bench.rows())).toBeLessThanOrEqual(9200);
    expect(counted(bench.rows())).toBeGreaterThanOrEqual(9000);
  });

  it('a short one is one row', () => {
    const bench = new Bench();
    for (const side of [first, other]) for (const at of minutes(0, 1)) bench.take(told(side, at));
    expect(bench.rows()).toMatchObject([{ views: BOTH, bytes: [600, 600] }]);
  });

  it('a request and an end three minutes later count once', () => {
    const bench = new Bench();
    for (const side of [first, other]) {
      bench.take(told(side, { kind: NEW, last: 1 }));
      bench.take(told(side, { kind: END, last: 181 }));
    }
    expect(counted(bench.rows())).toBe(200);
  });
});

describe('two views', () => {
  it.each([
    ['near first', [near, far]],
    ['far first', [far, near]],
  ])('become one row, %s', (_, [first, second]) => {
    const bench = new Bench(behindA);
    bench.take(first as Seen);
    bench.take(second as Seen);
    expect(bench.rows()).toMatchObject([
      { source: 'a/client', destination: 'b/web', views: BOTH, confidence: MAPPED, verdict: Verdict.VERDICT_ALLOWED },
    ]);
  });

  it('without a translation are exact, and need nobody to know who is behind what', () => {
    const bench = new Bench();
    const plain = { ...near, remoteAt: '10.0.0.2:80', localAt: '10.0.0.1:40000', remote: 'b/', confidence: SHARED };
    bench.take(plain, { ...far, localAt: '10.0.0.2:80', remote: '', confidence: Confidence.CONFIDENCE_UNKNOWN });
    expect(bench.rows()).toMatchObject([{ source: 'a/client', destination: 'b/web', views: BOTH, confidence: EXACT }]);
  });

  it('of the same private addresses on two hosts stay apart', () => {
    const bench = new Bench(behindA);
    const elsewhere = { ...far, remote: 'b/client', remoteAt: '172.17.0.2:40000', confidence: EXACT };
    bench.take(near, elsewhere);
    expect(bench.rows().map(({ source }) => source)).toEqual(['a/client', 'b/client']);
  });

  it('through an unknown translation stay apart', () => {
    const bench = new Bench();
    bench.take(near, far);
    expect(bench.rows()).toMatchObject([{ views: 2 }, { views: 1, source: 'a/' }]);
  });

  it('stay apart when a clock is further off than can be', () => {
    const bench = new Bench(behindA);
    bench.take(near, { ...far, first: 20 });
    expect(bench.rows()).toHaveLength(2);
    bench.take({ ...near, localAt: '172.17.0.2:50000' }, { ...far, remoteAt: '10.0.0.1:50000', first: 5.9 });
    expect(bench.rows()).toHaveLength(3);
  });

  it('the one that let less through decides; both rules are kept', () => {
    const bench = new Bench(behindA);
    const refused = { verdict: Verdict.VERDICT_BLOCKED, reason: Reason.REASON_RULE_DENY, rule: 9, kind: DENY };
    bench.take(near, { ...far, ...refused });
    expect(bench.rows()).toMatchObject([{ verdict: Verdict.VERDICT_BLOCKED, decider: IN, rules: [9, 1], kind: DENY }]);
  });

  it('pings are told by their id, which a translation may change when that is told', () => {
    const bench = new Bench(behindA);
    const ping = { protocol: 1, servicePort: 2048 };
    bench.take({ ...near, ...ping, localAt: '172.17.0.2:77', remoteAt: '10.0.0.2:2048', remote: 'b/web' });
    bench.take({ ...far, ...ping, localAt: '10.0.0.2:77', remoteAt: '10.0.0.1:2048' });
    expect(bench.rows()).toMatchObject([{ source: 'a/client', views: BOTH }]);
  });

  it("a proxy answers for who was meant: the mapping's workload is the destination", () => {
    const bench = new Bench();
    const client = { ...near, localAt: '10.0.0.1:40000' };
    bench.take(client, { ...far, local: 'b/host', localAt: '10.0.0.2:8080', remote: 'a/client', confidence: EXACT });
    expect(bench.rows()).toMatchObject([{ source: 'a/client', destination: 'b/web', views: BOTH }]);
  });
});

describe('reports of one connection', () => {
  it('add up in one row, whatever their order; repetitions do not count', () => {
    const bench = new Bench(behindA);
    const end = { ...near, kind: END, last: 5, bytesOut: 50 };
    bench.take(end);
    bench.take({ ...near, bytesOut: 10 }, far, { ...far, kind: END, last: 5, bytesIn: 60 });
    bench.take(end, { ...near, bytesOut: 10 });
    expect(bench.rows()).toMatchObject([{ views: BOTH, bytes: [60, 60], kind: END }]);
    expect(bench.stitcher.counters.duplicates).toBe(2);
  });

  it('over more than a minute become rows one after the other, each with its own time and its own bytes', () => {
    const bench = new Bench(behindA);
    bench.take({ ...near, bytesOut: 1 }, far);
    for (let last = 10; last <= 200; last += 10) {
      bench.take({ ...near, kind: UPDATE, last, bytesOut: 1 }, { ...far, kind: UPDATE, last: last + 0.1, bytesIn: 1 });
      bench.pass(10_000);
    }
    const rows = bench.rows();
    expect(rows).toHaveLength(4);
    expect(rows.every(({ views, source }) => views === BOTH && source === 'a/client')).toBe(true);
    expect(rows.reduce((sum, { bytes }) => sum + (bytes[0] ?? 0), 0)).toBe(21);
    expect(rows.reduce((sum, { bytes }) => sum + (bytes[1] ?? 0), 0)).toBe(20);
    expect(rows.map(({ firstSeen }) => firstSeen)).toEqual([1, 60, 120, 180]);
  });

  it('refused attempts of one socket are one row', () => {
    const bench = new Bench();
    const refused = { ...near, kind: DENY, verdict: Verdict.VERDICT_BLOCKED };
    bench.take({ ...refused, first: 1, attempts: 2 });
    bench.take({ ...refused, first: 2, attempts: 1 });
    expect(bench.rows()).toMatchObject([{ attempts: 3, views: 2 }]);
  });

  it('decided anew at one end begin a row in which the other end goes on', () => {
    const bench = new Bench(behindA);
    bench.take(near, far);
    bench.take({ ...far, kind: UPDATE, last: 9, bytesIn: 5, rule: 2 });
    bench.take({ ...near, kind: UPDATE, last: 9, bytesOut: 5 });
    expect(bench.rows()).toMatchObject([
      { rules: [1, 1], bytes: [0, 0], views: BOTH },
      { rules: [1, 2], bytes: [5, 5], views: BOTH, source: 'a/client' },
    ]);
  });

  it("a host's call to its own published port, seen by both addresses, is one", () => {
    for (const order of [
      [0, 1, 2, 3],
      [1, 2, 0, 3],
      [3, 1, 2, 0],
    ]) {
      const bench = new Bench({ mayBe: () => true });
      const leaves = { ...near, local: 'a/host', remote: 'a/web', confidence: EXACT, bytesOut: 7 };
      const all: Seen[] = [
        { ...leaves, localAt: '172.17.0.1:40000', remoteAt: '172.17.0.3:80' },
        { ...near, local: 'a/host', remote: 'a/web', localAt: '10.0.0.1:40000', remoteAt: '10.0.0.1:8080', bytesIn: 3 },
        {
          ...near,
          ...{ local: 'a/host', remote: 'a/web', localAt: '10.0.0.1:40000', remoteAt: '10.0.0.1:8080' },
          ...{ rule: 5, last: 2, kind: END },
        },
        { ...far, local: 'a/web', localAt: '172.17.0.3:80', remoteAt: '172.17.0.1:40000' },
      ];
      for (const place of order) bench.take(all[place] as Seen);
      expect(bench.rows()).toMatchObject([
        { source: 'a/host', destination: 'a/web', views: BOTH, confidence: EXACT, bytes: [7, 0] },
      ]);
    }
  });
});

describe('ambiguous sources', () => {
  it('fit two near sides: taken apart again, given up in favour of a near side, and no name is wrong', () => {
    const bench = new Bench(behindA);
    bench.take(near, far);
    bench.take(rival);
    const apart = bench.rows();
    expect(apart.map(({ source, views }) => [source, views])).toEqual([
      ['a/client', 2],
      ['a/', 1],
      ['a/other', 2],
    ]);
    expect(bench.stitcher.counters.contested).toBe(1);
  });

  it('told of later, the far side finds its own', () => {
    const told = {
      end: endOf('a/other'),
      ip: new Uint8Array([...Array(10).fill(0), 255, 255, 172, 17, 0, 3]),
      port: 40_000,
    };
    const bench = new Bench({ ...behindA, trueSource: () => told });
    bench.take(near, far);
    bench.take(rival);
    bench.pass(20_000);
    expect(bench.rows().map(({ source, views }) => [source, views])).toEqual([
      ['a/client', 2],
      ['a/other', BOTH],
    ]);
  });

  it('are told apart by clocks that are known', () => {
    const bench = new Bench(behindA);
    for (let port = 50_000; port < 50_010; port += 1) {
      bench.take({ ...near, localAt: `172.17.0.2:${port}` }, { ...far, remoteAt: `10.0.0.1:${port}`, first: 1.2 });
    }
    bench.take(near, { ...far, first: 1.2 }, { ...rival, first: 4 });
    expect(bench.rows().filter(({ views }) => views !== BOTH)).toMatchObject([{ source: 'a/other', views: 2 }]);
    bench.take({ ...far, first: 4.2 });
    expect(bench.rows().every(({ views }) => views === BOTH)).toBe(true);
  });

  it('on another port: given up when allowed and a near side speaks for it, kept when refused', () => {
    for (const [verdict, left] of [
      [Verdict.VERDICT_ALLOWED, 0],
      [Verdict.VERDICT_BLOCKED, 1],
    ] as const) {
      const bench = new Bench(behindA);
      for (let port = 50_000; port < 50_010; port += 1) {
        bench.take({ ...near, localAt: `172.17.0.2:${port}` }, { ...far, remoteAt: `10.0.0.1:${port}` });
      }
      bench.take(near, { ...moved, verdict });
      bench.pass(20_000);
      const alone = bench.rows().filter(({ views }) => views !== BOTH);
      expect(alone.filter(({ views }) => views === 1)).toHaveLength(left);
      expect(alone.filter(({ views }) => views === 2)).toMatchObject([{ source: 'a/client' }]);
      expect(bench.stitcher.counters.discarded).toBe(1 - left);
      // What comes later of the one that was given up makes no row either.
      bench.take({ ...moved, verdict, kind: END, last: 9 });
      expect(bench.rows().filter(({ views }) => views === 1)).toHaveLength(left);
    }
  });

  it('on another port, but named by a tag, join the only one that it can be', () => {
    const bench = new Bench(behindA);
    bench.take(near, rival, { ...moved, remote: 'a/other', confidence: Confidence.CONFIDENCE_TAGGED });
    bench.pass(20_000);
    expect(bench.rows().map(({ source, views, confidence }) => [source, views, confidence])).toEqual([
      ['a/client', 2, MAPPED],
      ['a/other', BOTH, Confidence.CONFIDENCE_TAGGED],
    ]);
  });
});
