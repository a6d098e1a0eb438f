// The machine's own addresses, in the agent's network namespace.
import type { networkInterfaces } from 'node:os';
import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import { Address } from '@ringfence/proto/gen/ringfence/v1/common.js';

type Interfaces = ReturnType<typeof networkInterfaces>;

export interface HostAddresses {
  /** As others may see the host: without loopback and link-local, bridge addresses in the bridge's space. */
  readonly reported: Address[];
  /** All, mapped: what the host may call itself by. */
  readonly own: Uint8Array[];
}

/**
 * only: report no other interfaces' addresses. spaceOf: the address space that an interface's IPv4 or IPv6 addresses belong to;
 * '' is the routed world.
 */
export function hostAddresses(
  interfaces: Interfaces,
  only: readonly string[] | undefined,
  spaceOf: (name: string, family: 4 | 6) => string,
): HostAddresses {
  const reported: Address[] = [];
  const own: Uint8Array[] = [];
  const seen = new Set<string>();
  for (const [name, entries] of Object.entries(interfaces).sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const entry of entries ?? []) {
      const address = parseAddress(entry.address);
      if (address === undefined || entry.internal) continue;
      const link = isLinkLocal(entry.address);
      const space = spaceOf(name, entry.family === 'IPv4' ? 4 : 6);
      const key = `${space}|${entry.address}`;
      if (seen.has(key)) continue;
      seen.add(key);
      own.push(address);
      if (link || (only && !only.includes(name))) continue;
      reported.push(Address.create({ ip: Buffer.from(wireAddress(address)), space }));
    }
  }
  return { reported, own };
}

function isLinkLocal(text: string): boolean {
  return text.startsWith('169.254.') || /^fe[89ab]/i.test(text);
}
