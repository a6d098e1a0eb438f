// Hashes under which entries are found: by one side's own tuple, by what both sides see alike, and by whom a near side calls.
import { mix } from './chains.js';
import type { Entries } from './entries.js';
import { hasEchoId } from './fit.js';
import { BYTES, SHORTS } from './layout.js';
import { FAR, NEAR, type Observations, type Side, type Words } from './types.js';

type HostNumber = (hostId: string) => number;

/** One side's tuple as its host saw it. */
export function recordHash(
  side: Side,
  host: number,
  records: Observations,
  i: number,
  { localIp, remoteIp }: Words,
): number {
  let hash = mix(0x9e3779b9, (host << 1) | side);
  // The last word of an IPv4 address is all of it; of IPv6 the third and fourth tell most.
  hash = mix(hash, localIp[4 * i + 3] as number);
  hash = mix(hash, remoteIp[4 * i + 3] as number);
  hash = mix(hash, (localIp[4 * i + 2] as number) ^ Math.imul(remoteIp[4 * i + 2] as number, 31));
  hash = mix(hash, ((records.localPort[i] as number) << 16) | (records.remotePort[i] as number));
  return mix(hash, records.protocol[i] as number);
}

/** Host that is called, protocol, and the port that the opener's own host saw or is told to have seen. */
export function pairHash({ views, protocol }: Entries, entry: number, side: Side, host: HostNumber): number {
  const { c } = views;
  const slot = 2 * entry + side;
  const called = side === NEAR ? (views.remotes[slot]?.hostId ?? '') : (views.reporters[slot] ?? '');
  const kind = protocol[entry] as number;
  let port = c.localPort[SHORTS * slot] as number;
  if (side === FAR && c.told[BYTES * slot] !== 0) port = c.toldPort[SHORTS * slot] as number;
  else if (side === FAR && !hasEchoId(kind)) port = c.remotePort[SHORTS * slot] as number;
  return commonHash(host(called), port, kind);
}

/** The same of its parts. */
export function commonHash(calledHost: number, port: number, protocol: number): number {
  return mix(mix(mix(0x7f4a7c15, calledHost), port), protocol);
}

/** Host that is called, protocol and service; -1: nobody there will report. */
export function offerHash({ views, protocol }: Entries, entry: number, host: HostNumber, side: Side = NEAR): number {
  const slot = 2 * entry + side;
  const called = side === NEAR ? (views.remotes[slot]?.hostId ?? '') : (views.reporters[slot] ?? '');
  if (called === '') return -1;
  return mix(
    mix(mix(0x3c6ef372, host(called)), views.c.servicePort[SHORTS * slot] as number),
    protocol[entry] as number,
  );
}
