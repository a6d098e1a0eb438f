import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProgramType } from './constants.js';
import { interfaceIndex } from './kernel.js';
import { BpfObject } from './object.js';
import { BpfProgram, readSkbContext, skbContext } from './program.js';
import { makeBpffs, makeNetns, testProgram, thrownBy, u32, u64 } from './test-support.js';

let object: BpfObject;
let bpffs: ReturnType<typeof makeBpffs>;
let netns: ReturnType<typeof makeNetns>;
beforeAll(() => {
  object = BpfObject.open(testProgram('basic'));
  object.load();
  bpffs = makeBpffs('program');
  netns = makeNetns('program');
});
afterAll(() => {
  object.close();
  bpffs.remove();
  netns.remove();
});

/** An Ethernet frame with an IPv4 type and zeroes. */
function frame(length = 64): Uint8Array {
  const packet = new Uint8Array(length);
  packet.set([8, 0], 12);
  return packet;
}

describe('BpfProgram.testRun', () => {
  test('gives back the packet, the context and the return value', () => {
    using program = object.program('echo');
    const result = program.testRun({ data: frame(), context: skbContext({ cb: [0, 41] }) });
    expect(result.retval).toBe(7);
    expect(result.data.length).toBe(64);
    expect(result.data[63]).toBe(0xee);
    const context = readSkbContext(result.context);
    expect(context.cb[0]).toBe(42);
  });

  test('repeat runs that often', () => {
    using program = object.program('count_a');
    using counts = object.map('t_hash');
    const before = new DataView((counts.lookup(u32(1)) ?? u64(0n)).buffer).getBigUint64(0, true);
    const result = program.testRun({ data: frame(), repeat: 1000 });
    expect(result.retval).toBe(0xffffffff);
    const after = new DataView((counts.lookup(u32(1)) ?? u64(0n)).buffer).getBigUint64(0, true);
    expect(after - before).toBe(1000n);
  });

  test('interfaces of the context belong to the given namespace', () => {
    execFileSync('ip', ['-n', netns.name, 'link', 'add', 'rfnat-x', 'index', '777', 'type', 'veth', 'peer', 'rfnat-y']);
    expect(interfaceIndex('rfnat-x', netns.path)).toBe(777);
    expect(interfaceIndex('rfnat-x')).toBeUndefined();
    using program = object.program('echo');
    const run = { data: frame(), context: skbContext({ ifindex: 777, ingressIfindex: 5 }) };
    const inside = program.testRun({ ...run, netns: netns.path });
    expect(readSkbContext(inside.context).mark).toBe(777005);
    expect(thrownBy(() => program.testRun(run), 'RF_BPF_TEST_RUN').errnoName).toBe('ENODEV');
  });

  test('what the kernel will not run is RF_BPF_TEST_RUN', () => {
    using program = object.program('echo');
    thrownBy(() => program.testRun({ data: new Uint8Array(5) }), 'RF_BPF_TEST_RUN');
    thrownBy(() => program.testRun({ data: frame(), context: new Uint8Array(192).fill(1) }), 'RF_BPF_TEST_RUN');
    using connect = object.program('refuse');
    thrownBy(() => connect.testRun({ context: new Uint8Array(72) }), 'RF_BPF_TEST_RUN');
  });

  test('too little room for the packet is an error, not an overrun', () => {
    using program = object.program('echo');
    expect(thrownBy(() => program.testRun({ data: frame(), dataOutBytes: 10 }), 'RF_BPF_TEST_RUN').errnoName).toBe(
      'ENOSPC',
    );
  });

  test('arguments beyond reason are refused', () => {
    using program = object.program('echo');
    thrownBy(() => program.testRun({ data: frame(), dataOutBytes: 2 ** 31 }), 'RF_ARGUMENT');
    thrownBy(() => program.testRun({ data: frame(), repeat: -1 }), 'RF_ARGUMENT');
    thrownBy(() => program.testRun({ data: frame(), netns: '/run/netns/rfnat-nobody' }), 'RF_NETNS');
    thrownBy(() => program.testRun({ data: frame(), netns: '/etc/hostname' }), 'RF_NETNS');
  });
});

describe('BpfProgram', () => {
  test('info: id, type, name, tag; the same program by id and by pin', () => {
    using program = object.program('pass_a');
    const { info } = program;
    expect(info).toMatchObject({ type: ProgramType.CGROUP_SKB, name: 'pass_a' });
    expect(info.tag).toMatch(/^[0-9a-f]{16}$/);
    expect(info.mapIds).toContain(object.map('t_hash').info.id);
    expect(info.loadedAtNs).toBeGreaterThan(0n);
    using byId = BpfProgram.fromId(info.id);
    expect(byId.info.tag).toBe(info.tag);
    program.pin(`${bpffs.path}/p`);
    using byPin = BpfProgram.fromPin(`${bpffs.path}/p`);
    expect(byPin.info.id).toBe(info.id);
  });

  test('a pin of another kind is refused', () => {
    object.map('t_hash').pin(`${bpffs.path}/a-map`);
    const error = thrownBy(() => BpfProgram.fromPin(`${bpffs.path}/a-map`), 'RF_ARGUMENT');
    expect(error.message).toContain('bpf-map');
    thrownBy(() => BpfProgram.fromPin(`${bpffs.path}/nothing`), 'RF_NOT_FOUND');
  });

  test('iterate reads all of the iterator’s output', () => {
    using map = object.map('t_hash');
    using program = object.program('list_hash');
    for (let key = 100; key < 105; key++) map.update(u32(key), u64(BigInt(key) * 2n));
    const out = program.iterate({ map });
    const pairs = new Map<number, bigint>();
    for (let at = 0; at < out.length; at += 16) pairs.set(out.readUInt32LE(at), out.readBigUInt64LE(at + 8));
    expect(pairs.size).toBe(map.dump().count);
    for (let key = 100; key < 105; key++) expect(pairs.get(key)).toBe(BigInt(key) * 2n);
    thrownBy(() => program.iterate({ map, maxBytes: 10 }), 'RF_ITER');
    thrownBy(() => program.iterate(), 'RF_ITER');
    using notIterator = object.program('echo');
    thrownBy(() => notIterator.iterate(), 'RF_ITER');
  });

  test('after close every call is RF_CLOSED', () => {
    const program = object.program('echo');
    program.close();
    program.close();
    expect(program.closed).toBe(true);
    const calls: (() => unknown)[] = [
      () => program.fd,
      () => program.info,
      () => program.pin('/nowhere'),
      () => program.testRun({ data: frame() }),
      () => program.iterate(),
    ];
    for (const call of calls) thrownBy(call, 'RF_CLOSED');
  });
});
