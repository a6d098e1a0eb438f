// Packets as bytes, Ethernet first, with right checksums. Nothing here knows the programs under test.
import { isIpv4, parseAddress } from '@ringfence/proto/address.js';

export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
export const ICMPV6 = 58;
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

/** An IP packet's parts. Addresses as text. */
export interface IpSpec {
  readonly src: string;
  readonly dst: string;
  readonly protocol: number;
  /** Transport header and payload, checksum included. */
  readonly transport: Uint8Array;
  readonly ttl?: number;
  /** IPv4: bytes of options, a multiple of 4. */
  readonly options?: Uint8Array;
  /** IPv6: extension headers in order, each [type, bytes of the header without its first one]. */
  readonly extensions?: readonly (readonly [number, Uint8Array])[];
  readonly fragment?: { readonly id: number; readonly offset: number; readonly more: boolean };
}

export function addressBytes(text: string): Uint8Array {
  const mapped = parseAddress(text);
  if (mapped === undefined) throw new RangeError(`Cannot build packet: found ${text}, wanted an address`);
  return isIpv4(mapped) ? mapped.subarray(12) : mapped;
}

/** Ones' complement sum, folded, not complemented. */
export function onesSum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += ((part[i] ?? 0) << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** 0xffff when a transport's checksum is right. */
export function transportSum(src: Uint8Array, dst: Uint8Array, protocol: number, transport: Uint8Array): number {
  const tail = new Uint8Array(8);
  const view = new DataView(tail.buffer);
  view.setUint32(0, transport.length);
  view.setUint32(4, protocol);
  return onesSum(src, dst, tail, transport);
}

function sealed(src: string, dst: string, protocol: number, transport: Uint8Array, at: number): Uint8Array {
  const pseudo = protocol !== ICMP;
  const sum = pseudo ? transportSum(addressBytes(src), addressBytes(dst), protocol, transport) : onesSum(transport);
  new DataView(transport.buffer).setUint16(at, ~sum & 0xffff);
  return transport;
}

export interface TcpSpec {
  readonly sport: number;
  readonly dport: number;
  readonly flags: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly payload?: Uint8Array;
  /** A multiple of 4 bytes, 40 at most. */
  readonly options?: Uint8Array;
}

export function tcpSegment(src: string, dst: string, spec: TcpSpec): Uint8Array {
  const header = 20 + (spec.options?.length ?? 0);
  const bytes = new Uint8Array(header + (spec.payload?.length ?? 0));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, spec.sport);
  view.setUint16(2, spec.dport);
  view.setUint32(4, spec.seq ?? 1000);
  view.setUint32(8, spec.ack ?? 0);
  bytes[12] = header << 2;
  bytes[13] = spec.flags;
  view.setUint16(14, 64240);
  if (spec.options) bytes.set(spec.options, 20);
  if (spec.payload) bytes.set(spec.payload, header);
  return sealed(src, dst, TCP, bytes, 16);
}

export function udpDatagram(
  src: string,
  dst: string,
  sport: number,
  dport: number,
  payload: Uint8Array = new Uint8Array(4),
): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, sport);
  view.setUint16(2, dport);
  view.setUint16(4, bytes.length);
  bytes.set(payload, 8);
  return sealed(src, dst, UDP, bytes, 6);
}

/** Family by the addresses. rest: what follows the first four bytes (id and sequence, or the embedded packet). */
export function icmpMessage(
  src: string,
  dst: string,
  type: number,
  code: number,
  rest: Uint8Array = new Uint8Array(4),
): Uint8Array {
  const bytes = new Uint8Array(4 + rest.length);
  bytes[0] = type;
  bytes[1] = code;
  bytes.set(rest, 4);
  return sealed(src, dst, addressBytes(src).length === 4 ? ICMP : ICMPV6, bytes, 2);
}

/** id and sequence of an echo. */
export function echoRest(id: number, sequence = 1): Uint8Array {
  return new Uint8Array([id >> 8, id & 255, sequence >> 8, sequence & 255]);
}

/** The IP packet, without Ethernet. */
export function ipPacket(spec: IpSpec): Uint8Array {
  const src = addressBytes(spec.src);
  const dst = addressBytes(spec.dst);
  return src.length === 4 ? ipv4(spec, src, dst) : ipv6(spec, src, dst);
}

function ipv4(spec: IpSpec, src: Uint8Array, dst: Uint8Array): Uint8Array {
  const header = 20 + (spec.options?.length ?? 0);
  const bytes = new Uint8Array(header + spec.transport.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x40 | (header / 4);
  view.setUint16(2, bytes.length);
  view.setUint16(4, spec.fragment?.id ?? 0);
  if (spec.fragment) view.setUint16(6, (spec.fragment.more ? 0x2000 : 0) | (spec.fragment.offset >> 3));
  bytes[8] = spec.ttl ?? 64;
  bytes[9] = spec.protocol;
  bytes.set(src, 12);
  bytes.set(dst, 16);
  if (spec.options) bytes.set(spec.options, 20);
  view.setUint16(10, ~onesSum(bytes.subarray(0, header)) & 0xffff);
  bytes.set(spec.transport, header);
  return bytes;
}

function ipv6(spec: IpSpec, src: Uint8Array, dst: Uint8Array): Uint8Array {
  const extensions = [...(spec.extensions ?? [])];
  if (spec.fragment) {
    const rest = new Uint8Array(7);
    const view = new DataView(rest.buffer);
    view.setUint16(1, (spec.fragment.offset & 0xfff8) | (spec.fragment.more ? 1 : 0));
    view.setUint32(3, spec.fragment.id);
    extensions.push([44, rest]);
  }
  const middle = extensions.flatMap(([, rest], i) => [extensions[i + 1]?.[0] ?? spec.protocol, ...rest]);
  const bytes = new Uint8Array(40 + middle.length + spec.transport.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x60;
  view.setUint16(4, bytes.length - 40);
  bytes[6] = extensions[0]?.[0] ?? spec.protocol;
  bytes[7] = spec.ttl ?? 64;
  bytes.set(src, 8);
  bytes.set(dst, 24);
  bytes.set(middle, 40);
  bytes.set(spec.transport, 40 + middle.length);
  return bytes;
}

/** With Ethernet header; tags: 802.1Q TCIs outermost first (several: the outer ones are 802.1ad). */
export function frame(ip: Uint8Array, tags: readonly number[] = [], etherType?: number): Uint8Array {
  const inner = etherType ?? ((ip[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800);
  const head = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
  tags.forEach((tci, i) => {
    const type = i < tags.length - 1 ? 0x88a8 : 0x8100;
    head.push(type >> 8, type & 255, tci >> 8, tci & 255);
  });
  head.push(inner >> 8, inner & 255);
  const bytes = new Uint8Array(head.length + ip.length);
  bytes.set(head);
  bytes.set(ip, head.length);
  return bytes;
}

/** Shorthands: whole frames. */
export function tcp(src: string, dst: string, spec: TcpSpec, more: Partial<IpSpec> = {}): Uint8Array {
  return frame(ipPacket({ src, dst, protocol: TCP, transport: tcpSegment(src, dst, spec), ...more }));
}

export function udp(src: string, dst: string, sport: number, dport: number, more: Partial<IpSpec> = {}): Uint8Array {
  return frame(ipPacket({ src, dst, protocol: UDP, transport: udpDatagram(src, dst, sport, dport), ...more }));
}

export function icmp(src: string, dst: string, type: number, code: number, rest?: Uint8Array): Uint8Array {
  const protocol = addressBytes(src).length === 4 ? ICMP : ICMPV6;
  return frame(ipPacket({ src, dst, protocol, transport: icmpMessage(src, dst, type, code, rest) }));
}

/** An ICMP error about an IP packet (without Ethernet): unused word, then its header and eight bytes. */
export function icmpError(src: string, dst: string, type: number, code: number, about: Uint8Array): Uint8Array {
  const header = (about[0] ?? 0) >> 4 === 6 ? 40 : ((about[0] ?? 0) & 15) * 4;
  const rest = new Uint8Array(4 + header + 8);
  rest.set(about.subarray(0, header + 8), 4);
  return icmp(src, dst, type, code, rest);
}

/** Any other protocol, eight bytes of payload. */
export function other(src: string, dst: string, protocol: number): Uint8Array {
  return frame(ipPacket({ src, dst, protocol, transport: new Uint8Array(8) }));
}

/** A protocol whose header starts with the ports and is not checked further (SCTP, UDP-Lite). */
export function ported(src: string, dst: string, protocol: number, sport: number, dport: number): Uint8Array {
  const transport = new Uint8Array([sport >> 8, sport & 255, dport >> 8, dport & 255, 0, 0, 0, 0, 0, 0, 0, 0]);
  return frame(ipPacket({ src, dst, protocol, transport }));
}
