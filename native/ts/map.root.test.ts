import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MapFlag, MapType, UpdateFlag } from './constants.js';
import { NativeError } from './error.js';
import { possibleCpus, unpin } from './kernel.js';
import { BpfMap, type MapSpec } from './map.js';
import { BpfObject } from './object.js';
import { addonPath, makeBpffs, readU64, testProgram, thrownBy, u32, u64 } from './test-support.js';

const hash = (spec: Partial<MapSpec> = {}): BpfMap =>
  BpfMap.create({ type: MapType.HASH, name: 'rfnat_map', keySize: 4, valueSize: 8, maxEntries: 100, ...spec });

/** count entries: key i, value i * 10 (in every CPU's slot). */
function entries(count: number, stride = 8): { keys: Uint8Array; values: Uint8Array } {
  const keys = Uint32Array.from({ length: count }, (_, i) => i);
  const values = BigUint64Array.from({ length: (count * stride) / 8 }, (_, i) =>
    BigInt(Math.floor((i * 8) / stride) * 10),
  );
  return { keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

function asMap(dump: { count: number; keys: Uint8Array; values: Uint8Array }): Map<number, bigint> {
  const keys = new Uint32Array(dump.keys.buffer, dump.keys.byteOffset, dump.keys.length / 4);
  const stride = dump.count > 0 ? dump.values.length / dump.count : 8;
  return new Map([...keys].map((key, i) => [key, readU64(dump.values, (i * stride) / 8) ?? -1n]));
}

describe('BpfMap single operations', () => {
  test('lookup, update, delete and their absent answers', () => {
    using map = hash();
    expect(map.lookup(u32(1))).toBeUndefined();
    map.update(u32(1), u64(7n));
    expect(map.lookup(u32(1))).toEqual(u64(7n));
    expect(map.delete(u32(1))).toBe(true);
    expect(map.delete(u32(1))).toBe(false);
  });

  test('info shows what was asked for', () => {
    using map = hash({ flags: MapFlag.NO_PREALLOC });
    expect(map.info).toMatchObject({
      type: MapType.HASH,
      name: 'rfnat_map',
      keySize: 4,
      valueSize: 8,
      valueStride: 8,
      maxEntries: 100,
      flags: MapFlag.NO_PREALLOC,
    });
    using same = BpfMap.fromId(map.info.id);
    same.update(u32(5), u64(5n));
    expect(map.lookup(u32(5))).toEqual(u64(5n));
  });

  test('a full map is RF_MAP_FULL, the flags’ refusals are RF_MAP_ACCESS', () => {
    using map = hash({ maxEntries: 1 });
    map.update(u32(1), u64(1n));
    expect(thrownBy(() => map.update(u32(2), u64(1n)), 'RF_MAP_FULL').errnoName).toBe('E2BIG');
    expect(thrownBy(() => map.update(u32(1), u64(1n), UpdateFlag.NOEXIST), 'RF_MAP_ACCESS').errnoName).toBe('EEXIST');
    expect(thrownBy(() => map.update(u32(3), u64(1n), UpdateFlag.EXIST), 'RF_MAP_ACCESS').errnoName).toBe('ENOENT');
  });

  test('per-CPU values are one slot of 8 bytes per possible CPU', () => {
    using map = hash({ type: MapType.PERCPU_HASH, valueSize: 5 });
    const stride = 8 * possibleCpus();
    expect(map.info.valueStride).toBe(stride);
    const value = new Uint8Array(stride);
    for (let cpu = 0; cpu < possibleCpus(); cpu++) value[8 * cpu] = cpu + 1;
    map.update(u32(1), value);
    expect(map.lookup(u32(1))).toEqual(value);
    thrownBy(() => map.update(u32(1), new Uint8Array(5)), 'RF_ARGUMENT');
  });

  test('buffers of the wrong length or type never reach the kernel', () => {
    using map = hash();
    const wrong = [new Uint8Array(3), new Uint8Array(5), new Uint8Array(0)];
    for (const key of wrong) {
      thrownBy(() => map.lookup(key), 'RF_ARGUMENT');
      thrownBy(() => map.update(key, u64(1n)), 'RF_ARGUMENT');
      thrownBy(() => map.delete(key), 'RF_ARGUMENT');
    }
    const error = thrownBy(() => map.update(u32(1), new Uint8Array(7)), 'RF_ARGUMENT');
    expect(error.message).toBe('Cannot use argument value: found 7 bytes, wanted 8');
    const notBytes = [
      undefined,
      null,
      'text!!!!',
      4,
      {},
      new Uint32Array(2),
      new ArrayBuffer(8),
      new DataView(new ArrayBuffer(8)),
    ];
    for (const value of notBytes) thrownBy(() => map.update(u32(1), value as Uint8Array), 'RF_ARGUMENT');
    for (const flags of [-1, 1.5, 2 ** 32, '1']) {
      thrownBy(() => map.update(u32(1), u64(1n), flags as UpdateFlag), 'RF_ARGUMENT');
    }
    expect(map.dump().count).toBe(0);
  });

  test('a view into a larger buffer is read at its offset', () => {
    using map = hash();
    const large = new Uint8Array(64);
    large.set(u32(9), 20);
    large.set(u64(90n), 40);
    map.update(large.subarray(20, 24), large.subarray(40, 48));
    expect(map.lookup(u32(9))).toEqual(u64(90n));
  });

  test('a frozen map refuses writes from user space', () => {
    using map = hash();
    map.freeze();
    expect(thrownBy(() => map.update(u32(1), u64(1n)), 'RF_MAP_ACCESS').errnoName).toBe('EPERM');
  });

  test('inner maps: set, seen by id, refused on ordinary maps', () => {
    using inner = hash();
    using outer = BpfMap.create({
      type: MapType.HASH_OF_MAPS,
      keySize: 4,
      valueSize: 4,
      maxEntries: 4,
      innerMap: inner,
    });
    outer.setInner(u32(3), inner);
    expect(outer.lookup(u32(3))).toEqual(u32(inner.info.id));
    expect(outer.dump()).toEqual({ count: 1, keys: u32(3), values: u32(inner.info.id) });
    thrownBy(() => inner.setInner(u32(3), inner), 'RF_ARGUMENT');
  });

  test('what cannot be made says what was asked', () => {
    const error = thrownBy(
      () => BpfMap.create({ type: MapType.HASH, keySize: 0, valueSize: 8, maxEntries: 1 }),
      'RF_MAP_CREATE',
    );
    expect(error.fields).toMatchObject({ keySize: 0, valueSize: 8, maxEntries: 1 });
    thrownBy(() => BpfMap.fromId(0xfffffff0), 'RF_NOT_FOUND');
  });

  test('after close every call is RF_CLOSED and closing again is fine', () => {
    const map = hash();
    map.close();
    map.close();
    expect(map.closed).toBe(true);
    const calls: (() => unknown)[] = [
      () => map.fd,
      () => map.info,
      () => map.lookup(u32(1)),
      () => map.update(u32(1), u64(1n)),
      () => map.delete(u32(1)),
      () => map.setInner(u32(1), map),
      () => map.updateBatch(u32(1), u64(1n)),
      () => map.deleteBatch(u32(1)),
      () => map.dump(),
      () => map.pin('/nowhere'),
      () => map.freeze(),
    ];
    for (const call of calls) thrownBy(call, 'RF_CLOSED');
  });
});

const BATCH_TYPES: [string, MapType, number][] = [
  ['hash', MapType.HASH, MapFlag.NO_PREALLOC],
  ['per-CPU hash', MapType.PERCPU_HASH, 0],
  ['LRU hash', MapType.LRU_HASH, 0],
  ['LRU per-CPU hash', MapType.LRU_PERCPU_HASH, 0],
  ['LPM trie', MapType.LPM_TRIE, MapFlag.NO_PREALLOC],
];

describe.each(BATCH_TYPES)('BpfMap batches on a %s', (_name, type, flags) => {
  const count = 10_000;
  const lpm = type === MapType.LPM_TRIE;
  // A trie key is prefix length and data.
  const make = (maxEntries: number): BpfMap =>
    hash({ type, flags, maxEntries, keySize: lpm ? 8 : 4, name: 'rfnat_batch' });
  const load = (map: BpfMap, n: number): { keys: Uint8Array; values: Uint8Array } => {
    const { keys, values } = entries(n, map.info.valueStride);
    if (!lpm) return { keys, values };
    const prefixed = new Uint32Array(2 * n);
    for (let i = 0; i < n; i++) {
      prefixed[2 * i] = 32;
      prefixed[2 * i + 1] = i;
    }
    return { keys: new Uint8Array(prefixed.buffer), values };
  };
  const dumped = (map: BpfMap): Map<number, bigint> => {
    const dump = map.dump();
    if (!lpm) return asMap(dump);
    const words = new Uint32Array(dump.keys.buffer);
    return asMap({
      ...dump,
      keys: new Uint8Array(Uint32Array.from({ length: dump.count }, (_, i) => words[2 * i + 1] ?? 0).buffer),
    });
  };

  test('update, dump and delete count exactly', () => {
    // LRU maps may evict well before they are full.
    using map = make(count * 4);
    const all = load(map, count);
    expect(map.updateBatch(all.keys, all.values)).toEqual({ applied: count, missing: 0, errno: 0, errnoName: '' });
    const found = dumped(map);
    expect(found.size).toBe(count);
    for (let i = 0; i < count; i++)
      if (found.get(i) !== BigInt(i * 10)) expect([i, found.get(i)]).toEqual([i, BigInt(i * 10)]);
    const half = all.keys.subarray(0, all.keys.length / 2);
    expect(map.deleteBatch(half)).toMatchObject({ applied: count / 2, errno: 0 });
    expect(dumped(map).size).toBe(count / 2);
    // All keys again: the first half is missing now.
    expect(map.deleteBatch(all.keys, { missingOk: true })).toMatchObject({
      applied: count / 2,
      missing: count / 2,
      errno: 0,
    });
    expect(map.dump()).toEqual({ count: 0, keys: new Uint8Array(0), values: new Uint8Array(0) });
  });

  test('a missing key stops a strict delete at its place', () => {
    using map = make(1000);
    const all = load(map, 100);
    map.updateBatch(all.keys, all.values);
    const keySize = map.info.keySize;
    map.delete(all.keys.subarray(40 * keySize, 41 * keySize));
    expect(map.deleteBatch(all.keys)).toEqual({ applied: 40, missing: 0, errno: 2, errnoName: 'ENOENT' });
    expect(dumped(map).size).toBe(59);
  });
});

describe('BpfMap batches', () => {
  test('a full map: applied says how many are in, errno why it stopped', () => {
    using map = hash({ maxEntries: 60 });
    const { keys, values } = entries(100);
    expect(map.updateBatch(keys, values)).toEqual({ applied: 60, missing: 0, errno: 7, errnoName: 'E2BIG' });
    expect(map.dump().count).toBe(60);
  });

  test('a full trie likewise', () => {
    using map = hash({ type: MapType.LPM_TRIE, flags: MapFlag.NO_PREALLOC, keySize: 8, maxEntries: 2 });
    const result = map.updateBatch(u32(32, 1, 32, 2, 32, 3), u64(1n, 2n, 3n));
    expect(result).toMatchObject({ applied: 2, errnoName: 'ENOSPC' });
  });

  test('flags that batches do not take are honoured one by one', () => {
    using map = hash();
    map.update(u32(2), u64(2n));
    const { keys, values } = entries(5);
    expect(map.updateBatch(keys, values, UpdateFlag.NOEXIST)).toEqual({
      applied: 2,
      missing: 0,
      errno: 17,
      errnoName: 'EEXIST',
    });
  });

  test('arrays dump every index, and cannot be deleted from', () => {
    using map = BpfMap.create({ type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 5000 });
    map.updateBatch(u32(7), u64(70n));
    const found = asMap(map.dump());
    expect(found.size).toBe(5000);
    expect(found.get(7)).toBe(70n);
    expect(found.get(4999)).toBe(0n);
    expect(map.deleteBatch(u32(7))).toMatchObject({ applied: 0, errnoName: 'EINVAL' });
  });

  test('a dump of exactly one chunk is whole', () => {
    using map = hash({ maxEntries: 4096 });
    const { keys, values } = entries(4096);
    map.updateBatch(keys, values);
    expect(map.dump().count).toBe(4096);
    using array = BpfMap.create({ type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 4096 });
    expect(array.dump().count).toBe(4096);
  });

  test('lengths that do not fit are refused before anything is written', () => {
    using map = hash();
    thrownBy(() => map.updateBatch(new Uint8Array(7), u64(1n)), 'RF_ARGUMENT');
    thrownBy(() => map.updateBatch(u32(1, 2), u64(1n)), 'RF_ARGUMENT');
    thrownBy(() => map.updateBatch(u32(1), u64(1n, 2n)), 'RF_ARGUMENT');
    thrownBy(() => map.deleteBatch(new Uint8Array(3)), 'RF_ARGUMENT');
    expect(map.updateBatch(new Uint8Array(0), new Uint8Array(0))).toMatchObject({ applied: 0, errno: 0 });
    expect(map.dump().count).toBe(0);
  });

  test('maps without keys cannot be dumped', () => {
    using ring = BpfMap.create({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
    thrownBy(() => ring.dump(), 'RF_ARGUMENT');
    thrownBy(() => ring.deleteBatch(u32(1)), 'RF_ARGUMENT');
  });
});

describe('BpfMap dump while others write', () => {
  const STABLE = 20_000;
  const CHURNING = 500;

  // Every second key of a stretch in the middle comes and goes, one at a time, as fast as a thread can.
  const CHURN = `
    const { workerData: w, parentPort } = require('node:worker_threads');
    const map = require(w.addon).mapFromId(w.id);
    const value = new Uint8Array(8);
    parentPort.postMessage('running');
    const flag = new Int32Array(w.flag);
    while (Atomics.load(flag, 0) === 0) {
      for (const key of w.keys) map.update(key, value, 0);
      for (const key of w.keys) map.delete(key);
    }`;

  test.each<[string, MapType]>([
    ['hash', MapType.HASH],
    ['LPM trie', MapType.LPM_TRIE],
  ])('%s: what stays is there once', async (_name, type) => {
    const lpm = type === MapType.LPM_TRIE;
    using map = hash({ type, flags: MapFlag.NO_PREALLOC, keySize: 8, maxEntries: STABLE + CHURNING });
    // Big-endian so that trie order is number order.
    const key = (n: number): Uint8Array => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, 32, true);
      new DataView(bytes.buffer).setUint32(4, n, false);
      return bytes;
    };
    const stable = Uint8Array.from({ length: 8 * STABLE });
    for (let i = 0; i < STABLE; i++) stable.set(key(2 * i), 8 * i);
    expect(map.updateBatch(stable, new Uint8Array(8 * STABLE)).applied).toBe(STABLE);
    const churning = Array.from({ length: CHURNING }, (_, i) => key(2 * (STABLE / 2 + i) + 1));
    const flag = new SharedArrayBuffer(4);
    const worker = new Worker(CHURN, {
      eval: true,
      workerData: { addon: addonPath, id: map.info.id, keys: churning, flag },
    });
    await once(worker, 'message');
    const attempt = (): ReturnType<typeof map.dump> | undefined => {
      try {
        return map.dump();
      } catch (error) {
        // A stated outcome of a trie whose keys go faster than it can be walked.
        if (lpm && error instanceof NativeError && error.code === 'RF_MAP_ACCESS') return undefined;
        throw error;
      }
    };
    let walked = 0;
    for (let round = 0; round < 50; round++) {
      const dumped = attempt();
      if (dumped === undefined) continue;
      walked += 1;
      const { keys, count } = dumped;
      const view = new DataView(keys.buffer);
      const seen = new Set(Array.from({ length: count }, (_, i) => view.getUint32(8 * i + 4, false)));
      expect(seen.size, `${lpm ? 'trie' : 'hash'}: keys twice`).toBe(count);
      const missing = Array.from({ length: STABLE }, (_, i) => 2 * i).filter((number) => !seen.has(number));
      expect(missing, `round ${round}`).toEqual([]);
    }
    expect(walked).toBeGreaterThan(0);
    Atomics.store(new Int32Array(flag), 0, 1);
    await once(worker, 'exit');
    expect(map.dump().count).toBe(STABLE);
  });

  test('types without batch commands are walked key by key', () => {
    using object = BpfObject.open(testProgram('basic'));
    object.load();
    using program = object.program('echo');
    using map = BpfMap.create({ type: MapType.PROG_ARRAY, keySize: 4, valueSize: 4, maxEntries: 100 });
    expect(map.updateBatch(u32(3, 70), u32(program.fd, program.fd))).toMatchObject({ applied: 2, errno: 0 });
    expect(map.updateBatch(u32(4, 5), u32(program.fd, 0xffffff))).toMatchObject({ applied: 1, errnoName: 'EBADF' });
    const { id } = program.info;
    expect(map.dump()).toEqual({ count: 3, keys: u32(3, 4, 70), values: u32(id, id, id) });
    expect(map.deleteBatch(u32(3, 50, 70), { missingOk: true })).toMatchObject({ applied: 2, missing: 1, errno: 0 });
    expect(map.dump().keys).toEqual(u32(4));
  });
});

describe('BpfMap pins', () => {
  let bpffs: ReturnType<typeof makeBpffs>;
  beforeAll(() => {
    bpffs = makeBpffs('map');
  });
  afterAll(() => bpffs.remove());

  test('a pinned map outlives its handle, and goes with the pin', () => {
    const path = `${bpffs.path}/m`;
    const map = hash();
    map.update(u32(1), u64(5n));
    map.pin(path);
    expect(thrownBy(() => map.pin(path), 'RF_PIN').errnoName).toBe('EEXIST');
    map.close();
    using again = BpfMap.fromPin(path);
    expect(again.lookup(u32(1))).toEqual(u64(5n));
    expect(unpin(path)).toBe(true);
    expect(unpin(path)).toBe(false);
    thrownBy(() => BpfMap.fromPin(path), 'RF_NOT_FOUND');
  });

  test('unpin refuses ordinary files', () => {
    thrownBy(() => unpin('/etc/hostname'), 'RF_ARGUMENT');
  });
});
