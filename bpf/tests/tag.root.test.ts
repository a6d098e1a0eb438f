// What a receiver makes of tags: SYNs through the program at a container's veth. Behind one address stand identity 7, which may
// call tcp/80, and identity 9, which may not; anything but a valid tag leaves them one shared peer, and that may call.
import { Direction, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Action,
  type Endpoint,
  EventFlag,
  FlowFlag,
  GROUP,
  GROUP_KEY,
  GroupKind,
  PEER,
  PEER_KEY,
  PeerFlag,
  PORT,
  PORT_KEY,
  PORT_PREFIX,
  SHARED_KEY,
  TAG_SLOT_NS,
  type TagClaim,
  TagsFlag,
  tagOption,
} from '../ts/index.js';
import { DROP, PASS, TestKernel, u32 } from './kernel.js';
import * as p from './packets.js';
import { clearTags, FLEET_NS, genuine, keyOf, mapped, SLOT, setKey, setTags, tagCounts } from './tag-bed.js';

const [ALLOWED, FORBIDDEN, ELSEWHERE, OWN] = [7, 9, 11, 50];
const RULE = 31;
const FAMILIES = {
  v4: { local: '10.0.0.1', shared: '192.0.2.9', other: '192.0.2.10', single: '192.0.2.20' },
  v6: { local: 'fd00::1', shared: '2001:db8::9', other: '2001:db8::a', single: '2001:db8::20' },
} as const;
type Family = keyof typeof FAMILIES;
const ISN = 0xfedcba98;

const ENDPOINT: Endpoint = {
  number: 7,
  identity: OWN,
  space: 0,
  setIn: 1,
  setOut: 0,
  generation: 1,
  policyVersion: 3,
  flags: 0,
  modeIn: Mode.MODE_ENFORCE,
  modeOut: Mode.MODE_ENFORCE,
};

let kernel: TestKernel;
let sport = 20_000;

beforeAll(() => {
  kernel = new TestKernel({ programs: ['rf_tc_egress', 'rf_iter_flows'], rodata: { rf_has_coarse_clock: 0 } });
  const allow = (set: number, identity: number, rule: number): void => {
    const group = set * 100 + identity;
    const port = PORT_KEY.encode({ prefixlen: PORT_PREFIX.port(16), group, proto: p.TCP, port: 80 });
    kernel
      .map('rf_groups')
      .update(GROUP_KEY.encode({ set, peer: identity, kind: GroupKind.IDENTITY }), GROUP.encode({ group }));
    kernel.map('rf_ports').update(port, PORT.encode({ rule, action: Action.ALLOW, constraints: 0 }));
  };
  allow(1, ALLOWED, RULE);
  allow(2, FORBIDDEN, RULE + 1);
  for (const { shared, other, single } of Object.values(FAMILIES)) {
    for (const text of [shared, other]) {
      kernel
        .map('rf_peers')
        .update(
          PEER_KEY.encode({ space: 0, addr: mapped(text) }),
          PEER.encode({ identity: 3, flags: PeerFlag.SHARED }),
        );
    }
    kernel
      .map('rf_peers')
      .update(PEER_KEY.encode({ space: 0, addr: mapped(single) }), PEER.encode({ identity: ALLOWED, flags: 0 }));
  }
});
afterAll(() => kernel.close());
beforeEach(async () => {
  await kernel.reset();
  clearTags(kernel);
  behind([ALLOWED, FORBIDDEN]);
  kernel.endpoint(ENDPOINT);
  setTags(kernel);
  for (const epoch of [4, 5, 6]) setKey(kernel, epoch);
});
afterEach(() => expect(kernel.failures()).toEqual({}));

/** Who stands behind the shared addresses. */
function behind(identities: readonly number[]): void {
  const map = kernel.map('rf_shared');
  const keys = map.keys();
  if (keys.length > 0) map.deleteBatch(keys, { missingOk: true });
  for (const [index, identity] of identities.entries())
    map.update(SHARED_KEY.encode({ shared: 3, index }), u32(identity));
}

const claim = (family: Family, more: Partial<TagClaim> = {}): TagClaim => ({
  identity: FORBIDDEN,
  isn: ISN,
  epoch: 5,
  slot: SLOT,
  bound: { kind: 'address', address: mapped(FAMILIES[family].local), port: 80 },
  ...more,
});

interface Syn {
  readonly family?: Family;
  readonly from?: string;
  readonly sport?: number;
  readonly options?: Uint8Array;
  readonly isn?: number;
  readonly flags?: number;
}

/** One SYN to tcp/80 from a port of its own. */
function receive({ family = 'v4', from, sport: port = sport++, options, isn = ISN, flags = p.SYN }: Syn): number {
  const { shared, local } = FAMILIES[family];
  return kernel.receive(p.tcp(from ?? shared, local, { sport: port, dport: 80, flags, seq: isn, options })).retval;
}

/** What the one new record says, after PASS or DROP. */
async function told(retval: number): Promise<string> {
  const events = await kernel.events();
  expect(events).toHaveLength(1);
  const [event] = events;
  if (event === undefined) throw new Error('no event');
  expect(retval).toBe(event.verdict === Verdict.VERDICT_BLOCKED ? DROP : PASS);
  expect(event.direction).toBe(Direction.DIRECTION_INBOUND);
  const how = event.flags & EventFlag.TAGGED ? 'tagged' : event.flags & EventFlag.SHARED ? 'shared' : 'exact';
  return `${Verdict[event.verdict]?.slice(8)} ${Reason[event.reason]?.slice(7)} ${how} ${event.peerIdentity} rule ${event.rule}`;
}

const AS_SHARED = `ALLOWED RULE_ALLOW shared ${ALLOWED} rule ${RULE}`;
const AS_ALLOWED = `ALLOWED RULE_ALLOW tagged ${ALLOWED} rule ${RULE}`;
const AS_FORBIDDEN = `BLOCKED IMPLICIT_DENY tagged ${FORBIDDEN} rule 0`;

describe.each(['v4', 'v6'] as const)('a SYN from a shared address, IP%s', (family) => {
  const identityBound = (identity: number): TagClaim =>
    claim(family, { bound: { kind: 'identity', identity, port: 80 } });
  const at = (slot: number, epoch = 5): TagClaim => claim(family, { slot, epoch });
  const elsewhere = { kind: 'address', address: mapped(FAMILIES[family].other), port: 80 } as const;
  const otherPort = { kind: 'address', address: mapped(FAMILIES[family].local), port: 81 } as const;

  it.each([
    ['no tag', undefined, AS_SHARED, 'ABSENT'],
    ['the allowed one', genuine(claim(family, { identity: ALLOWED })), AS_ALLOWED, 'VALID'],
    ['the forbidden one', genuine(claim(family)), AS_FORBIDDEN, 'VALID'],
    ['forged with another key', tagOption(keyOf(99), claim(family)), AS_SHARED, 'INVALID'],
    ['of another sequence number', genuine(claim(family, { isn: ISN + 1 })), AS_SHARED, 'INVALID'],
    ['for another address', genuine(claim(family, { bound: elsewhere })), AS_SHARED, 'INVALID'],
    ['for another port', genuine(claim(family, { bound: otherPort })), AS_SHARED, 'INVALID'],
    ['for this identity behind a mapping', genuine(identityBound(OWN)), AS_FORBIDDEN, 'VALID'],
    ['for another identity behind a mapping', genuine(identityBound(OWN + 1)), AS_SHARED, 'INVALID'],
    ['of an identity that is not behind it', genuine(claim(family, { identity: ELSEWHERE })), AS_SHARED, 'NOT_BEHIND'],
    ['of identity 0', genuine(claim(family, { identity: 0 })), AS_SHARED, 'INVALID'],
    ['one slot early', genuine(at(SLOT + 1)), AS_FORBIDDEN, 'VALID'],
    ['one slot late', genuine(at(SLOT - 1)), AS_FORBIDDEN, 'VALID'],
    ['two slots early', genuine(at(SLOT + 2)), AS_SHARED, 'EXPIRED'],
    ['two slots late', genuine(at(SLOT - 2)), AS_SHARED, 'EXPIRED'],
    ['sixteen slots late', genuine(at(SLOT - 16)), AS_SHARED, 'INVALID'],
    ['of the epoch before', genuine(at(SLOT, 4)), AS_FORBIDDEN, 'VALID'],
    ['of the epoch to come', genuine(at(SLOT, 6)), AS_FORBIDDEN, 'VALID'],
    ['of an epoch that is not known', genuine(at(SLOT, 3)), AS_SHARED, 'EPOCH'],
    ['of an epoch eight before', tagOption(keyOf(5 - 8), at(SLOT, 13)), AS_SHARED, 'INVALID'],
  ] as const)('%s', async (_, options, wanted, count) => {
    expect(await told(receive({ family, options }))).toBe(wanted);
    expect(tagCounts(kernel)).toEqual({ [count]: 1 });
  });

  it('every single bit turned, makes a tag of the forbidden one no tag', async () => {
    const good = genuine(claim(family));
    for (let bit = 0; bit < 128; bit += 1) {
      const options = Uint8Array.from(good, (byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      expect([bit, await told(receive({ family, options }))]).toEqual([bit, AS_SHARED]);
    }
    const { INVALID = 0, ABSENT = 0, EXPIRED = 0, EPOCH = 0, ...rest } = tagCounts(kernel);
    expect([INVALID + ABSENT + EXPIRED + EPOCH, rest]).toEqual([128, {}]);
    expect(await told(receive({ family, options: good }))).toBe(AS_FORBIDDEN);
  });
});

describe('replays', () => {
  const options = genuine(claim('v4', { identity: ALLOWED }));

  it('a tag from another port or another address, is shared and counted', async () => {
    behind([FORBIDDEN, ALLOWED]);
    expect(await told(receive({ options, sport: 5000 }))).toBe(AS_ALLOWED);
    expect(await told(receive({ options, sport: 5001 }))).toBe(AS_SHARED);
    expect(await told(receive({ options, sport: 5000, from: FAMILIES.v4.other }))).toBe(AS_SHARED);
    expect(tagCounts(kernel)).toEqual({ VALID: 1, REPLAYED: 2 });
  });

  it('a tag whose SYN never arrived, is good once for whoever shows it first from an address it is behind', async () => {
    expect(await told(receive({ options, sport: 5000, from: FAMILIES.v4.other }))).toBe(AS_ALLOWED);
    expect(await told(receive({ options, sport: 5000 }))).toBe(AS_SHARED);
    expect(tagCounts(kernel)).toEqual({ VALID: 1, REPLAYED: 1 });
  });

  it('a retransmitted SYN of a refused connection, is refused again', async () => {
    const denied = genuine(claim('v4'));
    expect(await told(receive({ options: denied, sport: 5000 }))).toBe(AS_FORBIDDEN);
    for (let i = 0; i < 5; i += 1) expect(receive({ options: denied, sport: 5000 })).toBe(DROP);
    expect(tagCounts(kernel)).toEqual({ VALID: 6 });
  });

  it('a retransmitted SYN of an open connection, is a packet of it', async () => {
    receive({ options, sport: 5000 });
    for (let i = 0; i < 5; i += 1) expect(receive({ options, sport: 5000 })).toBe(PASS);
    expect(tagCounts(kernel)).toEqual({ VALID: 1 });
  });

  it('the same ports after the connection was over, are shared', async () => {
    receive({ options, sport: 5000 });
    receive({ flags: p.RST, sport: 5000, isn: ISN + 1 });
    await kernel.events();
    expect(await told(receive({ options, sport: 5000 }))).toBe(AS_SHARED);
    expect(tagCounts(kernel)).toEqual({ VALID: 1, REPLAYED: 1 });
  });

  it('after its slots, no cache is needed', async () => {
    receive({ options, sport: 5000 });
    await kernel.events();
    setTags(kernel, { nowNs: FLEET_NS + 2n * TAG_SLOT_NS });
    expect(await told(receive({ options, sport: 5001 }))).toBe(AS_SHARED);
    expect(tagCounts(kernel)).toEqual({ VALID: 1, EXPIRED: 1 });
  });

  it('a tag refused as replayed, never lets more in than no tag', async () => {
    behind([FORBIDDEN, ELSEWHERE]);
    const denied = genuine(claim('v4'));
    expect(await told(receive({ options: denied, sport: 5000 }))).toBe(AS_FORBIDDEN);
    expect(await told(receive({ options: denied, sport: 5001 }))).toBe(
      `BLOCKED IMPLICIT_DENY shared ${FORBIDDEN} rule 0`,
    );
  });
});

describe('keys and the switch', () => {
  const syn = (): number => receive({ options: genuine(claim('v4')) });

  it('an epoch past its end, is not known any more', async () => {
    setKey(kernel, 5, FLEET_NS - 1n);
    expect(await told(syn())).toBe(AS_SHARED);
    setKey(kernel, 5, FLEET_NS + 60_000_000_000n);
    expect(await told(syn())).toBe(AS_FORBIDDEN);
    expect(tagCounts(kernel)).toEqual({ EPOCH: 1, VALID: 1 });
  });

  it('switched off, nothing is read', async () => {
    setTags(kernel, { flags: TagsFlag.WRITE });
    expect(await told(syn())).toBe(AS_SHARED);
    clearTags(kernel);
    expect(await told(syn())).toBe(AS_SHARED);
    expect(tagCounts(kernel)).toEqual({});
  });

  it('addresses of one identity and packets of known flows, are not asked for tags', async () => {
    expect(await told(receive({ from: FAMILIES.v4.single, options: genuine(claim('v4')) }))).toBe(
      `ALLOWED RULE_ALLOW exact ${ALLOWED} rule ${RULE}`,
    );
    const options = genuine(claim('v4', { identity: ALLOWED }));
    receive({ options, sport: 6000 });
    for (let i = 0; i < 20; i += 1) receive({ flags: p.ACK, sport: 6000, options });
    // Not a SYN, and no flow: taken up again as what it is, a packet from a shared address.
    receive({ flags: p.ACK, sport: 6001, options });
    expect(tagCounts(kernel)).toEqual({ VALID: 1 });
  });
});

describe('where the option stands', () => {
  const tag = genuine(claim('v4'));
  const other = Uint8Array.from(tag, (byte, i) => (i === 3 ? byte ^ 1 : byte));
  const mss = [2, 4, 5, 180];
  const linux = [...mss, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];
  const list = (...parts: (readonly number[] | Uint8Array)[]): Uint8Array =>
    Uint8Array.from(parts.flatMap((part) => [...part]));
  const nops = (count: number): number[] => Array.from({ length: count }, () => 1);

  it.each([
    ['after what Linux sends', list(linux, tag), AS_FORBIDDEN],
    ['before it', list(tag, linux), AS_FORBIDDEN],
    ['after 23 of padding', list(nops(23), tag, [0]), AS_FORBIDDEN],
    ['after 24 of padding', list(nops(24), tag), AS_SHARED],
    ['after one of another experiment', list(other, tag), AS_FORBIDDEN],
    ['after the end of the list', list([0, 0, 0, 0], tag), AS_SHARED],
    ['cut short by the header', list(mss, mss, mss, mss, mss, mss, mss, tag.subarray(0, 12)), AS_SHARED],
    ['after an option without length', list([8, 0, 1, 1], tag), AS_SHARED],
    ['replaced by padding', list(linux, nops(16)), AS_SHARED],
  ] as const)('%s', async (_, options, wanted) => {
    expect(await told(receive({ options }))).toBe(wanted);
    expect(tagCounts(kernel)).toEqual(wanted === AS_SHARED ? { ABSENT: 1 } : { VALID: 1 });
  });

  it('in a fragment, is none', async () => {
    const { shared, local } = FAMILIES.v4;
    const more = { fragment: { id: 9, offset: 0, more: true } };
    const frame = p.tcp(shared, local, { sport: sport++, dport: 80, flags: p.SYN, seq: ISN, options: tag }, more);
    expect(await told(kernel.receive(frame).retval)).toBe(AS_SHARED);
    expect(tagCounts(kernel)).toEqual({ ABSENT: 1 });
  });
});

describe('an open connection of a tagged peer', () => {
  const open = async (identity: number): Promise<void> => {
    expect(receive({ options: genuine(claim('v4', { identity })), sport: 7000 })).toBe(PASS);
    await kernel.events();
  };
  const flow = () => kernel.flows()[0]?.[1];

  it.each(['packet', 'sweep'] as const)('under a policy that allows only the others, is cut by %s', async (by) => {
    await open(ALLOWED);
    kernel.endpoint({ ...ENDPOINT, setIn: 2, generation: 2 });
    if (by === 'packet') expect(receive({ flags: p.ACK, sport: 7000, isn: ISN + 1 })).toBe(DROP);
    else expect(kernel.sweep().map(({ flags }) => flags)).toEqual([EventFlag.CUT | EventFlag.SWEPT | EventFlag.TAGGED]);
    expect(flow()).toMatchObject({ reason: Reason.REASON_REVOKED, peerIdentity: ALLOWED });
  });

  it('under a new policy that allows it, goes on as tagged', async () => {
    await open(ALLOWED);
    kernel.endpoint({ ...ENDPOINT, policyVersion: 4, generation: 2 });
    expect(receive({ flags: p.ACK, sport: 7000, isn: ISN + 1 })).toBe(PASS);
    expect(flow()).toMatchObject({ flags: FlowFlag.TAGGED, peerIdentity: ALLOWED, policyVersion: 4 });
  });

  it('whose identity is not behind the address any more, is decided as shared', async () => {
    await open(ALLOWED);
    behind([FORBIDDEN, ELSEWHERE]);
    kernel.bump();
    expect(receive({ flags: p.ACK, sport: 7000, isn: ISN + 1 })).toBe(DROP);
    expect(flow()?.flags).toBe(FlowFlag.CUT | FlowFlag.ENDED | FlowFlag.SHARED);
  });
});
