// What the TC programs make of connections: TCP states, time, the sweep, policy that changes under them.

import { mappedAddress } from '@ringfence/proto/address.js';
import { Direction, EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { type Endpoint, EventFlag, type FlowEvent, FlowFlag, Lane, PEER, PEER_KEY, PeerFlag } from '../ts/index.js';
import {
  A,
  allowIdentity,
  B,
  back,
  brief,
  ENDPOINT,
  happened,
  kernel,
  out,
  start,
  syn,
  useKernel,
} from './hook-bed.js';

import { DROP, PASS } from './kernel.js';
import * as p from './packets.js';

useKernel();

/** What is told after an END. */
const late = ({ kind, flags, packetsOut, bytesOut, packetsIn }: FlowEvent) => [
  kind,
  flags,
  packetsOut,
  bytesOut,
  packetsIn,
];
const LATE = EventFlag.LATE | EventFlag.SWEPT;

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

  it('a reset, ends once; late packets pass', async () => {
    kernel.send(syn());
    kernel.receive(back(p.RST));
    expect(kernel.send(out(p.RST)).retval).toBe(PASS);
    expect(kernel.send(out(p.ACK)).retval).toBe(PASS);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 21', 'END ALLOWED RULE_ALLOW 21']);
  });

  it('what comes after the end, is told by the sweep: each packet once', () => {
    start({ rodata: { rf_has_coarse_clock: 0, rf_update_period_ns: 1n } });
    kernel.send(syn());
    kernel.receive(back(p.RST));
    expect(kernel.sweep()).toEqual([]);
    kernel.send(out(p.RST));
    kernel.send(out(p.ACK, { payload: new Uint8Array(5) }));
    expect(kernel.sweep().map(late)).toEqual([[EventKind.EVENT_KIND_END, LATE, 2, 85n, 0]]);
    expect(kernel.sweep()).toEqual([]);
    kernel.receive(back(p.ACK));
    expect(kernel.sweep().map(late)).toEqual([[EventKind.EVENT_KIND_END, LATE, 0, 0n, 1]]);
    expect(kernel.sweep()).toEqual([]);
  });

  it('what came after the end, is told before the entry goes', () => {
    start({ rodata: { rf_has_coarse_clock: 0, rf_tcp_closed_ns: 1_000_000_000n } });
    kernel.send(syn());
    kernel.receive(back(p.RST));
    kernel.send(out(p.RST));
    // The workload is gone.
    kernel.endpoint({ ...ENDPOINT, number: ENDPOINT.number + 1 });
    expect(kernel.sweep().map(late)).toEqual([[EventKind.EVENT_KIND_END, LATE, 1, 40n, 0]]);
    expect(kernel.flows()).toEqual([]);
  });

  it('what came after the end, is told before its ports are used again', async () => {
    kernel.send(syn());
    kernel.receive(back(p.RST));
    kernel.send(out(p.RST));
    await kernel.events();
    kernel.send(syn());
    const events = await kernel.events();
    expect(events.map(late)).toEqual([
      [EventKind.EVENT_KIND_END, EventFlag.LATE, 1, 40n, 0],
      [EventKind.EVENT_KIND_NEW, 0, 1, 40n, 0],
    ]);
    expect(events[0]?.firstSeenNs).toBeLessThan(events[1]?.firstSeenNs ?? 0n);
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

  it('leaves alone what its ends have closed, and stops what goes on there all the same', async () => {
    kernel.send(syn());
    kernel.receive(back(p.RST));
    revoke();
    expect(kernel.sweep()).toEqual([]);
    expect(kernel.send(out(p.ACK, { payload: new Uint8Array(5) })).retval).toBe(DROP);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 21', 'END ALLOWED RULE_ALLOW 21']);
    expect(kernel.sweep()).toEqual([]);
  });

  it('allows again what its ends had closed, and it stays closed', async () => {
    start({ rodata: { rf_has_coarse_clock: 0, rf_update_period_ns: 1n } });
    kernel.send(syn());
    kernel.receive(back(p.RST));
    revoke();
    expect(kernel.send(out(p.ACK)).retval).toBe(DROP);
    kernel.endpoint({ ...ENDPOINT, generation: 3 });
    expect(kernel.send(out(p.ACK)).retval).toBe(PASS);
    expect(kernel.flows()[0]?.[1].flags).toBe(FlowFlag.ENDED | FlowFlag.TOLD);
    expect(await happened()).toEqual(['NEW ALLOWED RULE_ALLOW 21', 'END ALLOWED RULE_ALLOW 21']);
    expect(kernel.sweep().map(late)).toEqual([[EventKind.EVENT_KIND_END, LATE, 1, 40n, 0]]);
  });

  describe('an address that is nobody’s any more', () => {
    const C = '192.0.2.77';
    const OLD = 700;
    const peer = (flags: number) =>
      kernel
        .map('rf_peers')
        .update(
          PEER_KEY.encode({ space: 0, addr: mappedAddress(p.addressBytes(C)) }),
          PEER.encode({ identity: OLD, flags }),
        );
    const to = (packet: 'syn' | 'ack', sport = 5000) =>
      kernel.send(p.tcp(A, C, { sport, dport: 8443, flags: packet === 'syn' ? p.SYN : p.ACK })).retval;

    it.each(['packet', 'sweep'])('keeps an open connection and opens no other (%s)', async (by) => {
      allowIdentity(2, OLD, p.TCP, 8443, 31);
      peer(0);
      expect(to('syn')).toBe(PASS);
      await kernel.events();
      peer(PeerFlag.FORMER);
      kernel.bump();
      if (by === 'sweep') expect(kernel.sweep()).toEqual([]);
      expect(to('ack')).toBe(PASS);
      expect(kernel.flows()[0]?.[1]).toMatchObject({ peerIdentity: OLD, rule: 31 });
      expect(to('syn', 5001)).toBe(DROP);
      expect(await happened()).toEqual(['DENY BLOCKED IMPLICIT_DENY 0']);
    });

    it('is no reason to keep what policy forbids now, nor what nobody is told of', () => {
      allowIdentity(2, OLD, p.TCP, 8443, 31);
      peer(0);
      to('syn');
      to('syn', 5001);
      peer(PeerFlag.FORMER);
      revoke();
      expect(to('ack')).toBe(DROP);
      kernel.endpoint({ ...ENDPOINT, generation: 3 });
      expect(to('ack')).toBe(PASS);
      kernel.map('rf_peers').delete(PEER_KEY.encode({ space: 0, addr: mappedAddress(p.addressBytes(C)) }));
      kernel.bump();
      expect(to('ack', 5001)).toBe(DROP);
    });
  });

  it('a SYN on a cut tuple, is decided anew', () => {
    kernel.send(syn());
    revoke();
    kernel.send(out(p.ACK));
    kernel.endpoint({ ...ENDPOINT, generation: 2 });
    expect(kernel.send(syn()).retval).toBe(PASS);
  });
});
