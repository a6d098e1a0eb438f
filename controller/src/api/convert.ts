// Values of the API and of the store into each other, with every bound that a caller's input must keep.
import { addressFromHex, addressHex, mappedAddress, wireAddress } from '@ringfence/proto/address.js';
import type { Address, Label } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { PolicyDocument } from '../policy/model.js';
import { DEFAULT_DIMENSIONS, someOf, VALUE_PATTERN, VALUE_WANTED } from '../policy/names.js';
import type { AddressRecord } from '../store/records.js';
import { invalid } from './errors.js';

export const LABELS_MAX = 32;
export const NAME_MAX = 255;

/** Dimensions that labels may use; undefined values: any. */
export type KnownDimensions = ReadonlyMap<string, ReadonlySet<string> | undefined>;

/** The dimensions that exist without being declared, and those that the documents declare. */
export function knownDimensions(documents: readonly PolicyDocument[]): KnownDimensions {
  const known = new Map<string, Set<string> | undefined>(DEFAULT_DIMENSIONS.map((name) => [name, undefined]));
  const declared = new Set<string>();
  for (const { dimensions } of documents) {
    for (const { name, values } of dimensions) {
      // Of two documents (in force and draft) the wider one counts.
      const before = declared.has(name) ? known.get(name) : new Set<string>();
      known.set(name, values === undefined || before === undefined ? undefined : new Set([...before, ...values]));
      declared.add(name);
    }
  }
  return known;
}

/** Labels as a record. Throws ApiError RF_LABEL, RF_LABEL_DIMENSION or RF_LABEL_VALUE. `object` names whose they are. */
export function labelsFromWire(
  labels: readonly Label[],
  object: string,
  known: KnownDimensions,
): Record<string, string> {
  if (labels.length > LABELS_MAX) {
    throw labelError('RF_LABEL', object, `${labels.length} labels`, `at most ${LABELS_MAX}`);
  }
  const result: Record<string, string> = {};
  for (const { dimension, value } of labels) {
    if (!known.has(dimension)) {
      const wanted = `${someOf(known.keys())}; others are declared in a policy file under dimensions`;
      throw labelError('RF_LABEL_DIMENSION', object, `unknown dimension ${quote(dimension)}`, wanted);
    }
    const permitted = known.get(dimension);
    if (!VALUE_PATTERN.test(value))
      throw labelError('RF_LABEL_VALUE', object, `value ${quote(value)} of ${dimension}`, VALUE_WANTED);
    if (permitted !== undefined && !permitted.has(value)) {
      throw labelError('RF_LABEL_VALUE', object, `value ${quote(value)} of ${dimension}`, someOf(permitted));
    }
    if (Object.hasOwn(result, dimension)) {
      throw labelError('RF_LABEL', object, `dimension ${dimension} twice`, 'one value per dimension');
    }
    result[dimension] = value;
  }
  return result;
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
    throw invalid(
      'RF_ADDRESS',
      `Cannot take address of ${object}: found space ${quote(address.space)}, wanted the routed world (empty)`,
    );
  }
  return { ip: addressHex(mappedAddress(address.ip)), space: address.space };
}

export function addressToWire(record: AddressRecord): Address {
  return { ip: Buffer.from(wireAddress(addressFromHex(record.ip))), space: record.space };
}

/** Throws ApiError RF_TEXT when a text is longer than `max` characters. */
export function checkText(text: string, max: number, what: string): string {
  if (text.length > max)
    throw invalid('RF_TEXT', `Cannot take ${what}: found ${text.length} characters, wanted at most ${max}`);
  return text;
}

/** A text as it may stand in a sentence. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 59)}…` : text);
}

function labelError(code: string, object: string, found: string, wanted: string): Error {
  return invalid(code, `Cannot label ${object}: found ${found}, wanted ${wanted}`);
}
