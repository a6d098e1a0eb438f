// What the TC programs make of packets: shapes of headers, fragments, ICMP.
import { Direction, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { EndpointFlag } from '../ts/index.js';
import { A, A6, B, B6, back, brief, ENDPOINT, happened, kernel, syn, useKernel } from './hook-bed.js';
import { DROP, PASS } from './kernel.js';
import * as p from './packets.js';

useKernel();

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
