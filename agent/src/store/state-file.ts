// One value on disk that is either whole or refused. Layout: "RFSTATE\n", format version (u32 LE), payload length (u32 LE),
// SHA-256 of version, length and payload, payload (CBOR). Written by atomic rename: a reader sees the old or the new one.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Decoder, Encoder } from 'cbor-x';
import { AgentError, codeOf, messageOf } from '../errors.js';
import { writeFileAtomic } from './atomic-file.js';
import { LatestFile } from './latest-file.js';

const MAGIC = Buffer.from('RFSTATE\n');
const HEADER_BYTES = MAGIC.length + 8 + 32;
const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, largeBigIntToFloat: false });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });

/** The bytes of a state file. */
export function encodeState(version: number, value: unknown): Buffer {
  const payload = encoder.encode(value);
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(version, MAGIC.length);
  header.writeUInt32LE(payload.length, MAGIC.length + 4);
  checksum(header, payload).copy(header, MAGIC.length + 8);
  return Buffer.concat([header, payload]);
}

/**
 * The value in the bytes of a state file. Throws RF_STATE_CORRUPT when they are cut short, longer, or changed in any place, and
 * RF_STATE_VERSION for a sound file of another version.
 */
export function decodeState(bytes: Buffer, version: number, file: string): unknown {
  const corrupt = (found: string, wanted: string) =>
    new AgentError('RF_STATE_CORRUPT', `Cannot use state file ${file}: found ${found}, wanted ${wanted}`);
  if (bytes.length < HEADER_BYTES) throw corrupt(`${bytes.length} bytes`, `at least ${HEADER_BYTES}`);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw corrupt('another kind of file', 'one that begins with RFSTATE');
  const length = bytes.readUInt32LE(MAGIC.length + 4);
  const payload = bytes.subarray(HEADER_BYTES);
  if (payload.length !== length) throw corrupt(`${payload.length} bytes of content`, `${length}`);
  const expected = bytes.subarray(MAGIC.length + 8, HEADER_BYTES);
  if (!checksum(bytes, payload).equals(expected))
    throw corrupt('content that does not match its checksum', 'an unchanged file');
  const found = bytes.readUInt32LE(MAGIC.length);
  if (found !== version) {
    throw new AgentError('RF_STATE_VERSION', `Cannot use state file ${file}: found format ${found}, wanted ${version}`);
  }
  return decoder.decode(payload);
}

/** A value kept in one file. */
export class StateFile {
  readonly #file: string;
  readonly #version: number;
  readonly #latest: LatestFile;

  constructor(file: string, version: number) {
    this.#file = file;
    this.#version = version;
    this.#latest = new LatestFile(file);
  }

  /** Durable when it returns; on an error the former value stays. */
  write(value: unknown): void {
    writeFileAtomic(this.#file, encodeState(this.#version, value));
  }

  /** The same beside the program, and of several that wait only the last. Not together with write. */
  follow(value: () => unknown): Promise<void> {
    return this.#latest.write(() => encodeState(this.#version, value()));
  }

  /** The last value written; undefined when there never was one. Throws RF_STATE_CORRUPT, RF_STATE_VERSION. */
  read(): unknown {
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#file);
    } catch (error) {
      if (codeOf(error, '') === 'ENOENT') return undefined;
      throw new AgentError('RF_STATE_CORRUPT', `Cannot read state file ${this.#file}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    return decodeState(bytes, this.#version, this.#file);
  }
}

function checksum(header: Buffer, payload: Buffer): Buffer {
  return createHash('sha256')
    .update(header.subarray(MAGIC.length, MAGIC.length + 8))
    .update(payload)
    .digest();
}
