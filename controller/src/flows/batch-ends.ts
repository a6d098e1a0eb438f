// The ends of a batch's records, each named once: workloads by id, remote ends by what the agent saw of them. What a remote end is called
// is kept over batches for as long as nothing that names it has changed.
import { Confidence, Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { type FlowEndInfo, UNKNOWN_END } from './block.js';
import { aligned32 } from './decode.js';
import type { EndResolver } from './ends.js';

/** Ends of one batch. */
export interface BatchEnds {
  /** May name an end more than once. */
  readonly ends: readonly FlowEndInfo[];
  /** Into `ends`, per record. */
  readonly local: Uint32Array;
  readonly remote: Uint32Array;
}

export const NO_ENDS: BatchEnds = { ends: [], local: new Uint32Array(0), remote: new Uint32Array(0) };

/** Remote ends remembered, at least as many as a batch can have. */
const REMEMBERED = 131_072;
/** Host, address, identity, and protocol with port where a mapping named the end. */
const KEY_WORDS = 7;
const SLOTS = 4 * REMEMBERED;
const MAPPED = 0x1_00_0000;

/** Reasons for which a connection from a shared address is let through for the sake of one identity behind it. */
const ALLOWED_FOR_ONE: ReadonlySet<number> = new Set([Reason.REASON_RULE_ALLOW, Reason.REASON_READMITTED]);

export class BatchEndNamer {
  readonly #resolver: EndResolver;
  readonly #hosts = new Map<string, number>();
  #version = -1;
  // Open addressing: slots hold entry + 1. What is remembered is forgotten as a whole.
  readonly #slots = new Uint32Array(SLOTS);
  readonly #keys = new Uint32Array(REMEMBERED * KEY_WORDS);
  readonly #infos: FlowEndInfo[] = [];
  // By entry: its place in the ends of the batch that is being named.
  readonly #places = new Uint32Array(REMEMBERED);
  readonly #batchOf = new Uint32Array(REMEMBERED);
  #batch = 0;
  readonly #key = new Uint32Array(KEY_WORDS);

  constructor(resolver: EndResolver) {
    this.#resolver = resolver;
  }

  /** Names the ends of all records of a batch of this host. */
  name(hostId: string, columns: FlowColumns): BatchEnds {
    const version = this.#resolver.version;
    if (version !== this.#version || this.#infos.length + columns.count > REMEMBERED) this.#forget();
    this.#version = version;
    this.#batch += 1;
    const ends: FlowEndInfo[] = [];
    return {
      ends,
      local: this.#local(hostId, columns, ends),
      remote: this.#remote(hostId, columns, ends),
    };
  }

  #forget(): void {
    this.#slots.fill(0);
    this.#infos.length = 0;
    this.#hosts.clear();
  }

  #local(hostId: string, columns: FlowColumns, ends: FlowEndInfo[]): Uint32Array {
    const refs = aligned32(columns.workloadRef);
    const identities = aligned32(columns.localIdentity);
    /** By string: place in ends + 1. */
    const known = new Uint32Array(columns.strings.length);
    const local = new Uint32Array(columns.count);
    for (let i = 0; i < columns.count; i += 1) {
      const ref = refs[i] as number;
      let place = known[ref] as number;
      if (place === 0) {
        place = ends.push(this.#resolver.local(columns.strings[ref] ?? '', hostId, identities[i] as number));
        known[ref] = place;
      }
      local[i] = place - 1;
    }
    return local;
  }

  #remote(hostId: string, columns: FlowColumns, ends: FlowEndInfo[]): Uint32Array {
    const { confidence, reason, protocol, remotePort } = columns;
    const identities = aligned32(columns.remoteIdentity);
    const words = aligned32(columns.remoteIp);
    const host = this.#hosts.get(hostId) ?? this.#hosts.size;
    this.#hosts.set(hostId, host);
    const key = this.#key;
    key[0] = host;
    const remote = new Uint32Array(columns.count);
    for (let i = 0; i < columns.count; i += 1) {
      for (let word = 0; word < 4; word += 1) key[1 + word] = words[4 * i + word] as number;
      // Behind a shared address one is named for whom it was allowed. Who was refused may be any of them, whatever the reason.
      const undecided = confidence[i] === Confidence.CONFIDENCE_SHARED && !ALLOWED_FOR_ONE.has(reason[i] as number);
      key[5] = undecided ? 0 : (identities[i] as number);
      const port = (remotePort[2 * i] as number) | ((remotePort[2 * i + 1] as number) << 8);
      key[6] = confidence[i] === Confidence.CONFIDENCE_MAPPED ? MAPPED | ((protocol[i] as number) << 16) | port : 0;
      const entry = this.#entry(key, hostId, columns, i);
      if (this.#batchOf[entry] !== this.#batch) {
        this.#batchOf[entry] = this.#batch;
        this.#places[entry] = ends.push(this.#infos[entry] ?? UNKNOWN_END) - 1;
      }
      remote[i] = this.#places[entry] as number;
    }
    return remote;
  }

  #entry(key: Uint32Array, hostId: string, columns: FlowColumns, record: number): number {
    for (let slot = hashOf(key) & (SLOTS - 1); ; slot = (slot + 1) & (SLOTS - 1)) {
      const entry = (this.#slots[slot] as number) - 1;
      if (entry >= 0) {
        if (this.#holds(entry, key)) return entry;
        continue;
      }
      const mapped = key[6] as number;
      const info = this.#resolver.remote(
        columns.remoteIp.subarray(16 * record, 16 * record + 16),
        key[5] as number,
        hostId,
        mapped === 0 ? undefined : { protocol: (mapped >>> 16) & 0xff, port: mapped & 0xffff },
      );
      const added = this.#infos.push(info) - 1;
      this.#keys.set(key, added * KEY_WORDS);
      this.#slots[slot] = added + 1;
      this.#batchOf[added] = 0;
      return added;
    }
  }

  #holds(entry: number, key: Uint32Array): boolean {
    const base = entry * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i += 1) if (this.#keys[base + i] !== key[i]) return false;
    return true;
  }
}

function hashOf(key: Uint32Array): number {
  let hash = 0x9e3779b9;
  for (let i = 0; i < KEY_WORDS; i += 1) {
    hash = Math.imul(hash ^ (key[i] as number), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
