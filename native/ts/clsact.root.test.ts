import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type ClsactPlace, clsactAttach, clsactDetach, clsactQuery, clsactRemoveQdisc } from './clsact.js';
import type { BpfMap } from './map.js';
import { BpfObject } from './object.js';
import type { BpfProgram } from './program.js';
import { makeNetns, readU64, testProgram, thrownBy, u32 } from './test-support.js';

let object: BpfObject;
let counts: BpfMap;
let a: BpfProgram;
let b: BpfProgram;
let netns: ReturnType<typeof makeNetns>;
let place: ClsactPlace;

beforeAll(() => {
  object = BpfObject.open(testProgram('basic'));
  object.load();
  counts = object.map('t_hash');
  a = object.program('count_a');
  b = object.program('count_b');
  netns = makeNetns('clsact');
  place = { ifindex: 1, direction: 'ingress', netns: netns.path, priority: 49000, handle: 0x5246 };
});
afterAll(() => {
  object.close();
  netns.remove();
});
beforeEach(() => {
  counts.deleteBatch(counts.dump().keys);
  clsactRemoveQdisc(place);
});

const count = (key: number): bigint => readU64(counts.lookup(u32(key))) ?? 0n;
const ping = (): void => {
  execFileSync('ip', [
    'netns',
    'exec',
    netns.name,
    process.execPath,
    '-e',
    `
    const s = require('node:dgram').createSocket('udp4');
    s.bind(0, '127.0.0.1', () => s.send('x', s.address().port, '127.0.0.1', () => s.close()));`,
  ]);
};

test('the first attach makes the qdisc, the second replaces the filter in place', () => {
  expect(clsactQuery(place)).toBeUndefined();
  expect(clsactAttach(a, place)).toEqual({ progId: a.info.id, qdiscCreated: true });
  expect(clsactQuery(place)).toBe(a.info.id);
  ping();
  expect([count(1), count(2)]).toEqual([1n, 0n]);
  expect(clsactAttach(b, place)).toEqual({ progId: b.info.id, qdiscCreated: false });
  expect(clsactQuery(place)).toBe(b.info.id);
  ping();
  expect([count(1), count(2)]).toEqual([1n, 1n]);
});

test('directions, priorities and handles are filters of their own', () => {
  clsactAttach(a, place);
  clsactAttach(b, { ...place, direction: 'egress' });
  clsactAttach(b, { ...place, handle: 2 });
  expect(clsactQuery(place)).toBe(a.info.id);
  expect(clsactQuery({ ...place, direction: 'egress' })).toBe(b.info.id);
  expect(clsactQuery({ ...place, priority: 1 })).toBeUndefined();
  expect(clsactDetach(place)).toBe(true);
  expect(clsactDetach(place)).toBe(false);
  expect(clsactQuery({ ...place, handle: 2 })).toBe(b.info.id);
});

test('removing the qdisc takes its filters along', () => {
  clsactAttach(a, place);
  expect(clsactRemoveQdisc(place)).toBe(true);
  expect(clsactRemoveQdisc(place)).toBe(false);
  expect(clsactQuery(place)).toBeUndefined();
  expect(clsactDetach(place)).toBe(false);
});

test('nothing is attached outside the namespace', () => {
  clsactAttach(a, place);
  const { netns: _inside, ...outside } = place;
  expect(clsactQuery(outside)).toBeUndefined();
});

test('no interface, no namespace, numbers out of range, wrong program', () => {
  thrownBy(() => clsactAttach(a, { ...place, ifindex: 4242 }), 'RF_NOT_FOUND');
  thrownBy(() => clsactAttach(a, { ...place, netns: '/run/netns/rfnat-nobody' }), 'RF_NETNS');
  thrownBy(() => clsactAttach(a, { ...place, priority: 0 }), 'RF_ARGUMENT');
  thrownBy(() => clsactQuery({ ...place, priority: 65536 }), 'RF_ARGUMENT');
  thrownBy(() => clsactDetach({ ...place, handle: 0 }), 'RF_ARGUMENT');
  using wrong = object.program('pass_a');
  thrownBy(() => clsactAttach(wrong, place), 'RF_ATTACH');
});
