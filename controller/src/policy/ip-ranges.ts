// The outside world as a policy distinguishes it: ranges of addresses inside which every IP list holds throughout or not at all.
import { type AddressPrefix, addressFromHex, addressHex, formatAddress, isIpv4 } from '@ringfence/proto/address.js';
import type { IpList } from './model.js';

/** First and last address, mapped bytes. */
export interface AddressRange {
  readonly low: Uint8Array;
  readonly high: Uint8Array;
}

const V4_LOW = 0xffff_0000_0000n;
const V4_HIGH = 0xffff_ffff_ffffn;
const V6_HIGH = (1n << 128n) - 1n;

/** All of IPv4, and all of IPv6 when a list mentions it, cut wherever a list begins or ends. */
export function distinguishedRanges(lists: Iterable<IpList>): AddressRange[] {
  const prefixes = [...lists].flatMap((list) => [...list.include, ...list.exclude]);
  const v4 = prefixes.filter(isV4Prefix);
  const v6 = prefixes.filter((prefix) => !isV4Prefix(prefix));
  return [...cut(V4_LOW, V4_HIGH, v4), ...(v6.length > 0 ? cut(0n, V6_HIGH, v6) : [])];
}

/** 10.0.0.0-10.255.255.255 */
export function formatRange(range: AddressRange): string {
  return `${formatAddress(range.low)}-${formatAddress(range.high)}`;
}

function cut(low: bigint, high: bigint, prefixes: readonly AddressPrefix[]): AddressRange[] {
  const starts = new Set([low]);
  for (const prefix of prefixes) {
    const first = toNumber(prefix.address);
    starts.add(first);
    const after = first + (1n << BigInt(128 - prefix.length));
    if (after <= high) starts.add(after);
  }
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : 1));
  return sorted.map((start, index) => ({
    low: toAddress(start),
    high: toAddress((sorted[index + 1] ?? high + 1n) - 1n),
  }));
}

function isV4Prefix(prefix: AddressPrefix): boolean {
  return prefix.length >= 96 && isIpv4(prefix.address);
}

function toNumber(address: Uint8Array): bigint {
  return BigInt(`0x${addressHex(address)}`);
}

function toAddress(number: bigint): Uint8Array {
  return addressFromHex(number.toString(16).padStart(32, '0'));
}
