// Translation from one family to the other is refused by name: nothing downstream (views, bindings, the kernel's tables) speaks of it yet.
import {
  type AddressPrefix,
  formatAddress,
  formatPrefix,
  isIpv4,
  parsePrefix,
  prefixCovers,
} from '@ringfence/proto/address.js';

/** One thing about a space that would need NAT64, and where it stands below the space. */
export interface Nat64Need {
  readonly found: string;
  readonly path: readonly (string | number)[];
}

/** A space as far as families matter. */
export interface Families {
  readonly networks: readonly AddressPrefix[];
  readonly source: readonly (
    | { readonly nat64: unknown }
    | { readonly oneToOne: { readonly inside: AddressPrefix; readonly outside: AddressPrefix } }
    | { readonly ports: { readonly inside: AddressPrefix; readonly outside: Uint8Array } }
    | { readonly pool: readonly Uint8Array[]; readonly inside?: AddressPrefix | undefined }
    | { readonly address: Uint8Array; readonly inside?: AddressPrefix | undefined }
  )[];
  readonly destination: readonly { readonly address: Uint8Array; readonly to: Uint8Array }[];
}

/** RFC 6052: IPv4 addresses in the last 32 bits. */
const WELL_KNOWN = '64:ff9b::/96';

export function nat64Needs(space: Families): Nat64Need[] {
  const needs: Nat64Need[] = [];
  const need = (found: string, ...path: (string | number)[]) => needs.push({ found, path });
  space.networks.forEach((network, at) => {
    if (isWellKnown(network)) need(`the NAT64 prefix ${formatPrefix(network)}`, 'networks', at);
  });
  space.source.forEach((entry, at) => {
    if ('nat64' in entry) {
      need('an entry nat64', 'source', at, 'nat64');
      return;
    }
    const { from, to, key } = sidesOf(entry);
    const other = from === undefined ? undefined : to.find((each) => isIpv4(each) !== isIpv4(from.address));
    if (from !== undefined && other !== undefined)
      need(`${formatPrefix(from)} translated to ${formatAddress(other)}`, 'source', at, key);
    else if (from !== undefined && isWellKnown(from)) need(`the NAT64 prefix ${formatPrefix(from)}`, 'source', at, key);
  });
  space.destination.forEach(({ address, to }, at) => {
    if (isIpv4(address) !== isIpv4(to))
      need(`${formatAddress(address)} leading to ${formatAddress(to)}`, 'destination', at, 'to');
  });
  return needs;
}

function sidesOf(entry: Exclude<Families['source'][number], { readonly nat64: unknown }>): {
  readonly from: AddressPrefix | undefined;
  readonly to: readonly Uint8Array[];
  readonly key: string;
} {
  if ('oneToOne' in entry)
    return { from: entry.oneToOne.inside, to: [entry.oneToOne.outside.address], key: 'oneToOne' };
  if ('ports' in entry) return { from: entry.ports.inside, to: [entry.ports.outside], key: 'ports' };
  return { from: entry.inside, to: 'pool' in entry ? entry.pool : [entry.address], key: 'inside' };
}

function isWellKnown(prefix: AddressPrefix): boolean {
  const known = parsePrefix(WELL_KNOWN);
  return !('problem' in known) && prefix.length >= known.length && prefixCovers(known, prefix.address);
}
