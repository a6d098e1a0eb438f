import type { NativeMap } from './binding.js';
import { binding } from './binding.js';
import { type MapType, UpdateFlag } from './constants.js';

export interface MapInfo {
  id: number;
  type: MapType;
  /** At most 15 characters: the kernel's limit. */
  name: string;
  keySize: number;
  valueSize: number;
  /**
   * Bytes of one value in every buffer of this API: valueSize, or for per-CPU types
   * round_up(valueSize, 8) × possible CPUs, CPU after CPU.
   */
  valueStride: number;
  maxEntries: number;
  flags: number;
}

export interface MapSpec {
  type: MapType;
  name?: string;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  /** MapFlag bits. */
  flags?: number;
  /** Template for array-of-maps and hash-of-maps. */
  innerMap?: BpfMap;
}

/** What a batch did, exactly. errno 0: everything. */
export interface BatchResult {
  /** Entries written or deleted. */
  applied: number;
  /** Deletes only: keys that were not there (only with missingOk; otherwise the first one stops the batch with ENOENT). */
  missing: number;
  /** Positive errno of the entry at index applied + missing, 0 when all went through. */
  errno: number;
  errnoName: string;
}

export interface MapDump {
  count: number;
  /** count × keySize bytes. */
  keys: Uint8Array;
  /** count × valueStride bytes, in the order of keys. */
  values: Uint8Array;
}

/**
 * One kernel map, held by its own file descriptor: closing the object it came from does not affect it. All buffers are checked
 * against key size and value stride before the kernel sees them (RF_ARGUMENT). After close() every call throws RF_CLOSED.
 */
export class BpfMap {
  readonly #native: NativeMap;

  /** @internal */
  constructor(native: NativeMap) {
    this.#native = native;
  }

  /** Throws RF_MAP_CREATE. */
  static create(spec: MapSpec): BpfMap {
    return new BpfMap(
      binding().createMap(
        spec.type,
        spec.name ?? '',
        spec.keySize,
        spec.valueSize,
        spec.maxEntries,
        spec.flags ?? 0,
        spec.innerMap ? spec.innerMap.fd : -1,
      ),
    );
  }

  /** Throws RF_NOT_FOUND when nothing is pinned there, RF_ARGUMENT when it is not a map. */
  static fromPin(path: string): BpfMap {
    return new BpfMap(binding().mapFromPin(path));
  }

  /** By kernel id, e.g. from an array-of-maps lookup. Takes CAP_SYS_ADMIN, where a pin would not. Throws RF_NOT_FOUND, RF_KERNEL. */
  static fromId(id: number): BpfMap {
    return new BpfMap(binding().mapFromId(id));
  }

  /** Valid until close(); never close it yourself. */
  get fd(): number {
    return this.#native.fd();
  }

  get info(): MapInfo {
    return this.#native.info() as MapInfo;
  }

  /** Value of the key, valueStride bytes, or undefined when it is not there. Map-in-map: the inner map's id, 4 bytes. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#native.lookup(key);
  }

  /** Throws RF_MAP_FULL when there is no room, RF_MAP_ACCESS otherwise (errno EEXIST/ENOENT with NOEXIST/EXIST). */
  update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UpdateFlag.ANY): void {
    this.#native.update(key, value, flags);
  }

  /** Whether the key was there. */
  delete(key: Uint8Array): boolean {
    return this.#native.delete(key);
  }

  /**
   * Writes keys.length / keySize entries in order, one system call where the kernel can. Never throws for a refused entry: look
   * at errno. Entries before it are in the map, entries after it were not tried.
   */
  updateBatch(keys: Uint8Array, values: Uint8Array, flags: UpdateFlag = UpdateFlag.ANY): BatchResult {
    return this.#native.updateBatch(keys, values, flags);
  }

  /** Deletes keys in order. With missingOk absent keys are counted, not an error. */
  deleteBatch(keys: Uint8Array, options: { missingOk?: boolean } = {}): BatchResult {
    return this.#native.deleteBatch(keys, options.missingOk ?? false);
  }

  /**
   * Every entry. While others write: an entry present all the time is returned exactly once, one that comes or goes meanwhile at
   * most once. A key of an LPM trie deleted meanwhile may come with the value of a shorter prefix: the kernel has no exact lookup
   * there. Throws RF_MAP_ACCESS when keys are deleted faster than the map can be walked.
   */
  dump(): MapDump {
    return this.#native.dump();
  }

  /** Only the keys, packed; same promise as dump(). */
  keys(): Uint8Array {
    return this.dump().keys;
  }

  /** Puts an inner map into an array-of-maps or hash-of-maps. */
  setInner(key: Uint8Array, inner: BpfMap): void {
    this.#native.setInner(key, inner.fd);
  }

  /** Throws RF_PIN (errno EEXIST when the path is taken). Missing parent directories are not made. */
  pin(path: string): void {
    this.#native.pin(path);
  }

  /** No writes by user space from now on, from anyone. */
  freeze(): void {
    this.#native.freeze();
  }

  get closed(): boolean {
    return this.#native.closed();
  }

  /** Idempotent. The kernel frees the map once no program, pin or descriptor holds it. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
