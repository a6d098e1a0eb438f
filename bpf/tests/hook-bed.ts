// The bed of the hook tests: single packets through the TC programs. The policy is two sets written by hand: in allows tcp/80, udp/53 and
// icmp/8 from anyone, out allows tcp/443 and udp/53 to anyone.
import { EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import {
  Action,
  type Endpoint,
  type FlowEvent,
  GROUP,
  GROUP_KEY,
  GroupKind,
  PORT,
  PORT_KEY,
  PORT_PREFIX,
} from '../ts/index.js';
import { TestKernel } from './kernel.js';
import * as p from './packets.js';

export const A = '10.0.0.1';
export const B = '192.0.2.9';
export const A6 = 'fd00::1';
export const B6 = '2001:db8::9';
export const MARK = 0x52460001;

export const ENDPOINT: Endpoint = {
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
/** Of the running test: the shared one, or its own after start(). */
export let kernel: TestKernel;

export function allow(set: number, proto: number, port: number, rule: number): void {
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

/** The same for one peer identity, in a group of its own. */
export function allowIdentity(set: number, identity: number, proto: number, port: number, rule: number): void {
  kernel
    .map('rf_groups')
    .update(GROUP_KEY.encode({ set, peer: identity, kind: GroupKind.IDENTITY }), GROUP.encode({ group: identity }));
  kernel
    .map('rf_ports')
    .update(
      PORT_KEY.encode({ prefixlen: PORT_PREFIX.port(16), group: identity, proto, port }),
      PORT.encode({ rule, action: Action.ALLOW, constraints: 0 }),
    );
}

/** A kernel of this test's own, with other settings. */
export function start(options: ConstructorParameters<typeof TestKernel>[0]): void {
  kernel = new TestKernel({ rodata: { rf_has_coarse_clock: 0 }, ...options });
  prepare();
}

export function prepare(): void {
  allow(1, p.TCP, 80, 11);
  allow(1, p.UDP, 53, 12);
  allow(1, p.ICMP, 8 * 256, 13);
  allow(1, p.ICMPV6, 128 * 256, 14);
  allow(2, p.TCP, 443, 21);
  allow(2, p.UDP, 53, 22);
  kernel.endpoint(ENDPOINT);
}

/** Registers the kernel of a test file; each test begins with empty tables but for the policy. */
export function useKernel(): void {
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
}

export const brief = (event: FlowEvent | undefined): string =>
  event
    ? `${EventKind[event.kind]?.slice(11)} ${Verdict[event.verdict]?.slice(8)} ${Reason[event.reason]?.slice(7)} ${event.rule}`
    : 'none';
export const happened = async (): Promise<string[]> => (await kernel.events()).map(brief);

export const syn = (dport = 443, sport = 5000): Uint8Array => p.tcp(A, B, { sport, dport, flags: p.SYN });
export const out = (flags: number, more: Partial<p.TcpSpec> = {}): Uint8Array =>
  p.tcp(A, B, { sport: 5000, dport: 443, flags, ...more });
export const back = (flags: number, more: Partial<p.TcpSpec> = {}): Uint8Array =>
  p.tcp(B, A, { sport: 443, dport: 5000, flags, ...more });
