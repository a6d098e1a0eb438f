// What has been taken and does not stand in the database yet, on disk: batches as they came, in files that leave when all of theirs is
// stored. Writing is done when it returns: what was written survives the process and the machine.
//
// A file: entries one behind the other, the first naming the store that it belongs to. An entry: 4 words (mark, bytes of the head, bytes
// of the body, CRC-32 of both), the head as JSON, the body (replaced ids, then the packed records). Ends are written by the first entry of
// a file that uses them, so that each file can be read by itself. An entry that is not whole was never acknowledged: reading ends there.
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { FlowEndInfo } from '../block.js';
import { EndBits } from './end-bits.js';
import { headOf, type JournalEntry, type JournaledBatch, type JournalHead, readBatch } from './journal-entry.js';

const MARK = 0x31_4a_46_52;
const FRAME_BYTES = 16;
/** A file that holds more than this is followed by another one. */
const FILE_BYTES = 32 * 2 ** 20;

interface JournalFile {
  readonly number: number;
  readonly path: string;
  bytes: number;
  /** Of the last batch in it. */
  lastSerial: number;
}

export class Journal {
  readonly #base: string;
  readonly #line: string;
  readonly #fileBytes: number;
  readonly #files: JournalFile[];
  #number: number;
  #descriptor: number | undefined;
  /** Ends that stand in the newest file. */
  #written = new EndBits();

  /**
   * Files are named `base` with a number behind; `line` is the store's. Files that are there already are left alone until everything up to
   * `lastSerial` is released.
   */
  constructor(base: string, line: string, lastSerial: number, fileBytes = FILE_BYTES) {
    this.#base = base;
    this.#line = line;
    this.#fileBytes = fileBytes;
    const numbers = numbersOf(base);
    this.#number = Math.max(0, ...numbers);
    this.#files = numbers.map((number) => ({ number, path: pathOf(base, number), bytes: fileBytes, lastSerial }));
  }

  /**
   * Batches of all files, in the order in which they were written. Files of another store (its database is gone) are set aside under another
   * name: `foreign` is what stands in them and never will be stored.
   */
  static read(base: string, line: string): { readonly batches: JournaledBatch[]; readonly foreign: JournaledBatch[] } {
    const [batches, foreign]: [JournaledBatch[], JournaledBatch[]] = [[], []];
    for (const number of numbersOf(base)) {
      const path = pathOf(base, number);
      const [first, ...entries] = entriesOf(fs.readFileSync(path));
      const isForeign = first !== undefined && first.head.line !== line;
      if (isForeign) fs.renameSync(path, `${path}.foreign`);
      const ends = new Map<number, FlowEndInfo>();
      for (const entry of entries) (isForeign ? foreign : batches).push(readBatch(entry, ends));
    }
    return { batches, foreign };
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Writes entries, all or none; throws when the disk does not take them. */
  write(entries: readonly JournalEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    const file = this.#writable();
    const descriptor = this.#descriptor as number;
    const parts = entries.flatMap((entry) => {
      const body = [bytesOf(entry.batch.replaced), new Uint8Array(entry.bytes)];
      return frame(headOf(entry, this.#written), body);
    });
    try {
      const bytes = writeAll(descriptor, parts);
      fs.fdatasyncSync(descriptor);
      file.bytes += bytes;
      file.lastSerial = last.batch.serial;
    } catch (error) {
      // What ends were written is in doubt, and so is the place where to go on.
      this.#abandon(file);
      throw error;
    }
  }

  /** Everything up to this one stands in the database. */
  release(serial: number): void {
    while ((this.#files[0]?.lastSerial ?? Number.POSITIVE_INFINITY) <= serial) {
      const file = this.#files[0] as JournalFile;
      const writing = file.number === this.#number && this.#descriptor !== undefined;
      if (writing && file.bytes < this.#fileBytes) return;
      if (writing) this.#closeFile();
      this.#files.shift();
      fs.rmSync(file.path, { force: true });
    }
  }

  /** Ends writing; what is not released stays for who opens the store next. */
  close(): void {
    this.#closeFile();
  }

  /** Removes all files: everything in them stands in the database. */
  remove(): void {
    this.#closeFile();
    for (const { path } of this.#files.splice(0)) fs.rmSync(path, { force: true });
  }

  #writable(): JournalFile {
    const newest = this.#files.at(-1);
    if (newest !== undefined && this.#descriptor !== undefined && newest.bytes < this.#fileBytes) return newest;
    this.#closeFile();
    this.#number += 1;
    const path = pathOf(this.#base, this.#number);
    const descriptor = fs.openSync(path, 'wx', 0o600);
    try {
      const bytes = writeAll(descriptor, frame({ line: this.#line }, []));
      // The name has to be there as well.
      syncDirectory(dirname(path));
      this.#descriptor = descriptor;
      this.#written = new EndBits();
      const file = { number: this.#number, path, bytes, lastSerial: 0 };
      this.#files.push(file);
      return file;
    } catch (error) {
      fs.closeSync(descriptor);
      fs.rmSync(path, { force: true });
      throw error;
    }
  }

  /** Nothing more is written to this file; what was acknowledged in it stays. */
  #abandon(file: JournalFile): void {
    try {
      fs.ftruncateSync(this.#descriptor as number, file.bytes);
    } catch {
      // An entry that is not whole ends the file for who reads it.
    }
    this.#closeFile();
    if (file.lastSerial !== 0) return;
    // Nothing in it was ever taken: a disk that refuses each write is not filled with beginnings of files.
    this.#files.pop();
    fs.rmSync(file.path, { force: true });
  }

  #closeFile(): void {
    if (this.#descriptor !== undefined) fs.closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function pathOf(base: string, number: number): string {
  return `${base}${String(number).padStart(10, '0')}`;
}

/** Numbers of the files there are, ascending. */
function numbersOf(base: string): number[] {
  const name = basename(base);
  return fs
    .readdirSync(dirname(base))
    .filter((file) => file.startsWith(name) && /^\d{10}$/.test(file.slice(name.length)))
    .map((file) => Number(file.slice(name.length)))
    .sort((a, b) => a - b);
}

function frame(head: JournalHead | { readonly line: string }, body: readonly Uint8Array[]): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(head));
  const words = new Uint32Array(FRAME_BYTES / 4);
  const sum = body.reduce((so, part) => crc32(part, so), crc32(json));
  words.set([MARK, json.length, body.reduce((bytes, part) => bytes + part.length, 0), sum]);
  return [bytesOf(words), json, ...body];
}

/** Entries up to the first that is not whole. */
function entriesOf(file: Buffer): { readonly head: JournalHead & { readonly line?: string }; readonly body: Buffer }[] {
  const entries: { head: JournalHead & { line?: string }; body: Buffer }[] = [];
  for (let at = 0; at + FRAME_BYTES <= file.length; ) {
    const [mark, jsonBytes, bodyBytes, sum] = [0, 4, 8, 12].map((offset) => file.readUInt32LE(at + offset)) as [
      number,
      number,
      number,
      number,
    ];
    const [begin, end] = [at + FRAME_BYTES, at + FRAME_BYTES + jsonBytes + bodyBytes];
    if (mark !== MARK || end > file.length || crc32(file.subarray(begin, end)) !== sum) break;
    const head = JSON.parse(file.toString('utf8', begin, begin + jsonBytes)) as JournalHead;
    // A copy of its own: it begins at a multiple of every column's width.
    entries.push({ head, body: Buffer.from(Uint8Array.from(file.subarray(begin + jsonBytes, end)).buffer) });
    at = end;
  }
  return entries;
}

function writeAll(descriptor: number, parts: readonly Uint8Array[]): number {
  let total = 0;
  let left = parts.filter(({ length }) => length > 0);
  while (left.length > 0) {
    // The system takes 1,024 pieces at once.
    let written = fs.writevSync(descriptor, left.slice(0, 1024));
    total += written;
    let whole = 0;
    while (whole < left.length && written >= (left[whole]?.length ?? 0)) {
      written -= left[whole]?.length ?? 0;
      whole += 1;
    }
    left = left.slice(whole);
    if (written > 0 && left[0] !== undefined) left[0] = left[0].subarray(written);
  }
  return total;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function syncDirectory(path: string): void {
  const descriptor = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Where a store's journal lies. */
export function journalBase(file: string): string {
  return join(dirname(file), `${basename(file)}.journal-`);
}
