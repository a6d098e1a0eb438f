// What the map is asked for, from what stands in the address.
import { expect, test } from 'vitest';
import { LabelRequirement_Operator } from '../../gen/ringfence/v1/admin_common_pb.js';
import { address } from '../../ui/format.js';
import { readFilterText } from './filter-text.js';
import { scaleOf } from './layout.js';
import { recordsBetween, recordsToFollow } from './load.js';
import type { MapEdge, MapNode, Service } from './model.js';
import { withBefore } from './model.js';
import { groupKeyOf, isNearNow, labelsOfKey, readView, spanOf, titleOf } from './view.js';

const { IN, EXISTS, NOT_EXISTS } = LabelRequirement_Operator;
const HOUR = 3_600_000;
const NOW = 1_800_000_000_000;
const view = (query: string) => readView(new URLSearchParams(query));

test('keys of groups: any value that a label may have comes back, also with commas, and an empty one has a name', () => {
  const labels = [
    { dimension: 'app', value: 'a,b=c%2C' },
    { dimension: 'env', value: '' },
  ];
  const key = groupKeyOf(labels, ['app', 'env']);
  expect(labelsOfKey(key)).toEqual(labels);
  expect(titleOf(labels)).toBe('a,b=c%2C · env=');
});

test('readFilterText: quotes hold blanks together; * asks whether there is a value', () => {
  const { filter, words } = readFilterText('app="web shop" "loc=san jose" role=* env!=* "two words');
  expect(filter.either?.selector?.requirements).toEqual([
    { dimension: 'app', operator: IN, values: ['web shop'] },
    { dimension: 'loc', operator: IN, values: ['san jose'] },
    { dimension: 'role', operator: EXISTS, values: [] },
    { dimension: 'env', operator: NOT_EXISTS, values: [] },
  ]);
  expect(words).toEqual(['two words']);
});

test('recordsToFollow: what is typed holds inside a group too, and neither a time nor, for a draft, a verdict of the past', () => {
  const followed = recordsToFollow(view('in=app=shop&q=role=db&v=blocked&from=1&to=5'));
  expect(followed.either?.selector?.requirements).toEqual([
    { dimension: 'role', operator: IN, values: ['db'] },
    { dimension: 'app', operator: IN, values: ['shop'] },
  ]);
  expect(followed).toMatchObject({ sinceUs: 0n, untilUs: 0n, verdicts: [expect.any(Number)] });
  expect(recordsToFollow(view('view=draft&v=blocked')).verdicts).toEqual([]);
});

test('recordsBetween: what is typed of an end holds beside the node', () => {
  const node = (app: string): MapNode => {
    const labels = [{ dimension: 'app', value: app }];
    return { key: `app=${app}`, kind: 'group', title: app, labels, cluster: '', inside: false };
  };
  const filter = recordsBetween(node('shop'), node('crm'), view('q=from:role=web'), NOW);
  expect(filter.source?.selector?.requirements?.map(({ dimension }) => dimension)).toEqual(['role', 'app']);
  expect(filter.destination?.selector?.requirements?.map(({ dimension }) => dimension)).toEqual(['app']);
});

test('spanOf: the window up to now, or one around a chosen time that lies before it; the chosen time is inside', () => {
  const at = (from: number, to: number, window = '1h') => {
    const chosen = view(`t=${window}&from=${NOW + from}&to=${NOW + to}`);
    const { fromMs, toMs } = spanOf(chosen, NOW);
    return [isNearNow(chosen, NOW), fromMs - NOW, toMs - NOW];
  };
  expect(spanOf(view(''), NOW)).toEqual({ fromMs: NOW - HOUR, toMs: NOW });
  expect(at(-HOUR / 2, -HOUR / 4)).toEqual([true, -HOUR, 0]);
  // It has slid out of the window a little since.
  expect(at(-1.2 * HOUR, -HOUR)).toEqual([true, -1.2 * HOUR, 0]);
  // A day ago: an hour with it in the middle.
  expect(at(-24.25 * HOUR, -23.75 * HOUR)).toEqual([false, -24.5 * HOUR, -23.5 * HOUR]);
  // Longer than the window, and up to now.
  const [, from, to] = at(-10 * HOUR, 0);
  expect([Number(from) <= -10 * HOUR, to]).toEqual([true, 0]);
});

test('withBefore: a change of one service is seen beside others that are refused as before, and none where nothing changes', () => {
  const sums = {
    bytesForward: 1,
    bytesBack: 1,
    packetsForward: 1,
    packetsBack: 1,
    count: 2,
    connections: 2,
    durationUs: 1,
  };
  const service = (port: number, verdict: Service['verdict'], count = 2): Service => ({
    protocol: 6,
    port,
    verdict,
    processes: [],
    sums: { ...sums, count, firstSeenUs: 1, lastSeenUs: 2 },
    decisions: [],
  });
  const edge = (...services: Service[]): MapEdge => ({
    key: 'a > b',
    source: 'a',
    target: 'b',
    verdict: services.some(({ verdict }) => verdict === 'blocked') ? 'blocked' : 'allowed',
    services,
    sums: { ...sums, firstSeenUs: 1, lastSeenUs: 2 },
  });
  const map = (...services: Service[]) => ({
    nodes: [],
    edges: [edge(...services)],
    leftOut: 0,
    records: 1,
    notes: [],
    gaps: [],
  });
  const real = map(service(22, 'blocked'), service(80, 'allowed'));
  const [changed] = withBefore(map(service(22, 'blocked'), service(80, 'blocked')), real).edges;
  expect(changed).toMatchObject({ verdict: 'blocked', before: 'blocked' });
  expect(changed?.services.map(({ before }) => before)).toEqual([undefined, ['allowed']]);
  // Only some verdicts are shown, and the draft judges as before.
  expect(withBefore(map(service(80, 'allowed')), real, real).edges[0]?.before).toBeUndefined();
  // Connections of one service are judged apart: some of them change.
  const some = withBefore(
    map(service(80, 'allowed', 1), service(80, 'blocked', 3)),
    map(service(80, 'allowed', 2), service(80, 'blocked', 2)),
  );
  expect(some.edges[0]?.services[0]?.before).toEqual(['allowed', 'blocked']);
  // A record that came between the two answers is no change.
  expect(withBefore(map(service(80, 'allowed', 3)), map(service(80, 'allowed', 2))).edges[0]?.before).toBeUndefined();
});

test('address: RFC 5952, as everywhere else', () => {
  const of = (...words: number[]) => address(Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255])));
  expect(of(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1)).toBe('2001:db8::1:0:0:1');
  expect(of(0x2001, 0, 0, 1, 0, 0, 0, 1)).toBe('2001:0:0:1::1');
  expect(of(0x2001, 0xdb8, 0, 1, 1, 1, 1, 1)).toBe('2001:db8:0:1:1:1:1:1');
  expect([of(0, 0, 0, 0, 0, 0, 0, 0), of(0, 0, 0, 0, 0, 0, 0, 1), of(1, 0, 0, 0, 0, 0, 0, 0)]).toEqual([
    '::',
    '::1',
    '1::',
  ]);
});

test('scaleOf: nodes are smaller in a small picture, so that they stay apart, and never larger than full', () => {
  expect(
    [scaleOf(2400, 1400), scaleOf(1200, 600), scaleOf(600, 300), scaleOf(100, 100)].map((n) => n.toFixed(2)),
  ).toEqual(['1.00', '1.00', '0.59', '0.50']);
});
