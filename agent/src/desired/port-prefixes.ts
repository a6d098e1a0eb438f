// Port tables as longest-prefix entries: a range of ports becomes the fewest prefixes that cover it exactly, so that the kernel's
// trie gives "range before whole protocol before any protocol" by prefix length alone.
import { type PortEntry, PROTOCOL_ANY } from '@ringfence/proto/policy-set.js';

/** Prefix lengths of struct rf_port_key: the group, then the protocol byte, then the pad byte and the port's leading bits. */
const GROUP_BITS = 32;
const PROTOCOL_BITS = 40;
const PORT_BITS = 48;

/** One entry of rf_ports without its group. */
export interface PortPrefix {
  readonly prefixLength: number;
  /** 0 when the prefix does not reach it. */
  readonly protocol: number;
  /** Host order; bits beyond the prefix are 0. */
  readonly port: number;
}

/** The fewest aligned blocks that cover low to high (0 to 65535, low <= high), ascending; bits is how many leading bits each fixes. */
export function coverRange(low: number, high: number): { readonly port: number; readonly bits: number }[] {
  const blocks: { port: number; bits: number }[] = [];
  let at = low;
  while (at <= high) {
    let size = at === 0 ? 0x10000 : at & -at;
    while (at + size - 1 > high) size /= 2;
    blocks.push({ port: at, bits: 16 - Math.log2(size) });
    at += size;
  }
  return blocks;
}

/** The trie entries of one port entry. */
export function portPrefixes(entry: PortEntry): PortPrefix[] {
  if (entry.protocol === PROTOCOL_ANY) return [{ prefixLength: GROUP_BITS, protocol: 0, port: 0 }];
  if (entry.portLow === 0 && entry.portHigh === 0xffff) {
    return [{ prefixLength: PROTOCOL_BITS, protocol: entry.protocol, port: 0 }];
  }
  return coverRange(entry.portLow, entry.portHigh).map(({ port, bits }) => ({
    prefixLength: PORT_BITS + bits,
    protocol: entry.protocol,
    port,
  }));
}
