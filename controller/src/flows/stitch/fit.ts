// Whether what one host saw leave and another saw arrive is the same connection, by everything but their being the only ones.
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { BYTES, DOUBLES, SHORTS, WORDS } from './layout.js';
import type { StitchPorts } from './types.js';
import { bytesOf, type Views } from './views.js';

/** How two views go together. */
export const Fit = {
  none: 0,
  /** Through a translation that may be this one; another source behind the same address may fit as well. */
  translated: 1,
  /** Nobody else can have opened it: no address was translated, or its source is named for certain. */
  proven: 2,
} as const;
export type Fit = (typeof Fit)[keyof typeof Fit];

const ICMP = 1;
const ICMPV6 = 58;

/** A lost first packet is sent again after 1 s and 3 s. */
export const RETRY_US = 3_500_000;

export function hasEchoId(protocol: number): boolean {
  return protocol === ICMP || protocol === ICMPV6;
}

export function sameAddress(a: Uint32Array, slotA: number, b: Uint32Array, slotB: number): boolean {
  for (let w = 0; w < 4; w += 1) if (a[WORDS * slotA + w] !== b[WORDS * slotB + w]) return false;
  return true;
}

/** The near slot's destination is the far slot's own end. */
export function fitsDestination(v: Views, ports: StitchPorts, protocol: number, near: number, far: number): boolean {
  const { c } = v;
  const [named, own] = [v.remotes[near], v.ends[far]];
  if (named === undefined || own === undefined || named.hostId !== v.reporters[far]) return false;
  if (observedDestination(v, protocol, near, far)) return true;
  if (c.servicePort[SHORTS * near] !== c.servicePort[SHORTS * far]) return false;
  if (named.workloadId === own.workloadId) return own.workloadId !== '';
  const certain = c.confidence[BYTES * near] !== Confidence.CONFIDENCE_SHARED && named.workloadId !== '';
  return !certain && ports.mayBe(v.reporters[near] ?? '', bytesOf(c.remoteIp, near), own.workloadId);
}

/** The near slot's workload may be whom the far slot was called by, judged by addresses and names alone. */
export function fitsSource(v: Views, ports: StitchPorts, near: number, far: number): boolean {
  const { c } = v;
  const [own, named] = [v.ends[near], v.remotes[far]];
  if (own === undefined || named === undefined || own.workloadId === '') return false;
  if (named.workloadId === own.workloadId) return true;
  const confidence = c.confidence[BYTES * far];
  const certain =
    named.workloadId !== '' &&
    confidence !== Confidence.CONFIDENCE_SHARED &&
    confidence !== Confidence.CONFIDENCE_UNKNOWN;
  return !certain && ports.mayBe(v.reporters[far] ?? '', bytesOf(c.remoteIp, far), own.workloadId);
}

/** Both ports and addresses included; not the time. */
export function fits(v: Views, ports: StitchPorts, protocol: number, near: number, far: number): Fit {
  const { c } = v;
  if (c.told[BYTES * far] !== 0) {
    const own = v.ends[near];
    const same = own !== undefined && v.remotes[far]?.workloadId === own.workloadId;
    const from = c.toldPort[SHORTS * far] === c.localPort[SHORTS * near] && sameAddress(c.toldIp, far, c.localIp, near);
    return same && from && fitsDestination(v, ports, protocol, near, far) ? Fit.proven : Fit.none;
  }
  const sourcePort = hasEchoId(protocol) ? c.localPort[SHORTS * far] : c.remotePort[SHORTS * far];
  if (sourcePort !== c.localPort[SHORTS * near] || !fitsDestination(v, ports, protocol, near, far)) return Fit.none;
  const plainSource = sameAddress(c.localIp, near, c.remoteIp, far);
  if (plainSource && observedDestination(v, protocol, near, far)) {
    // The same private address may be in use behind both hosts: then the far side names one of its own.
    const [own, named] = [v.ends[near], v.remotes[far]];
    const elsewhere = named?.hostId !== '' && named?.hostId !== own?.hostId;
    return elsewhere ? Fit.none : Fit.proven;
  }
  if (!fitsSource(v, ports, near, far)) return Fit.none;
  const named = v.remotes[far]?.workloadId === v.ends[near]?.workloadId;
  return named && c.confidence[BYTES * far] !== Confidence.CONFIDENCE_SHARED ? Fit.proven : Fit.translated;
}

/** Both saw the same destination address and port. */
export function observedDestination(v: Views, protocol: number, near: number, far: number): boolean {
  const { c } = v;
  // ICMP: the far side's local port is the echo id; both name what was asked in the remote port.
  const called = hasEchoId(protocol) ? c.remotePort[SHORTS * far] : c.localPort[SHORTS * far];
  return c.remotePort[SHORTS * near] === called && sameAddress(c.remoteIp, near, c.localIp, far);
}

/** Both were alive at one time, by clocks that differ by `shiftUs` give or take `slackUs`. */
export function overlap(v: Views, near: number, far: number, shiftUs: number, slackUs: number): boolean {
  const { firstSeenUs, lastSeenUs } = v.c;
  const begun =
    (firstSeenUs[DOUBLES * far] as number) - shiftUs <= (lastSeenUs[DOUBLES * near] as number) + slackUs + RETRY_US;
  return begun && (firstSeenUs[DOUBLES * near] as number) <= (lastSeenUs[DOUBLES * far] as number) - shiftUs + slackUs;
}
