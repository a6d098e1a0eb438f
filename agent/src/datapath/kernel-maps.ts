// The maps: made once and pinned, or adopted from their pins. Also the two small ones that only the agent uses: marks (numbers
// given out, so that none is given out twice) and the fingerprint of the loaded programs.
import { existsSync } from 'node:fs';
import { Lane, MAPS, type MapName, STATE } from '@ringfence/bpf';
import { BpfMap, type BpfObject, MapType, possibleCpus, unpin } from '@ringfence/native';
import type { HighWater } from '../desired/numbers.js';
import type { Pins } from './pins.js';

export const MAP_NAMES = Object.keys(MAPS) as MapName[];

export interface MapSizes {
  readonly mapSizes: Readonly<Record<string, number>>;
  readonly ringBytes: number;
  readonly denyRingBytes: number;
}

/** Sizes the maps of an object that is about to make them. The templates may be closed after its load. */
export function sizeMaps(object: BpfObject, sizes: MapSizes): BpfMap[] {
  const cpus = possibleCpus();
  for (const name of MAP_NAMES) sizeMap(object, name, sizes);
  object.setMaxEntries('rf_lanes', cpus * Lane.COUNT);
  const templates = [newRing(sizes.ringBytes), newRing(sizes.denyRingBytes)];
  for (const [i, name] of (['rf_events', 'rf_denies'] as const).entries()) {
    object.setMaxEntries(name, cpus);
    object.setInnerMap(name, templates[i] as BpfMap);
  }
  return templates;
}

/** Sizes one map that the configuration may size; the others have the object's own size. */
export function sizeMap(object: BpfObject, name: MapName, sizes: MapSizes): void {
  const face = MAPS[name];
  if (face.sized === 'config') object.setMaxEntries(name, sizes.mapSizes[name] ?? face.defaultEntries);
}

function newRing(bytes: number): BpfMap {
  return BpfMap.create({ type: MapType.RINGBUF, name: 'rf_ring', keySize: 0, valueSize: 0, maxEntries: bytes });
}

const ZERO = new Uint8Array(4);
const MARK_FIELDS = ['set', 'group', 'shared', 'endpoint', 'generation'] as const;

/** Numbers given out: each is the next free one; generation is the highest endpoint generation ever used. */
export type Marks = HighWater & { readonly generation: number };

export class KernelMaps {
  readonly #maps: Map<MapName, BpfMap>;
  readonly #marks: BpfMap;
  readonly #build: BpfMap;
  readonly #pins: Pins;

  private constructor(maps: Map<MapName, BpfMap>, marks: BpfMap, build: BpfMap, pins: Pins) {
    this.#pins = pins;
    this.#maps = maps;
    this.#marks = marks;
    this.#build = build;
  }

  /** From an object that has just made them: fills rings and state, pins all. */
  static made(object: BpfObject, sizes: MapSizes, pins: Pins): KernelMaps {
    const maps = new Map(MAP_NAMES.map((name) => [name, object.map(name)]));
    for (let cpu = 0; cpu < possibleCpus(); cpu += 1) {
      for (const [name, bytes] of [
        ['rf_events', sizes.ringBytes],
        ['rf_denies', sizes.denyRingBytes],
      ] as const) {
        using ring = newRing(bytes);
        maps.get(name)?.setInner(u32(cpu), ring);
        // Each by its own pin: opening a map by its id, as an outer map gives it, would take CAP_SYS_ADMIN.
        ring.pin(pins.path('maps', ringPin(name, cpu)));
      }
    }
    const array = (name: string, valueSize: number) =>
      BpfMap.create({ type: MapType.ARRAY, name, keySize: 4, valueSize, maxEntries: 1 });
    const made = new KernelMaps(maps, array('rf_marks', 4 * MARK_FIELDS.length), array('rf_build', 32), pins);
    made.setGeneration(1);
    made.writeMarks({ set: 1, group: 1, shared: 1, endpoint: 1, generation: 0 });
    for (const [name, map] of maps) map.pin(pins.path('maps', name));
    made.#marks.pin(pins.path('maps', 'rf_marks'));
    made.#build.pin(pins.path('maps', 'rf_build'));
    return made;
  }

  /** What is pinned. Maps that the build that pinned them did not have are missing until supply() was called. */
  static adopted(pins: Pins): KernelMaps {
    const pinned = (name: string) => BpfMap.fromPin(pins.path('maps', name));
    const there = MAP_NAMES.filter((name) => existsSync(pins.path('maps', name)));
    return new KernelMaps(new Map(there.map((n) => [n, pinned(n)])), pinned('rf_marks'), pinned('rf_build'), pins);
  }

  /** Names of maps that this build wants and nothing is pinned for. */
  get missing(): readonly MapName[] {
    return MAP_NAMES.filter((name) => !this.#maps.has(name));
  }

  /** Takes the missing maps from an object that has just made them, and pins them. */
  supply(object: BpfObject): void {
    for (const name of this.missing) {
      const map = object.map(name);
      this.#pins.replace('maps', name, (path) => map.pin(path));
      this.#maps.set(name, map);
    }
  }

  /**
   * These maps, with policy tables of another size than configured replaced by copies of the configured size, and the names of
   * those. A table whose content does not fit stays as it is. The new ones are not pinned yet; conntrack is never replaced.
   */
  resized(sizes: MapSizes): { maps: KernelMaps; resized: MapName[] } {
    const maps = new Map(this.#maps);
    const resized: MapName[] = [];
    for (const name of MAP_NAMES) {
      if (!this.#maps.has(name)) continue;
      const old = this.get(name);
      const entries = sizes.mapSizes[name] ?? MAPS[name].defaultEntries;
      if (!MAPS[name].policy || old.info.maxEntries === entries) continue;
      const { type, keySize, valueSize, flags } = old.info;
      const dump = old.dump();
      if (dump.count > entries) continue;
      const copy = BpfMap.create({ type, name, keySize, valueSize, flags, maxEntries: entries });
      const { errno } = dump.count === 0 ? { errno: 0 } : copy.updateBatch(dump.keys, dump.values);
      if (errno !== 0) {
        copy.close();
        continue;
      }
      maps.set(name, copy);
      resized.push(name);
    }
    return { maps: resized.length === 0 ? this : new KernelMaps(maps, this.#marks, this.#build, this.#pins), resized };
  }

  /** Pins maps in the place of those of before. */
  pinAnew(names: readonly MapName[], pins: Pins): void {
    for (const name of names) pins.replace('maps', name, (path) => this.get(name).pin(path));
  }

  get(name: MapName): BpfMap {
    return this.#maps.get(name) as BpfMap;
  }

  /** One per possible CPU. */
  rings(name: 'rf_events' | 'rf_denies'): BpfMap[] {
    return Array.from({ length: possibleCpus() }, (_, cpu) =>
      BpfMap.fromPin(this.#pins.path('maps', ringPin(name, cpu))),
    );
  }

  get generation(): number {
    const value = this.get('rf_state').lookup(ZERO);
    return value === undefined ? 0 : STATE.decode(value).generation;
  }

  setGeneration(generation: number): void {
    this.get('rf_state').update(ZERO, STATE.encode({ generation, flags: 0 }));
  }

  marks(): Marks {
    const view = viewOf(this.#marks.lookup(ZERO) ?? new Uint8Array(4 * MARK_FIELDS.length));
    return Object.fromEntries(MARK_FIELDS.map((field, i) => [field, view.getUint32(4 * i, true)])) as unknown as Marks;
  }

  writeMarks(marks: Marks): void {
    const bytes = new Uint8Array(4 * MARK_FIELDS.length);
    for (const [i, field] of MARK_FIELDS.entries()) viewOf(bytes).setUint32(4 * i, marks[field], true);
    this.#marks.update(ZERO, bytes);
  }

  /** A flush was begun and not ended: by a process that died in it, or one that could not undo it. */
  get flushCut(): boolean {
    return existsSync(this.#flushPin);
  }

  /** A second pin of the marks is the sign: it is there or not, whatever dies when. */
  beginFlush(): void {
    if (!this.flushCut) this.#marks.pin(this.#flushPin);
  }

  endFlush(): void {
    unpin(this.#flushPin);
  }

  get #flushPin(): string {
    return this.#pins.path('maps', 'rf_flushing');
  }

  fingerprint(): Buffer {
    return Buffer.from(this.#build.lookup(ZERO) ?? new Uint8Array(32));
  }

  setFingerprint(bytes: Uint8Array): void {
    this.#build.update(ZERO, bytes);
  }

  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#marks.close();
    this.#build.close();
  }
}

function ringPin(name: 'rf_events' | 'rf_denies', cpu: number): string {
  return `${name}_${cpu}`;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
