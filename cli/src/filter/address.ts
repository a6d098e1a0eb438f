import { parseAddress, parsePrefix, wireAddress } from '@ringfence/proto/address.js';
import type { Address } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { usageError } from '../errors.js';

/** Addresses or CIDRs as text, checked, several between commas. Throws a usage error. */
export function checkAddresses(texts: readonly string[], option: string): string[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => {
      const prefix = parsePrefix(text.trim());
      if (!('problem' in prefix)) return text.trim();
      throw usageError(
        `Cannot read ${option}`,
        `found ${prefix.problem} in ${JSON.stringify(text)}`,
        'an address or CIDR: 10.0.0.1, 10.0.0.0/8, 2001:db8::/32',
      );
    });
}

/** An address with an optional space after "@": "10.0.0.1", "10.0.0.1@vpc-1". Throws a usage error. */
export function parseSpaceAddress(text: string, option: string): Address {
  const at = text.indexOf('@');
  const ip = parseAddress(at < 0 ? text : text.slice(0, at));
  if (ip === undefined) {
    throw usageError(
      `Cannot read ${option}`,
      `found ${JSON.stringify(text)}`,
      'an address, with its space where it is not the routed world: 10.0.0.1, 10.0.0.1@vpc-1',
    );
  }
  return { ip: Buffer.from(wireAddress(ip)), space: at < 0 ? '' : text.slice(at + 1) };
}

/** True when the text is an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}
