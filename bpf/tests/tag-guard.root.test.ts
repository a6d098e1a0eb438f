// What leaves a container: nobody sends another identity's tag, whatever bytes his SYN holds.
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Endpoint, type TagClaim, TagsFlag } from '../ts/index.js';
import { PASS, TestKernel } from './kernel.js';
import * as p from './packets.js';
import { clearTags, genuine, mapped, SLOT, setTags, tagCounts } from './tag-bed.js';

const [OWN, OTHER] = [7, 9];
const ENDPOINT: Endpoint = {
  number: 7,
  identity: OWN,
  space: 0,
  setIn: 0,
  setOut: 0,
  generation: 1,
  policyVersion: 3,
  flags: 0,
  modeIn: Mode.MODE_VISIBILITY,
  modeOut: Mode.MODE_VISIBILITY,
};
const FAMILIES = [
  ['IPv4', '10.0.0.1', '192.0.2.9', 34],
  ['IPv6', 'fd00::1', '2001:db8::9', 54],
] as const;

let kernel: TestKernel;
beforeAll(() => {
  kernel = new TestKernel({ programs: ['rf_tc_ingress'] });
});
afterAll(() => kernel.close());
beforeEach(async () => {
  await kernel.reset();
  clearTags(kernel);
  kernel.endpoint(ENDPOINT);
  setTags(kernel);
});
afterEach(() => expect(kernel.failures()).toEqual({}));

const tag = (identity: number): number[] => {
  const bound: TagClaim['bound'] = { kind: 'address', address: mapped('192.0.2.9'), port: 80 };
  return [...genuine({ identity, isn: 1000, epoch: 5, slot: SLOT, bound })];
};
const NOPS = Array.from({ length: 16 }, () => 1);
const MSS = [2, 4, 5, 180];
/** Three bytes: what follows stands at an odd place. */
const SCALE = [3, 3, 7];

describe.each(FAMILIES)('a SYN that leaves a container by %s', (_, src, dst, l4) => {
  const sent = (options: readonly number[], flags = p.SYN): readonly number[] => {
    const frame = p.tcp(src, dst, { sport: 5000, dport: 80, flags, options: Uint8Array.from(options) });
    const { retval, data } = kernel.send(frame);
    expect(retval).toBe(PASS);
    expect(data.length).toBe(frame.length);
    const transport = data.subarray(l4);
    expect(p.transportSum(p.addressBytes(src), p.addressBytes(dst), p.TCP, transport)).toBe(0xffff);
    return [...transport.subarray(20)];
  };

  it.each([
    ['its own tag, keeps it', [...MSS, ...tag(OWN)], [...MSS, ...tag(OWN)], {}],
    ['no tag, stays as it is', [...MSS, ...SCALE, 0], [...MSS, ...SCALE, 0], {}],
    ["another's tag, has padding instead", [...MSS, ...tag(OTHER)], [...MSS, ...NOPS], { FOREIGN: 1 }],
    ['one at an odd place, too', [...SCALE, ...tag(OTHER), 1], [...SCALE, ...NOPS, 1], { FOREIGN: 1 }],
    ['behind its own', [...tag(OWN), ...tag(OTHER)], [...tag(OWN), ...NOPS], { FOREIGN: 1 }],
    ['two of them', [...tag(OTHER), 1, ...tag(OTHER + 1), 1, 1, 1], [...NOPS, 1, ...NOPS, 1, 1, 1], { FOREIGN: 2 }],
    ['behind much padding', [...NOPS, 1, 1, 1, 1, ...tag(OTHER)], [...NOPS, 1, 1, 1, 1, ...NOPS], { FOREIGN: 1 }],
  ] as const)('with %s', (_, options, wanted, counts) => {
    expect(sent(options)).toEqual(wanted);
    expect(tagCounts(kernel)).toEqual(counts);
  });

  it('while tags are off, and later packets always, are not looked at', () => {
    const options = [...MSS, ...tag(OTHER)];
    expect(sent(options, p.ACK)).toEqual(options);
    clearTags(kernel);
    expect(sent(options)).toEqual(options);
    expect(tagCounts(kernel)).toEqual({});
  });

  it('on a host that reads tags only, is cleaned too', () => {
    setTags(kernel, { flags: TagsFlag.VERIFY });
    expect(sent([...MSS, ...tag(OTHER)])).toEqual([...MSS, ...NOPS]);
  });
});
