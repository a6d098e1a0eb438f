import { GROUP, GROUP_KEY, PEER, PEER_KEY } from '@ringfence/bpf';
import { describe, expect, it } from 'vitest';
import { bytesOf, cgroupKey, groupKey, groupValue, packU32, peerKey, peerOf, peerValue, readU32 } from './pack.js';
import { address } from './testing/random-state.js';

describe('pack', () => {
  const at = address('fd00::1:2');

  it('written-out keys and values, equal those of the codecs', () => {
    const [space, identity, flags] = [0x01020304, 0xfffefdfc, 0x80000001];
    expect(bytesOf(peerKey(space, at))).toEqual(Buffer.from(PEER_KEY.encode({ space, addr: at })));
    expect(bytesOf(peerValue(identity, flags))).toEqual(Buffer.from(PEER.encode({ identity, flags })));
    expect(bytesOf(groupKey(space, identity, 2))).toEqual(
      Buffer.from(GROUP_KEY.encode({ set: space, peer: identity, kind: 2 })),
    );
    expect(bytesOf(groupValue(identity))).toEqual(Buffer.from(GROUP.encode({ group: identity })));
  });

  it('numbers, come back as they went in', () => {
    for (const value of [0, 1, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff])
      expect(readU32(packU32(value), 0)).toBe(value);
    expect(peerOf(peerValue(0xdeadbeef, 5))).toEqual({ identity: 0xdeadbeef, flags: 5 });
  });

  it('a cgroup id of 64 bits, keeps all of them', () => {
    expect(cgroupKey(0x1_0000_0001n)).not.toBe(cgroupKey(1n));
  });
});
