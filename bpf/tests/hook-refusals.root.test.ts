// Refusals of the TC programs by BPF_PROG_TEST_RUN, and what goes on when the rings are full.
import { describe, expect, it } from 'vitest';
import { EndpointFlag, Lane } from '../ts/index.js';
import { A, A6, B, B6, ENDPOINT, kernel, MARK, start, syn, useKernel } from './hook-bed.js';
import { DROP, PASS, REDIRECT } from './kernel.js';
import * as p from './packets.js';

useKernel();

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
