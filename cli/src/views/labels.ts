import { formatAddress } from '@ringfence/proto/address.js';
import type { Address, Label } from '@ringfence/proto/gen/ringfence/v1/common.js';

/** Labels as a JSON object, dimension to value. */
export function labelsJson(labels: readonly Label[]): Record<string, string> {
  return Object.fromEntries(labels.map(({ dimension, value }) => [dimension, value]));
}

/** Labels in one cell, "role=web env=prod". */
export function labelsText(labels: readonly Label[]): string {
  return labels.map(({ dimension, value }) => `${dimension}=${value}`).join(' ');
}

/** Bytes of an address as text; null when there are none, and for a length that is no address. */
export function ipText(ip: Uint8Array): string | null {
  return ip.length === 4 || ip.length === 16 ? formatAddress(ip) : null;
}

/** An address with its space in one cell: "10.0.0.1", "172.17.0.2 (local:bridge)". */
export function addressText(address: Address): string {
  const ip = ipText(address.ip) ?? '?';
  return address.space === '' ? ip : `${ip} (${address.space})`;
}

/** An address with its space in JSON; the routed world's space is "". */
export function addressJson(address: Address): { address: string | null; space: string } {
  return { address: ipText(address.ip), space: address.space };
}
