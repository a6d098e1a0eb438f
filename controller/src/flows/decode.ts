// Columns as they come from an agent: checked once, then copied column by column.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** Records of one batch. */
export const BATCH_RECORDS_MAX = 65_536;
const STRINGS_MAX = 65_536;
const STRING_CHARACTERS_MAX = 1024;
/** The largest time or counter of a record. */
export const WHOLE_MAX = Number.MAX_SAFE_INTEGER;

const WIDTHS = {
  firstSeenUs: 8,
  lastSeenUs: 8,
  localIp: 16,
  remoteIp: 16,
  localPort: 2,
  remotePort: 2,
  protocol: 1,
  direction: 1,
  verdict: 1,
  reason: 1,
  mode: 1,
  kind: 1,
  tcpFlags: 1,
  confidence: 1,
  rule: 4,
  policyVersion: 4,
  localIdentity: 4,
  remoteIdentity: 4,
  bytesIn: 8,
  bytesOut: 8,
  packetsIn: 8,
  packetsOut: 8,
  attempts: 4,
  pid: 4,
  workloadRef: 4,
  processRef: 4,
  servicePort: 2,
} as const satisfies { [K in keyof FlowColumns]?: number };

/** What is wrong with a batch, as a sentence fragment that completes "found …"; undefined when it can be taken. */
export function columnsProblem(columns: FlowColumns): string | undefined {
  const { count, strings } = columns;
  if (count > BATCH_RECORDS_MAX) return `${count} records, wanted at most ${BATCH_RECORDS_MAX}`;
  if (strings.length > STRINGS_MAX) return `${strings.length} strings, wanted at most ${STRINGS_MAX}`;
  if (count > 0 && strings[0] !== '') return 'no empty string at entry 0 of strings';
  const long = strings.findIndex((text) => text.length > STRING_CHARACTERS_MAX);
  if (long >= 0)
    return `${strings[long]?.length} characters in string ${long}, wanted at most ${STRING_CHARACTERS_MAX}`;
  for (const [name, width] of Object.entries(WIDTHS)) {
    const bytes = columns[name as keyof typeof WIDTHS].length;
    if (bytes !== count * width) return `${bytes} bytes in column ${name}, wanted ${count * width} (${count} records)`;
  }
  for (const name of ['workloadRef', 'processRef'] as const) {
    const refs = aligned32(columns[name]);
    for (let i = 0; i < count; i += 1) {
      if ((refs[i] as number) >= strings.length)
        return `string ${refs[i]} in column ${name}, wanted below ${strings.length}`;
    }
  }
  return undefined;
}

/** A little-endian u32 column as numbers. Copies when the bytes are not aligned. */
export function aligned32(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, bytes.length / 4);
}

/**
 * Copies u64 values into doubles. What is more than a double counts exactly counts as the most that it does: nothing that is added up or stored
 * later on can run over, whatever an agent says.
 */
export function copyUint64(from: Uint8Array, start: number, count: number, to: Float64Array, at: number): void {
  const words = aligned32(from.subarray(8 * start, 8 * (start + count)));
  for (let i = 0; i < count; i += 1) {
    to[at + i] = Math.min((words[2 * i] as number) + (words[2 * i + 1] as number) * 0x1_0000_0000, WHOLE_MAX);
  }
}

/** Copies values of one width into a typed array of the same width, both little-endian. */
export function copyFixed(
  from: Uint8Array,
  start: number,
  count: number,
  to: Uint8Array | Uint16Array | Uint32Array,
  at: number,
): void {
  const width = to.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(to.buffer, to.byteOffset + at * width, count * width);
  bytes.set(from.subarray(start * width, (start + count) * width));
}
