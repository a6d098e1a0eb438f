// Values of the API and of the store into each other, with every bound that a caller's input must keep.
import { addressFromHex, addressHex, mappedAddress, wireAddress } from '@ringfence/proto/address.js';
import type { Address, Label } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { AddressRecord } from '../store/records.js';
import { invalid } from './errors.js';

export const LABELS_MAX = 32;
export const NAME_MAX = 255;
const DIMENSION = /^[a-z]([a-z0-9-]{0,62})$/;
const VALUE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** Labels as a record. Throws ApiError RF_LABEL. `object` names whose they are. */
export function labelsFromWire(labels: readonly Label[], object: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const { dimension, value } of labels) {
    checkDimension(dimension, object);
    if (!VALUE.test(value)) {
      throw labelError(object, `value ${quote(value)} of ${dimension}`, '1 to 128 letters, digits, ".", "_" or "-", no punctuation at its ends');
    }
    if (Object.hasOwn(result, dimension)) throw labelError(object, `dimension ${dimension} twice`, 'one value per dimension');
    result[dimension] = value;
  }
  if (labels.length > LABELS_MAX) throw labelError(object, `${labels.length} labels`, `at most ${LABELS_MAX}`);
  return result;
}

/** Throws ApiError RF_LABEL when a text cannot name a dimension. */
export function checkDimension(dimension: string, object: string): void {
  if (DIMENSION.test(dimension)) return;
  throw labelError(object, `dimension ${quote(dimension)}`, '1 to 63 of a-z, 0-9 and "-", beginning with a letter');
}

/** Sorted by dimension. */
export function labelsToWire(labels: Readonly<Record<string, string>>): Label[] {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([dimension, value]) => ({ dimension, value }));
}

/** Throws ApiError RF_ADDRESS. */
export function addressFromWire(address: Address, object: string): AddressRecord {
  if (address.ip.length !== 4 && address.ip.length !== 16) {
    throw invalid('RF_ADDRESS', `Cannot take address of ${object}: found ${address.ip.length} bytes, wanted 4 or 16`);
  }
  if (address.space.length > NAME_MAX || address.space.startsWith('local:')) {
    throw invalid('RF_ADDRESS', `Cannot take address of ${object}: found space ${quote(address.space)}, wanted the routed world (empty)`);
  }
  return { ip: addressHex(mappedAddress(address.ip)), space: address.space };
}

export function addressToWire(record: AddressRecord): Address {
  return { ip: Buffer.from(wireAddress(addressFromHex(record.ip))), space: record.space };
}

/** Throws ApiError RF_TEXT when a text is longer than `max` characters. */
export function checkText(text: string, max: number, what: string): string {
  if (text.length > max) throw invalid('RF_TEXT', `Cannot take ${what}: found ${text.length} characters, wanted at most ${max}`);
  return text;
}

/** A text as it may stand in a sentence. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 59)}…` : text);
}

function labelError(object: string, found: string, wanted: string): Error {
  return invalid('RF_LABEL', `Cannot label ${object}: found ${found}, wanted ${wanted}`);
}
