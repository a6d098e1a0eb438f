// What the TC programs do with single packets: shapes, fragments, conntrack states, refusals. The policy is two sets written by
// hand: in allows tcp/80, udp/53 and icmp/8 from anyone, out allows tcp/443 and udp/53 to anyone.
import { Direction, EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Action,
  type Endpoint,
  EndpointFlag,
  EventFlag,
  type FlowEvent,
  FlowFlag,
  GROUP,
  GROUP_KEY,
  GroupKind,
  Lane,
  PORT,
  PORT_KEY,
  PORT_PREFIX,
} from '../ts/index.js';
import { DROP, PASS, REDIRECT, TestKernel } from './kernel.js';
import * as p from './packets.js';

const A = '10.0.0.1';
const B = '192.0.2.9';
const A6 = 'fd00::1';
const B6 = '2001:db8::9';
const MARK = 0x52460001;

const ENDPOINT: Endpoint = {
  number: 7,
  identity: 70,
  space: 0,
  setIn: 1,
  setOut: 2,
  generation: 1,
  policyVersion: 3,
  flags: 0,
  modeIn: Mode.MODE_ENFORCE,
  modeOut: Mode.MODE_ENFORCE,
};

let shared: TestKernel;
let kernel: TestKernel;

function allow(set: number, proto: number, port: number, rule: number): void {
  kernel
    .map('rf_groups')
    .update(GROUP_KEY.encode({ set, peer: 0, kind: GroupKind.IDENTITY }), GROUP.encode({ group: set }));
  kernel
    .map('rf_ports')
    .update(
      PORT_KEY.encode({ prefixlen: PORT_PREFIX.port(16), group: set, proto, port }),
      PORT.encode({ rule, action: Action.ALLOW, constraints: 0 }),
    );
}

/** A kernel of this test's own, with other settings. */
function start(options: ConstructorParameters<typeof TestKernel>[0]): void {
  kernel = new TestKernel({ rodata: { rf_has_coarse_clock: 0 }, ...options });
  prepare();
}

function prepare(): void {
  allow(1, p.TCP, 80, 11);
  allow(1, p.UDP, 53, 12);
  allow(1, p.ICMP, 8 * 256, 13);
  allow(1, p.ICMPV6, 128 * 256, 14);
  allow(2, p.TCP, 443, 21);
  allow(2, p.UDP, 53, 22);
  kernel.endpoint(ENDPOINT);
}

beforeAll(() => {
  shared = new TestKernel({ rodata: { rf_has_coarse_clock: 0 } });
});
afterAll(() => shared.close());
beforeEach(async () => {
  await shared.reset();
  kernel = shared;
  prepare();
});
afterEach(() => {
  expect(kernel.failures()).toEqual({});
  if (kernel !== shared) kernel.close();
});

const brief = (event: FlowEvent | undefined): string =>
  event
    ? `${EventKind[event.kind]?.slice(11)} ${Verdict[event.verdict]?.slice(8)} ${Reason[event.reason]?.slice(7)} ${event.rule}`
    : 'none';
const happened = async (): Promise<string[]> => (await kernel.events()).map(brief);

const syn = (dport = 443, sport = 5000): Uint8Array => p.tcp(A, B, { sport, dport, flags: p.SYN });
const out = (flags: number, more: Partial<p.TcpSpec> = {}): Uint8Array =>
  p.tcp(A, B, { sport: 5000, dport: 443, flags, ...more });
const back = (flags: number, more: Partial<p.TcpSpec> = {}): Uint8Array =>
  p.tcp(B, A, { sport: 443, dport: 5000, flags, ...more });

describe('shapes', () => {
  const segment = (src: string, dst: string): Uint8Array =>
    p.tcpSegment(src, dst, { sport: 5000, dport: 443, flags: p.SYN });
  const ip4 = (more: Partial<p.IpSpec> = {}): Uint8Array =>
    p.ipPacket({ src: A, dst: B, protocol: p.TCP, transport: segment(A, B), ...more });
  const ip6 = (more: Partial<p.IpSpec> = {}): Uint8Array =>
    p.ipPacket({ src: A6, dst: B6, protocol: p.TCP, transport: segment(A6, B6), ...more });
  const pad = (bytes: number): Uint8Array => new Uint8Array(bytes);

  it.each([
    ['IPv4', p.frame(ip4())],
    ['IPv4 with options', p.frame(ip4({ options: pad(40) }))],
    ['one VLAN tag', p.frame(ip4(), [5])],
    ['two VLAN tags', p.frame(ip4(), [5, 6])],
    ['trailing padding', p.frame(Buffer.concat([ip4(), pad(6)]))],
    ['IPv6', p.frame(ip6())],
    ['IPv6 in a VLAN', p.frame(ip6(), [9])],
    ['IPv6 hop-by-hop', p.frame(ip6({ extensions: [[0, pad(7)]] }))],
    ['IPv6 hop-by-hop of 16 bytes', p.frame(ip6({ extensions: [[0, Uint8Array.of(1, ...pad(14))]] }))],
    [
      'IPv6 routing and destination',
      p.frame(
        ip6({
          extensions: [
            [43, pad(7)],
            [60, pad(7)],
          ],
        }),
      ),
    ],
    ['IPv6 authentication', p.frame(ip6({ extensions: [[51, Uint8Array.of(1, ...pad(10))]] }))],
    ['IPv6 atomic fragment', p.frame(ip6({ fragment: { id: 1, offset: 0, more: false } }))],
    ['IPv6 with eight headers', p.frame(ip6({ extensions: Array.from({ length: 7 }, () => [60, pad(7)] as const) }))],
  ])('%s, is the connection it carries', async (_, packet) => {
    expect(kernel.send(packet).retval).toBe(PASS);
    const [event] = await kernel.events();
    expect(brief(event)).toBe('NEW ALLOWED RULE_ALLOW 21');
    expect([event?.localPort, event?.remotePort, event?.servicePort]).toEqual([5000, 443, 443]);
    expect([event?.endpoint, event?.policyVersion, event?.direction]).toEqual([7, 3, Direction.DIRECTION_OUTBOUND]);
  });

  const cut = (bytes: Uint8Array, length: number): Uint8Array => bytes.slice(0, length);
  const patched = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
    const copy = Uint8Array.from(bytes);
    copy[at] = value;
    return copy;
  };

  // Shorter than an IP header is more than BPF_PROG_TEST_RUN accepts.
  const BROKEN: readonly (readonly [string, Uint8Array])[] = [
    ['IPv4 of version 5', p.frame(patched(ip4(), 0, 0x55), [], 0x0800)],
    ['IPv4 header length 4', p.frame(patched(ip4(), 0, 0x44), [], 0x0800)],
    ['IPv4 total length beyond the packet', p.frame(patched(ip4(), 3, 0xff))],
    ['IPv4 total length below its header', p.frame(patched(ip4(), 3, 10))],
    ['TCP header cut short', p.frame(patched(cut(ip4(), 39), 3, 39))],
    ['TCP data offset 4', p.frame(patched(ip4(), 32, 0x40))],
    ['TCP data offset beyond the packet', p.frame(patched(ip4(), 32, 0xf0))],
    ['TCP fragment at offset 8', p.frame(ip4({ fragment: { id: 1, offset: 8, more: false } }))],
    [
      'first fragment without the TCP header',
      p.frame(
        p.ipPacket({ src: A, dst: B, protocol: p.TCP, transport: pad(8), fragment: { id: 1, offset: 0, more: true } }),
      ),
    ],
    ['UDP header cut short', p.frame(p.ipPacket({ src: A, dst: B, protocol: p.UDP, transport: pad(7) }))],
    ['ICMP of three bytes', p.frame(p.ipPacket({ src: A, dst: B, protocol: p.ICMP, transport: pad(3) }))],
    ['IPv6 payload beyond the packet', p.frame(patched(ip6(), 5, 0xff))],
    ['IPv6 extension beyond the packet', p.frame(ip6({ extensions: [[0, Uint8Array.of(200, ...pad(6))]] }))],
    ['IPv6 with nine headers', p.frame(ip6({ extensions: Array.from({ length: 9 }, () => [60, pad(7)] as const) }))],
  ];

  it.each(BROKEN)('%s, is unparsable and blocked', async (_, packet) => {
    expect(kernel.send(packet).retval).toBe(DROP);
    expect(await happened()).toEqual(['DENY BLOCKED UNPARSABLE 0']);
    expect(kernel.counter(Verdict.VERDICT_BLOCKED, Reason.REASON_UNPARSABLE, 2).packets).toBe(1n);
  });

  it('unparsable in test and visibility mode, passes: reported, then only counted', async () => {
    const [, packet] = BROKEN[0] ?? [];
    kernel.endpoint({ ...ENDPOINT, modeOut: Mode.MODE_TEST });
    expect(kernel.send(packet ?? pad(0)).retval).toBe(PASS);
    expect(await happened()).toEqual(['DENY WOULD_BLOCK UNPARSABLE 0']);
    kernel.endpoint({ ...ENDPOINT, modeOut: Mode.MODE_VISIBILITY });
    expect(kernel.send(packet ?? pad(0)).retval).toBe(PASS);
    expect(await happened()).toEqual([]);
    expect(kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_UNPARSABLE, 2).packets).toBe(1n);
  });

  it.each([
    ['ARP', p.frame(pad(28), [], 0x0806)],
    ['three VLAN tags', p.frame(ip4(), [1, 2, 3])],
    ['LLDP', p.frame(pad(46), [], 0x88cc)],
  ])('%s, passes as neither IPv4 nor IPv6 even when isolated', async (_, packet) => {
    kernel.endpoint({ ...ENDPOINT, flags: EndpointFlag.ISOLATED });
    expect(kernel.send(packet).retval).toBe(PASS);
    expect(kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_NON_IP, 2).packets).toBe(1n);
    expect(await happened()).toEqual([]);
  });

  it('a device without endpoint, passes everything and counts it', () => {
    kernel.map('rf_endpoints').delete(kernel.map('rf_endpoints').keys());
    expect(kernel.receive(syn()).retval).toBe(PASS);
    expect(kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_NO_ENDPOINT, 1).packets).toBe(1n);
  });

  it.each([
    [
      'neighbour solicitation',
      p.frame(
        p.ipPacket({
          src: B6,
          dst: A6,
          protocol: p.ICMPV6,
          ttl: 255,
          transport: p.icmpMessage(B6, A6, 135, 0, pad(20)),
        }),
      ),
      true,
    ],
    [
      'neighbour solicitation from afar',
      p.frame(
        p.ipPacket({
          src: B6,
          dst: A6,
          protocol: p.ICMPV6,
          ttl: 254,
          transport: p.icmpMessage(B6, A6, 135, 0, pad(20)),
        }),
      ),
      false,
    ],
    [
      'multicast listener query',
      p.frame(
        p.ipPacket({
          src: 'fe80::1',
          dst: 'ff02::1',
          protocol: p.ICMPV6,
          ttl: 1,
          transport: p.icmpMessage('fe80::1', 'ff02::1', 130, 0, pad(20)),
        }),
      ),
      true,
    ],
    ['DHCP offer', p.udp('10.0.0.254', '255.255.255.255', 67, 68), true],
    ['DHCPv6 reply', p.udp('fe80::1', 'fe80::2', 547, 546), true],
    ['DHCPv6 reply from afar', p.udp(B6, A6, 547, 546), false],
    ['a DHCP server role', p.udp('10.0.0.5', '10.0.0.1', 68, 67), false],
  ])('%s, neighbour: %s', async (_, packet, passes) => {
    kernel.endpoint({ ...ENDPOINT, flags: EndpointFlag.ISOLATED });
    expect(kernel.receive(packet).retval).toBe(passes ? PASS : DROP);
    expect(kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_NEIGHBOUR, 1).packets).toBe(passes ? 1n : 0n);
    expect(kernel.flows()).toEqual([]);
  });
});

describe('fragments', () => {
  const whole = (src: string, dst: string, dport: number): Uint8Array =>
    p.udpDatagram(src, dst, 5000, dport, new Uint8Array(32));
  const piece = (src: string, dst: string, id: number, offset: number, more: boolean, dport = 53): Uint8Array => {
    const transport = whole(src, dst, dport).slice(offset, more ? offset + 16 : undefined);
    return p.frame(p.ipPacket({ src, dst, protocol: p.UDP, transport, fragment: { id, offset, more } }));
  };

  it.each([
    ['IPv4', A, B],
    ['IPv6', A6, B6],
  ])('%s: later fragments, have the ports of their first', async (_, src, dst) => {
    expect(kernel.send(piece(src, dst, 9, 0, true)).retval).toBe(PASS);
    expect(kernel.send(piece(src, dst, 9, 16, true)).retval).toBe(PASS);
    expect(kernel.send(piece(src, dst, 9, 32, false)).retval).toBe(PASS);
    const [[key, flow] = []] = kernel.flows();
    expect([key?.localPort, key?.remotePort, flow?.packetsOut]).toEqual([5000, 53, 3n]);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 22']);
  });

  it('a later fragment of a forbidden datagram, is blocked like it', () => {
    expect(kernel.send(piece(A, B, 9, 0, true, 54)).retval).toBe(DROP);
    expect(kernel.send(piece(A, B, 9, 32, false, 54)).retval).toBe(DROP);
    expect(kernel.counter(Verdict.VERDICT_BLOCKED, Reason.REASON_IMPLICIT_DENY, 2).packets).toBe(2n);
  });

  it('a later fragment without its first, is an orphan', async () => {
    expect(kernel.send(piece(A, B, 10, 32, false)).retval).toBe(DROP);
    expect(kernel.send(piece(A, B, 9, 0, true)).retval).toBe(PASS);
    expect(kernel.send(piece(A, B, 10, 32, false)).retval).toBe(DROP);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 22', 'DENY BLOCKED FRAGMENT_ORPHAN 0']);
    expect(kernel.counter(Verdict.VERDICT_BLOCKED, Reason.REASON_FRAGMENT_ORPHAN, 2).packets).toBe(2n);
  });
});

describe('ICMP', () => {
  const about = (packet: Uint8Array): Uint8Array => packet.subarray(14);

  it.each([
    ['unreachable inwards', () => kernel.receive(p.icmpError('198.51.100.1', A, 3, 4, about(syn())))],
    ['time exceeded inwards', () => kernel.receive(p.icmpError('198.51.100.1', A, 11, 0, about(syn())))],
    ['unreachable outwards', () => kernel.send(p.icmpError(A, B, 3, 3, about(back(p.SYN | p.ACK))))],
  ])('%s, follows the flow it speaks of', (_, run) => {
    expect(kernel.send(syn()).retval).toBe(PASS);
    expect(run().retval).toBe(PASS);
    const [inwards, outwards] = [1, 2].map(
      (way) => kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_RELATED, way).packets,
    );
    expect((inwards ?? 0n) + (outwards ?? 0n)).toBe(1n);
    expect(kernel.flows().length).toBe(1);
  });

  it('an IPv6 error, follows the flow it speaks of', () => {
    const opening = p.tcp(A6, B6, { sport: 5000, dport: 443, flags: p.SYN });
    kernel.send(opening);
    expect(kernel.receive(p.icmpError('2001:db8::1', A6, 2, 0, about(opening))).retval).toBe(PASS);
  });

  it('an error about a ping, follows the ping', () => {
    const ping = p.icmp(B, A, 8, 0, p.echoRest(77));
    expect(kernel.receive(ping).retval).toBe(PASS);
    const pong = p.icmp(A, B, 0, 0, p.echoRest(77));
    expect(kernel.receive(p.icmpError(B, A, 3, 13, about(pong))).retval).toBe(PASS);
  });

  it.each([
    ['of another port', () => p.icmpError(B, A, 3, 4, about(syn(444)))],
    ['of another direction', () => p.icmpError(B, A, 3, 4, about(back(p.ACK)))],
    ['that embeds nothing', () => p.icmp(B, A, 3, 4)],
    ['that embeds an error', () => p.icmpError(B, A, 3, 4, about(p.icmpError(A, B, 3, 4, about(syn()))))],
  ])('an error %s, is unrelated', async (_, packet) => {
    kernel.send(syn());
    await kernel.events();
    expect(kernel.receive(packet()).retval).toBe(DROP);
    expect(await happened()).toEqual(['DENY BLOCKED ICMP_UNRELATED 0']);
  });

  it('an echo, is a flow by id: replies pass, other ids and unasked replies do not', () => {
    expect(kernel.receive(p.icmp(B, A, 8, 0, p.echoRest(77))).retval).toBe(PASS);
    expect(kernel.send(p.icmp(A, B, 0, 0, p.echoRest(77))).retval).toBe(PASS);
    expect(kernel.send(p.icmp(A, B, 0, 0, p.echoRest(78))).retval).toBe(DROP);
    // The same id the other way is another flow: an inbound ping is no licence for an outbound one.
    expect(kernel.send(p.icmp(A, B, 8, 0, p.echoRest(77))).retval).toBe(DROP);
    const [[key, flow] = []] = kernel.flows();
    expect([key?.localPort, key?.remotePort, key?.opened, flow?.packetsIn, flow?.packetsOut]).toEqual([
      77,
      2048,
      1,
      1n,
      1n,
    ]);
  });
});

describe('TCP', () => {
  it('open, talk and close, is NEW and END with exact counters', async () => {
    const ways: [(packet: Uint8Array) => { retval: number }, Uint8Array][] = [
      [(x) => kernel.send(x), syn()],
      [(x) => kernel.receive(x), back(p.SYN | p.ACK)],
      [(x) => kernel.send(x), out(p.ACK, { payload: new Uint8Array(100) })],
      [(x) => kernel.receive(x), back(p.ACK | p.FIN)],
      [(x) => kernel.send(x), out(p.ACK | p.FIN)],
      [(x) => kernel.receive(x), back(p.ACK)],
    ];
    for (const [run, packet] of ways) expect(run(packet).retval).toBe(PASS);
    const events = await kernel.events();
    expect(events.map(brief)).toEqual(['NEW ALLOWED RULE_ALLOW 21', 'END ALLOWED RULE_ALLOW 21']);
    const end = events[1];
    expect([end?.packetsOut, end?.bytesOut, end?.packetsIn, end?.bytesIn]).toEqual([3, 220n, 3, 120n]);
    expect(end?.tcpFlags).toBe(p.SYN | p.ACK | p.FIN);
    expect(end?.sequence).toBe((events[0]?.sequence ?? 0) + 1);
    expect(kernel.counter(Verdict.VERDICT_ALLOWED, Reason.REASON_RULE_ALLOW, 1)).toEqual({ packets: 3n, bytes: 120n });
  });

  it('a reset, ends once; late packets pass without a word', async () => {
    kernel.send(syn());
    kernel.receive(back(p.RST));
    expect(kernel.send(out(p.RST)).retval).toBe(PASS);
    expect(kernel.send(out(p.ACK)).retval).toBe(PASS);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 21', 'END ALLOWED RULE_ALLOW 21']);
  });

  it('a SYN on a closed tuple, is decided as a new connection', async () => {
    kernel.send(syn());
    kernel.receive(back(p.RST));
    await kernel.events();
    // The remote end opens from 443 to 5000: no rule lets that in, though the tuple was allowed the other way.
    expect(kernel.receive(back(p.SYN)).retval).toBe(DROP);
    expect(kernel.send(syn()).retval).toBe(PASS);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 21', 'DENY BLOCKED IMPLICIT_DENY 0']);
    expect(kernel.flows()[0]?.[1].packetsOut).toBe(1n);
  });

  it('a reply whose entry is gone, is readmitted by its original direction', async () => {
    expect(kernel.receive(back(p.ACK, { payload: new Uint8Array(5) })).retval).toBe(PASS);
    const [event] = await kernel.events();
    expect(brief(event)).toBe('NEW ALLOWED READMITTED 21');
    expect(event?.direction).toBe(Direction.DIRECTION_OUTBOUND);
    expect(kernel.send(out(p.ACK)).retval).toBe(PASS);
  });

  it('a packet that neither direction allows, is blocked in its own', async () => {
    expect(kernel.receive(p.tcp(B, A, { sport: 444, dport: 5000, flags: p.ACK })).retval).toBe(DROP);
    const [event] = await kernel.events();
    expect([brief(event), event?.direction]).toEqual(['DENY BLOCKED IMPLICIT_DENY 0', Direction.DIRECTION_INBOUND]);
  });

  it('a SYN, is never a reply', () => {
    expect(kernel.receive(back(p.SYN)).retval).toBe(DROP);
  });

  it('a forbidden UDP reply without its entry, is a new flow', () => {
    expect(kernel.receive(p.udp(B, A, 53, 5000)).retval).toBe(DROP);
    kernel.send(p.udp(A, B, 5000, 53));
    expect(kernel.receive(p.udp(B, A, 53, 5000)).retval).toBe(PASS);
  });

  it('a stray reset, is counted and not reported', async () => {
    expect(kernel.send(p.tcp(A, B, { sport: 1, dport: 2, flags: p.RST })).retval).toBe(DROP);
    expect(kernel.send(p.tcp(A, B, { sport: 1, dport: 443, flags: p.RST })).retval).toBe(PASS);
    expect(await happened()).toEqual([]);
    expect(kernel.flows()).toEqual([]);
  });
});

describe('time', () => {
  it('a silent flow, ends and begins anew at its next packet', async () => {
    start({ rodata: { rf_has_coarse_clock: 0, rf_udp_new_ns: 1n, rf_udp_open_ns: 1n } });
    kernel.send(p.udp(A, B, 5000, 53));
    kernel.send(p.udp(A, B, 5000, 53));
    expect(await happened()).toEqual([
      'NEW ALLOWED RULE_ALLOW 22',
      'END ALLOWED RULE_ALLOW 22',
      'NEW ALLOWED RULE_ALLOW 22',
    ]);
  });

  it('a long-lived flow, is reported every period', async () => {
    start({ rodata: { rf_has_coarse_clock: 0, rf_update_period_ns: 1n } });
    kernel.send(syn());
    kernel.receive(back(p.SYN | p.ACK));
    kernel.send(out(p.ACK));
    const events = await kernel.events();
    expect(events.map(brief)).toEqual([
      'NEW ALLOWED RULE_ALLOW 21',
      'UPDATE ALLOWED RULE_ALLOW 21',
      'UPDATE ALLOWED RULE_ALLOW 21',
    ]);
    expect(events[2]?.packetsOut).toBe(2);
  });

  it('denies of one flow, are one event a period and their number is kept', async () => {
    const refused = (): number => kernel.send(syn(444)).retval;
    for (let i = 0; i < 10; i++) expect(refused()).toBe(DROP);
    expect(await happened()).toEqual(['DENY BLOCKED IMPLICIT_DENY 0']);
    expect(kernel.counter(Verdict.VERDICT_BLOCKED, Reason.REASON_IMPLICIT_DENY, 2).packets).toBe(10n);
    // The clock goes on: the eleventh stands for itself and the nine before it.
    const deadline = Date.now() + 5000;
    let events = await kernel.events();
    let folded = 9;
    while (events.length === 0 && Date.now() < deadline) {
      refused();
      events = await kernel.events();
      if (events.length === 0) folded += 1;
    }
    expect(events[0]?.attempts).toBe(folded + 1);
  });
});

describe('sweep', () => {
  it('idle flows, end and are deleted; the others stay', () => {
    start({ rodata: { rf_has_coarse_clock: 0, rf_udp_new_ns: 1n } });
    kernel.send(syn());
    kernel.send(p.udp(A, B, 5000, 53));
    const events = kernel.sweep();
    expect(events.map(brief)).toEqual(['END ALLOWED RULE_ALLOW 22']);
    expect([events[0]?.flags, events[0]?.sequence]).toEqual([EventFlag.SWEPT, 0]);
    expect(kernel.flows().map(([key]) => key.proto)).toEqual([p.TCP]);
    expect(kernel.sweep()).toEqual([]);
  });

  it('flows of an endpoint that is gone, end', () => {
    kernel.send(syn());
    kernel.endpoint({ ...ENDPOINT, number: 8 });
    expect(kernel.sweep().map(brief)).toEqual(['END ALLOWED RULE_ALLOW 21']);
    expect(kernel.flows()).toEqual([]);
  });

  it('a new policy over 20,000 idle connections, cuts and reports each exactly once', () => {
    for (let i = 0; i < 20_000; i++) kernel.send(syn(443, 20_000 + i));
    kernel.endpoint({ ...ENDPOINT, setOut: 0, generation: 2, policyVersion: 4 });
    const events = kernel.sweep();
    const ports = new Set(events.map((event) => event.localPort));
    expect([events.length, ports.size]).toEqual([20_000, 20_000]);
    expect(new Set(events.map(brief))).toEqual(new Set(['VERDICT BLOCKED REVOKED 0']));
    expect(events.every((event) => event.flags === (EventFlag.CUT | EventFlag.SWEPT))).toBe(true);
    expect(kernel.sweep()).toEqual([]);
  });
});

describe('a new generation', () => {
  const revoke = (more: Partial<Endpoint> = {}): void =>
    kernel.endpoint({ ...ENDPOINT, setOut: 0, generation: 2, ...more });

  it('cuts what is forbidden, both ways, with one event; a bare reset gets out', async () => {
    kernel.send(syn());
    kernel.receive(back(p.SYN | p.ACK));
    await kernel.events();
    revoke();
    expect(kernel.receive(back(p.ACK, { payload: new Uint8Array(9) })).retval).toBe(DROP);
    expect(kernel.send(out(p.ACK)).retval).toBe(DROP);
    expect(kernel.send(out(p.RST)).retval).toBe(PASS);
    const events = await kernel.events();
    expect(events.map(brief)).toEqual(['VERDICT BLOCKED REVOKED 0']);
    expect(events[0]?.flags).toBe(EventFlag.CUT);
    expect(kernel.lane(Lane.DENIES).produced).toBe(1n);
    expect(kernel.flows()[0]?.[1].flags).toBe(FlowFlag.CUT | FlowFlag.ENDED);
    expect(kernel.counter(Verdict.VERDICT_BLOCKED, Reason.REASON_REVOKED, 2).packets).toBe(1n);
  });

  it.each(['sweep', 'packet'])('cut by %s after an idle minute, lets the reset of its closing out', (by) => {
    kernel.send(syn());
    kernel.receive(back(p.SYN | p.ACK));
    kernel.age(60n * 1_000_000_000n);
    revoke();
    if (by === 'sweep') expect(kernel.sweep().map(brief)).toEqual(['VERDICT BLOCKED REVOKED 0']);
    else expect(kernel.receive(back(p.ACK, { payload: new Uint8Array(9) })).retval).toBe(DROP);
    expect(kernel.send(out(p.RST)).retval).toBe(PASS);
    expect(kernel.sweep()).toEqual([]);
    kernel.age(60n * 1_000_000_000n);
    expect(kernel.send(out(p.RST)).retval).toBe(DROP);
  });

  it('keeps what is still allowed, without a word', async () => {
    kernel.send(syn());
    await kernel.events();
    kernel.endpoint({ ...ENDPOINT, generation: 2 });
    kernel.bump();
    expect(kernel.receive(back(p.SYN | p.ACK)).retval).toBe(PASS);
    expect(await happened()).toEqual([]);
    expect(kernel.flows()[0]?.[1].generation).toBe(2);
  });

  it('in test mode, reports the change and lets go on; allowed again, is allowed again', async () => {
    kernel.send(syn());
    revoke({ modeOut: Mode.MODE_TEST });
    expect(kernel.send(out(p.ACK)).retval).toBe(PASS);
    kernel.endpoint({ ...ENDPOINT, generation: 3 });
    expect(kernel.send(out(p.ACK)).retval).toBe(PASS);
    expect((await happened()).slice(1)).toEqual([
      'VERDICT WOULD_BLOCK IMPLICIT_DENY 0',
      'VERDICT ALLOWED RULE_ALLOW 21',
    ]);
  });

  it('a cut flow that is allowed again before it died, goes on', async () => {
    kernel.send(p.udp(A, B, 5000, 53));
    revoke();
    expect(kernel.send(p.udp(A, B, 5000, 53)).retval).toBe(DROP);
    kernel.endpoint({ ...ENDPOINT, generation: 3 });
    expect(kernel.send(p.udp(A, B, 5000, 53)).retval).toBe(PASS);
    expect((await happened()).sort()).toEqual([
      'NEW ALLOWED RULE_ALLOW 22',
      'VERDICT ALLOWED RULE_ALLOW 22',
      'VERDICT BLOCKED REVOKED 0',
    ]);
  });

  it('a SYN on a cut tuple, is decided anew', () => {
    kernel.send(syn());
    revoke();
    kernel.send(out(p.ACK));
    kernel.endpoint({ ...ENDPOINT, generation: 2 });
    expect(kernel.send(syn()).retval).toBe(PASS);
  });
});

describe('refusals', () => {
  const reject = { ...ENDPOINT, flags: EndpointFlag.REJECT };
  const parts = (packet: Uint8Array): { ip: Uint8Array; src: Uint8Array; dst: Uint8Array; l4: Uint8Array } => {
    const ip = packet.subarray(14);
    const v6 = (ip[0] ?? 0) >> 4 === 6;
    return v6
      ? { ip, src: ip.subarray(8, 24), dst: ip.subarray(24, 40), l4: ip.subarray(40) }
      : { ip, src: ip.subarray(12, 16), dst: ip.subarray(16, 20), l4: ip.subarray(20) };
  };

  it.each([
    ['IPv4', A, B],
    ['IPv6', A6, B6],
  ])('%s: a denied SYN, comes back as RST|ACK with right sums', (_, src, dst) => {
    kernel.endpoint(reject);
    const spec = { sport: 5000, dport: 444, flags: p.SYN, seq: 0xfffffffe, payload: new Uint8Array(7) };
    const { retval, data } = kernel.send(p.tcp(src, dst, spec));
    expect(retval).toBe(REDIRECT);
    const { ip, src: from, dst: to, l4 } = parts(data);
    expect([...from, ...to]).toEqual([...p.addressBytes(dst), ...p.addressBytes(src)]);
    expect(p.transportSum(from, to, p.TCP, l4)).toBe(0xffff);
    if (from.length === 4) expect(p.onesSum(ip.subarray(0, 20))).toBe(0xffff);
    const view = new DataView(l4.buffer, l4.byteOffset, l4.byteLength);
    expect([view.getUint16(0), view.getUint16(2), l4.length, l4[13]]).toEqual([444, 5000, 20, p.RST | p.ACK]);
    // seq + SYN + 7, around the end of the number space.
    expect([view.getUint32(4), view.getUint32(8)]).toEqual([0, 6]);
    expect([...data.subarray(0, 12)]).toEqual([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
  });

  it.each([
    ['IPv4', A, B, 3, 13, p.ICMP],
    ['IPv6', A6, B6, 1, 1, p.ICMPV6],
  ])(
    '%s: a denied datagram, comes back as administratively prohibited with right sums',
    (_, src, dst, type, code, proto) => {
      kernel.endpoint(reject);
      const packet = p.udp(src, dst, 5000, 9);
      const { retval, data } = kernel.send(packet);
      expect(retval).toBe(REDIRECT);
      const { ip, src: from, dst: to, l4 } = parts(data);
      expect([l4[0], l4[1]]).toEqual([type, code]);
      expect([...from, ...to]).toEqual([...p.addressBytes(dst), ...p.addressBytes(src)]);
      const sum = proto === p.ICMP ? p.onesSum(l4) : p.transportSum(from, to, proto, l4);
      expect(sum).toBe(0xffff);
      if (proto === p.ICMP) expect(p.onesSum(ip.subarray(0, 20))).toBe(0xffff);
      expect([...l4.subarray(8)]).toEqual([...packet.subarray(14, 14 + (proto === p.ICMP ? 28 : 48))]);
    },
  );

  it.each([
    ['a group address', () => p.udp(A, '239.1.1.1', 5000, 9)],
    ['IP options', () => p.udp(A, B, 5000, 9, { options: new Uint8Array(4) })],
    ['a reset', () => p.tcp(A, B, { sport: 1, dport: 2, flags: p.RST })],
    ['a ping', () => p.icmp(A, B, 8, 0, p.echoRest(1))],
    ['another protocol', () => p.other(A, B, 47)],
  ])('%s, is dropped silently', (_, packet) => {
    kernel.endpoint(reject);
    expect(kernel.send(packet()).retval).toBe(DROP);
  });

  it('without the flag, everything is dropped silently', () => {
    expect(kernel.send(syn(444)).retval).toBe(DROP);
    expect(kernel.send(p.udp(A, B, 5000, 9)).retval).toBe(DROP);
  });

  it('our refusal, passes the other hook and loses its mark; what only claims to be one does not', () => {
    kernel.endpoint(reject);
    const reset = p.tcp(B, A, { sport: 444, dport: 5000, flags: p.RST | p.ACK });
    expect(kernel.receive(reset, MARK).retval).toBe(PASS);
    expect(kernel.receive(reset, 0).retval).toBe(DROP);
    expect(kernel.receive(p.tcp(B, A, { sport: 444, dport: 5000, flags: p.SYN }), MARK).retval).toBe(REDIRECT);
    const withData = { sport: 444, dport: 5000, flags: p.RST | p.ACK, payload: new Uint8Array(4) };
    expect(kernel.receive(p.tcp(B, A, withData), MARK).retval).toBe(DROP);
  });
});

describe('rings', () => {
  it('both full, everything goes on and delivered + dropped = produced', async () => {
    start({ ringBytes: [4096, 4096] });
    for (let i = 0; i < 500; i++) {
      expect(kernel.send(syn(443, 10_000 + i)).retval).toBe(PASS);
      expect(kernel.send(syn(444, 10_000 + i)).retval).toBe(DROP);
    }
    for (const lane of [Lane.FLOWS, Lane.DENIES]) {
      const { produced, delivered, dropped } = kernel.lane(lane);
      expect([produced, delivered + dropped]).toEqual([500n, 500n]);
      expect(dropped).toBeGreaterThan(0n);
    }
    expect((await kernel.events()).length).toBe(
      Number(kernel.lane(Lane.FLOWS).delivered + kernel.lane(Lane.DENIES).delivered),
    );
  });
});
