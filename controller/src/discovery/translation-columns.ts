// Translations as an agent tells them, checked and read row by row.
import type { TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** One translated connection. Tuples are keys: protocol, source and its port, destination and its port. */
export interface Translation {
  /** After translation. */
  readonly key: string;
  /** Before. */
  readonly original: string;
  /** Unix microseconds by the host's clock. */
  readonly openedUs: number;
  /** 0: open. */
  readonly closedUs: number;
  /** Local id of the workload that opened it; empty when it came from outside the host. */
  readonly localId: string;
}

/** Rows of one batch. */
export const TRANSLATIONS_MAX = 16_384;
const STRING_CHARACTERS_MAX = 255;

const WIDTHS = {
  openedUs: 8,
  closedUs: 8,
  protocol: 1,
  sourceRef: 2,
  destinationRef: 2,
  translatedSourceRef: 2,
  translatedDestinationRef: 2,
  sourcePort: 2,
  destinationPort: 2,
  translatedSourcePort: 2,
  translatedDestinationPort: 2,
  workloadRef: 2,
} as const satisfies { [K in keyof TranslationColumns]?: number };
const ADDRESS_REFS = ['sourceRef', 'destinationRef', 'translatedSourceRef', 'translatedDestinationRef'] as const;

/** What is wrong with a batch, as a sentence fragment that completes "found …"; undefined when it can be taken. */
export function translationsProblem(columns: TranslationColumns): string | undefined {
  const { count, strings, addresses } = columns;
  if (count > TRANSLATIONS_MAX) return `${count} translations, wanted at most ${TRANSLATIONS_MAX}`;
  if (addresses.length % 16 !== 0) return `${addresses.length} bytes of addresses, wanted a multiple of 16`;
  if (count > 0 && strings[0] !== '') return 'no empty string at entry 0 of strings';
  if (strings.some((text) => text.length > STRING_CHARACTERS_MAX))
    return `a string of more than ${STRING_CHARACTERS_MAX} characters among translations`;
  for (const [name, width] of Object.entries(WIDTHS)) {
    const { length } = columns[name as keyof typeof WIDTHS];
    if (length !== count * width)
      return `${length} bytes in column ${name}, wanted ${count * width} (${count} translations)`;
  }
  for (let i = 0; i < count; i += 1) {
    if (columns.workloadRef.readUInt16LE(2 * i) >= strings.length) return `a string beyond ${strings.length}`;
    for (const name of ADDRESS_REFS) {
      if (columns[name].readUInt16LE(2 * i) * 16 >= addresses.length)
        return `an address beyond ${addresses.length / 16}`;
    }
  }
  return undefined;
}

/** Calls each for every row of a batch without problem. */
export function eachTranslation(columns: TranslationColumns, each: (translation: Translation) => void): void {
  const addresses = Array.from({ length: columns.addresses.length / 16 }, (_, i) =>
    columns.addresses.toString('latin1', 16 * i, 16 * i + 16),
  );
  const address = (refs: Buffer, i: number) => addresses[refs.readUInt16LE(2 * i)] ?? '';
  for (let i = 0; i < columns.count; i += 1) {
    const protocol = columns.protocol[i] ?? 0;
    each({
      key: tupleKey(
        protocol,
        address(columns.translatedSourceRef, i),
        columns.translatedSourcePort.readUInt16LE(2 * i),
        address(columns.translatedDestinationRef, i),
        columns.translatedDestinationPort.readUInt16LE(2 * i),
      ),
      original: tupleKey(
        protocol,
        address(columns.sourceRef, i),
        columns.sourcePort.readUInt16LE(2 * i),
        address(columns.destinationRef, i),
        columns.destinationPort.readUInt16LE(2 * i),
      ),
      openedUs: Number(columns.openedUs.readBigUInt64LE(8 * i)),
      closedUs: Number(columns.closedUs.readBigUInt64LE(8 * i)),
      localId: columns.strings[columns.workloadRef.readUInt16LE(2 * i)] ?? '',
    });
  }
}

/** Addresses are 16 bytes as latin1. 35 characters: source, destination, both ports, protocol. */
export function tupleKey(
  protocol: number,
  source: string,
  sourcePort: number,
  destination: string,
  destinationPort: number,
): string {
  return source + destination + String.fromCharCode(sourcePort, destinationPort, protocol);
}

/** The source's address in a key, as latin1. */
export function keySource(key: string): string {
  return key.slice(0, 16);
}

/** The source's port in a key. */
export function keySourcePort(key: string): number {
  return key.charCodeAt(32);
}
