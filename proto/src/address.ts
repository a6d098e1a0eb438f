// Addresses inside Ringfence are 16 bytes in network order, IPv4 mapped into IPv6 (::ffff:a.b.c.d). Text exists at the edges
// only, 4-byte forms on the wire only. A prefix length counts bits of the mapped form: 10.0.0.0/8 has length 104.
import ipaddr from 'ipaddr.js';

/** Bytes of an address in its mapped form. */
export const ADDRESS_BYTES = 16;

/** A range of addresses: the mapped address with its host bits zero, and the bits that are fixed (0 to 128). */
export interface AddressPrefix {
  readonly address: Uint8Array;
  readonly length: number;
}

const V4_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The mapped form of 4 or 16 bytes as they stand on the wire. Throws RangeError on any other length. */
export function mappedAddress(ip: Uint8Array): Uint8Array {
  if (ip.length === ADDRESS_BYTES) return ip;
  if (ip.length !== 4) throw new RangeError(`Cannot read address: found ${ip.length} bytes, wanted 4 or 16`);
  const mapped = new Uint8Array(ADDRESS_BYTES);
  mapped.set(V4_PREFIX);
  mapped.set(ip, 12);
  return mapped;
}

/** The shortest wire form of a mapped address: 4 bytes for IPv4, else 16. */
export function wireAddress(mapped: Uint8Array): Uint8Array {
  return isIpv4(mapped) ? mapped.slice(12) : mapped;
}

/** True when a mapped address is an IPv4 address. */
export function isIpv4(mapped: Uint8Array): boolean {
  for (let i = 0; i < 12; i += 1) if (mapped[i] !== V4_PREFIX[i]) return false;
  return true;
}

/** The mapped bytes of an address in text, or undefined when it is none. Accepts neither zones nor short or octal IPv4. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    if (text.split('.').some((part) => Number(part) > 255 || (part.length > 1 && part.startsWith('0'))))
      return undefined;
    return mappedAddress(Uint8Array.from(text.split('.'), Number));
  }
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
}

/** Text of 4 or 16 bytes: dotted quad for IPv4 (mapped too), RFC 5952 for IPv6. */
export function formatAddress(ip: Uint8Array): string {
  const mapped = mappedAddress(ip);
  return isIpv4(mapped) ? mapped.subarray(12).join('.') : new ipaddr.IPv6([...mapped]).toRFC5952String();
}

/** 32 hexadecimal digits of a mapped address: a map key that sorts as the address does. */
export function addressHex(mapped: Uint8Array): string {
  let text = '';
  for (const byte of mapped) text += HEX[byte];
  return text;
}

/** The mapped address of 32 hexadecimal digits. */
export function addressFromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  for (let i = 0; i < ADDRESS_BYTES; i += 1) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/**
 * A prefix in text, or why it is none: a sentence fragment that completes "found …". A bare address is a prefix of full
 * length. Bits set beyond the length are refused, since they are a typing error more often than not.
 */
export function parsePrefix(text: string): AddressPrefix | { readonly problem: string } {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return { problem: 'no IPv4 or IPv6 address' };
  // A mapped address in text (::ffff:a.b.c.d/n) counts its bits as IPv6 does.
  const v4 = isIpv4(address) && !text.includes(':');
  const bits = v4 ? 32 : 128;
  if (slash < 0) return { address, length: 128 };
  const digits = text.slice(slash + 1);
  if (digits === '') return { problem: 'no length after the slash' };
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > bits)
    return { problem: `length ${digits}, not within 0 to ${bits}` };
  const length = Number(digits) + 128 - bits;
  const masked = maskAddress(address, length);
  if (addressHex(masked) !== addressHex(address)) {
    return { problem: `bits set beyond the length (${formatPrefix({ address: masked, length })} is the prefix)` };
  }
  return { address, length };
}

/** Text of a prefix: 10.0.0.0/8, 2001:db8::/32. A prefix inside ::ffff:0:0/96 is written as IPv4. */
export function formatPrefix(prefix: AddressPrefix): string {
  if (isIpv4(prefix.address) && prefix.length >= 96) return `${formatAddress(prefix.address)}/${prefix.length - 96}`;
  return `${new ipaddr.IPv6([...prefix.address]).toRFC5952String()}/${prefix.length}`;
}

/** A copy of a mapped address with every bit after the first `length` zero. */
export function maskAddress(mapped: Uint8Array, length: number): Uint8Array {
  const masked = mapped.slice();
  const whole = length >> 3;
  if (whole >= ADDRESS_BYTES) return masked;
  masked[whole] = (masked[whole] ?? 0) & (0xff00 >> (length & 7));
  masked.fill(0, whole + 1);
  return masked;
}

/** True when a mapped address lies inside a prefix. */
export function prefixContains(prefix: AddressPrefix, mapped: Uint8Array): boolean {
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i += 1) if (prefix.address[i] !== mapped[i]) return false;
  const rest = prefix.length & 7;
  if (rest === 0) return true;
  const mask = 0xff00 >> rest;
  return ((prefix.address[whole] ?? 0) & mask) === ((mapped[whole] ?? 0) & mask & 0xff);
}

/** As prefixContains, but an IPv6 prefix that reaches over the mapped range (::/0) says nothing about IPv4 addresses. */
export function prefixCovers(prefix: AddressPrefix, mapped: Uint8Array): boolean {
  return (prefix.length >= 96 || !isIpv4(mapped)) && prefixContains(prefix, mapped);
}

/** A map key of a prefix: sorts by address, then from short to long. */
export function prefixKey(prefix: AddressPrefix): string {
  return `${addressHex(prefix.address)}/${String(prefix.length).padStart(3, '0')}`;
}
