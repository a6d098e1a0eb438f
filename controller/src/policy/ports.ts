// Ports in text: tcp/443, tcp/8000-8080, udp, icmp/8, icmp/3:4, icmpv6/128, protocol/47, any.
import type { PortRange } from './model.js';

export const ANY_PROTOCOL = 256;
const WHOLE = 0xffff;
const NUMBERS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132, udplite: 136 };
const WITH_PORTS = new Set([6, 17, 132, 136]);
const ICMP = new Set([1, 58]);

export const PORTS_WANTED =
  'any, tcp, udp, sctp, icmp or icmpv6 alone or with a port (tcp/443), range (tcp/8000-8080), ICMP type (icmp/8) or type:code (icmp/3:4), or protocol/0-255';

/** A port or a range of ports, and perhaps a protocol after it. */
const BARE = /^(\d+(?:-\d+)?)(?:\/([a-z]+))?$/;

/** True when a text is meant as ports, not as the name of a service; numbers without a protocol may be a name. */
export function looksLikePorts(text: string): boolean {
  const head = text.split('/')[0] ?? '';
  return text === 'any' || head === 'protocol' || Object.hasOwn(NUMBERS, head);
}

/** The ports of one text, or what is wrong with it: a fragment that completes "found …" and what was wanted. */
export function parsePorts(text: string): PortRange | { readonly problem: string; readonly wanted: string } {
  const wanted = PORTS_WANTED;
  if (text === 'any') return { protocol: ANY_PROTOCOL, low: 0, high: WHOLE };
  const bare = BARE.exec(text);
  if (bare !== null) {
    const [, port = '', protocol] = bare;
    const known = protocol !== undefined && Object.hasOwn(NUMBERS, protocol) ? protocol : undefined;
    return {
      problem: `port ${port} without a protocol before it`,
      wanted: `the protocol first: ${known === undefined ? `tcp/${port} or udp/${port}` : `${known}/${port}`}`,
    };
  }
  const slash = text.indexOf('/');
  const head = slash < 0 ? text : text.slice(0, slash);
  const tail = slash < 0 ? undefined : text.slice(slash + 1);
  if (head === 'protocol') {
    if (tail === undefined || !/^\d{1,3}$/.test(tail) || Number(tail) > 255) {
      return { problem: `protocol ${tail ?? 'without a number'}`, wanted: 'protocol/ and a number from 0 to 255' };
    }
    return { protocol: Number(tail), low: 0, high: WHOLE };
  }
  const protocol = Object.hasOwn(NUMBERS, head) ? NUMBERS[head] : undefined;
  if (protocol === undefined) return { problem: `unknown protocol ${head || '(nothing)'}`, wanted };
  if (tail === undefined) return { protocol, low: 0, high: WHOLE };
  if (WITH_PORTS.has(protocol)) return portRange(protocol, tail);
  return icmpRange(protocol, tail);
}

/** True for a port, or a range of ports, that lacks its protocol: 443, 8000-8080, 443/tcp. */
export function isBarePort(text: string): boolean {
  return BARE.test(text);
}

/** The text of a range, as parsePorts reads it; joined ICMP types, which no text names, as icmp/8-9. */
export function formatPorts(range: PortRange): string {
  const { protocol, low, high } = range;
  if (protocol === ANY_PROTOCOL) return 'any';
  const name = protocolName(protocol);
  if (low === 0 && high === WHOLE) return name;
  if (ICMP.has(protocol)) {
    if (low === high) return `${name}/${low >> 8}:${low & 255}`;
    return low >> 8 === high >> 8 ? `${name}/${low >> 8}` : `${name}/${low >> 8}-${high >> 8}`;
  }
  return low === high ? `${name}/${low}` : `${name}/${low}-${high}`;
}

/** tcp, udp, icmp, … or protocol/N. */
export function protocolName(protocol: number): string {
  const known = Object.entries(NUMBERS).find(([, number]) => number === protocol);
  return known?.[0] ?? `protocol/${protocol}`;
}

/** The number of a protocol name; undefined for an unknown one. */
export function protocolNumber(name: string): number | undefined {
  return Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
}

/** Ranges sorted, overlapping and adjoining ones of one protocol joined; `any` swallows all others. */
export function normalisePorts(ranges: readonly PortRange[]): PortRange[] {
  const any = ranges.find((range) => range.protocol === ANY_PROTOCOL);
  if (any !== undefined) return [any];
  const sorted = [...ranges].sort((a, b) => a.protocol - b.protocol || a.low - b.low || a.high - b.high);
  const joined: PortRange[] = [];
  for (const range of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && last.protocol === range.protocol && range.low <= last.high + 1) {
      joined[joined.length - 1] = { ...last, high: Math.max(last.high, range.high) };
    } else joined.push(range);
  }
  return joined;
}

function portRange(protocol: number, text: string): ReturnType<typeof parsePorts> {
  const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(text);
  if (match === null)
    return { problem: `port ${text || '(nothing)'}`, wanted: 'a port from 0 to 65535 or a range low-high' };
  const low = Number(match[1]);
  const high = match[2] === undefined ? low : Number(match[2]);
  if (low > WHOLE || high > WHOLE) {
    return { problem: `port ${low > WHOLE ? low : high}`, wanted: 'a port from 0 to 65535' };
  }
  if (low > high) return { problem: `range ${low}-${high}`, wanted: 'the lower port first' };
  return { protocol, low, high };
}

function icmpRange(protocol: number, text: string): ReturnType<typeof parsePorts> {
  const match = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(text);
  const type = Number(match?.[1]);
  const code = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || type > 255 || (code ?? 0) > 255) {
    return { problem: `ICMP type ${text || '(nothing)'}`, wanted: 'a type from 0 to 255, or type:code' };
  }
  if (code !== undefined) return { protocol, low: type * 256 + code, high: type * 256 + code };
  return { protocol, low: type * 256, high: type * 256 + 255 };
}
