import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MapType, ProgramType } from './constants.js';
import { BpfMap } from './map.js';
import { BpfObject } from './object.js';
import { readU64, testProgram, thrownBy, u32 } from './test-support.js';

const PACKET = new Uint8Array(64);

function seen(object: BpfObject): bigint[] {
  const map = object.map('t_seen');
  object.program('show').testRun({ data: PACKET });
  return [0, 1, 2, 3, 4, 5, 6, 7].map((slot) => readU64(map.lookup(u32(slot))) ?? -1n);
}

describe('BpfObject', () => {
  test('lists programs and maps before load', () => {
    using object = BpfObject.open(testProgram('basic'));
    expect(object.programs().find((p) => p.name === 'pass_a')).toEqual({
      name: 'pass_a',
      section: 'cgroup_skb/egress',
      type: ProgramType.CGROUP_SKB,
      expectedAttachType: 1,
      autoload: true,
    });
    expect(object.maps().find((m) => m.name === 't_hash')).toEqual({
      name: 't_hash',
      type: MapType.HASH,
      keySize: 4,
      valueSize: 8,
      maxEntries: 16,
      flags: 0,
      internal: false,
    });
  });

  test('programs see read-only data set before load', () => {
    using object = BpfObject.open(testProgram('basic'));
    const address = new Uint8Array(16).fill(9);
    object.setRodata({
      verdict: 2,
      wide: (1n << 63n) + 5n,
      small_be: 65535,
      tiny: 200,
      below: -7,
      flag: true,
      address,
    });
    object.load();
    expect(seen(object)).toEqual([2n, (1n << 63n) + 5n, 65535n, 200n, BigInt.asUintN(64, -7n), 1n, 9n, 1n]);
  });

  test('variables not set keep what the compiler put there', () => {
    using object = BpfObject.open(readFileSync(testProgram('basic')));
    object.setRodata({ verdict: 1 });
    object.load();
    expect(seen(object)).toEqual([1n, 4n, 2n, 1n, BigInt.asUintN(64, -1n), 0n, 0n, 1n]);
  });

  test('one bad variable leaves all of them untouched', () => {
    using object = BpfObject.open(testProgram('basic'));
    const before = object.rodataBytes();
    thrownBy(() => object.setRodata({ verdict: 2, nonsense: 1 }), 'RF_NOT_FOUND');
    thrownBy(() => object.setRodata({ verdict: 2, tiny: 256 }), 'RF_ARGUMENT');
    expect(object.rodataBytes()).toEqual(before);
  });

  test('raw read-only bytes must have the exact length', () => {
    using object = BpfObject.open(testProgram('basic'));
    const bytes = object.rodataBytes();
    thrownBy(() => object.setRodataBytes(bytes.subarray(1)), 'RF_ARGUMENT');
    bytes[4] = 1;
    object.setRodataBytes(bytes);
    expect(object.rodataBytes()).toEqual(bytes);
    thrownBy(() => object.setRodataBytes(bytes, 't_hash'), 'RF_ARGUMENT');
  });

  test('initial .bss data is seen by programs too', () => {
    using object = BpfObject.open(testProgram('basic'));
    object.setRodata({ runs: 41n }, '.bss');
    object.load();
    expect(seen(object)[7]).toBe(42n);
  });

  test('max entries and autoload take effect', () => {
    using object = BpfObject.open(testProgram('basic'));
    object.setMaxEntries('t_hash', 1000);
    object.setAutoload('echo', false);
    object.load();
    using map = object.map('t_hash');
    expect(map.info.maxEntries).toBe(1000);
    thrownBy(() => object.program('echo'), 'RF_STATE');
    thrownBy(() => object.program('nobody'), 'RF_NOT_FOUND');
    thrownBy(() => object.map('nothing'), 'RF_NOT_FOUND');
  });

  test('a reused map is shared between two objects', () => {
    using first = BpfObject.open(testProgram('basic'));
    first.load();
    using map = first.map('t_seen');
    using second = BpfObject.open(testProgram('basic'));
    second.setRodata({ verdict: 77 });
    second.reuseMap('t_seen', map);
    second.load();
    second.program('show').testRun({ data: PACKET });
    expect(readU64(map.lookup(u32(0)))).toBe(77n);
    expect(second.map('t_seen').info.id).toBe(map.info.id);
  });

  test('a map of another shape is refused for reuse before load', () => {
    using object = BpfObject.open(testProgram('basic'));
    using other = BpfMap.create({ type: MapType.HASH, keySize: 8, valueSize: 8, maxEntries: 4 });
    const error = thrownBy(() => object.reuseMap('t_hash', other), 'RF_ARGUMENT');
    expect(error.message).toContain('key 8');
    expect(error.message).toContain('wanted type 1, key 4, value 8');
  });

  test('an inner map template may be closed before load', () => {
    using object = BpfObject.open(testProgram('rings'));
    const template = BpfMap.create({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 65536 });
    object.setInnerMap('t_rings', template);
    template.close();
    object.load();
    using rings = object.map('t_rings');
    using ring = BpfMap.create({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 65536 });
    rings.setInner(u32(0), ring);
    expect(rings.lookup(u32(0))).toEqual(u32(ring.info.id));
  });

  test('a program the verifier refuses: named, short tail in the message, whole log kept, nothing left loaded', () => {
    using object = BpfObject.open(testProgram('broken'));
    const error = thrownBy(() => object.load(), 'RF_BPF_VERIFIER');
    expect(error.fields).toMatchObject({ object: 'broken', program: 'unchecked' });
    expect(error.errnoName).toBe('EACCES');
    expect(error.message).toContain("R0 invalid mem access 'map_value_or_null'");
    expect(error.message.split('\n').length).toBeLessThan(10);
    expect(error.log.split('\n').length).toBeGreaterThan(20);
    expect(error.log).toContain('R0 invalid mem access');
    thrownBy(() => object.program('fine'), 'RF_STATE');
    thrownBy(() => object.load(), 'RF_STATE');
  });

  test('the rest loads when the refused program is not asked for', () => {
    using object = BpfObject.open(testProgram('broken'));
    object.setAutoload('unchecked', false);
    object.load();
    expect(object.program('fine').testRun({ data: PACKET }).retval).toBe(0);
  });

  test('a wrong program type is refused at load', () => {
    using object = BpfObject.open(testProgram('broken'));
    object.setAutoload('unchecked', false);
    object.setProgramType('fine', ProgramType.SOCKET_FILTER);
    expect(object.programs().find((p) => p.name === 'fine')?.type).toBe(ProgramType.SOCKET_FILTER);
    object.load();
    expect(object.program('fine').info.type).toBe(ProgramType.SOCKET_FILTER);
  });

  test('no file, no ELF', () => {
    thrownBy(() => BpfObject.open('/nonexistent.bpf.o'), 'RF_NOT_FOUND');
    thrownBy(() => BpfObject.open(new Uint8Array([1, 2, 3])), 'RF_BPF_OPEN');
    thrownBy(() => BpfObject.open('a\0b'), 'RF_ARGUMENT');
  });

  test('setters after load are RF_STATE, everything after close is RF_CLOSED, close twice is fine', () => {
    const object = BpfObject.open(testProgram('basic'));
    thrownBy(() => object.map('t_hash'), 'RF_STATE');
    object.load();
    const map = object.map('t_hash');
    const program = object.program('show');
    thrownBy(() => object.load(), 'RF_STATE');
    thrownBy(() => object.setRodata({ verdict: 1 }), 'RF_STATE');
    thrownBy(() => object.setMaxEntries('t_hash', 4), 'RF_STATE');
    thrownBy(() => object.setAutoload('show', false), 'RF_STATE');
    object.close();
    object.close();
    expect(object.closed).toBe(true);
    const calls: (() => unknown)[] = [
      () => object.programs(),
      () => object.maps(),
      () => object.variables(),
      () => object.rodataBytes(),
      () => object.setRodataBytes(new Uint8Array(37)),
      () => object.setMaxEntries('t_hash', 4),
      () => object.setInnerMap('t_hash', map),
      () => object.reuseMap('t_hash', map),
      () => object.setAutoload('show', true),
      () => object.setProgramType('show', ProgramType.SCHED_CLS),
      () => object.load(),
      () => object.map('t_hash'),
      () => object.program('show'),
    ];
    for (const call of calls) thrownBy(call, 'RF_CLOSED');
    // What was taken from it lives on.
    map.update(u32(1), new Uint8Array(8));
    expect(program.testRun({ data: PACKET }).retval).toBe(3);
    map.close();
    program.close();
  });
});
