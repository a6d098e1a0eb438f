import type { NativeObject } from './binding.js';
import { binding } from './binding.js';
import type { AttachType, MapType, ProgramType } from './constants.js';
import { encodeVariable } from './globals.js';
import { BpfMap } from './map.js';
import { BpfProgram } from './program.js';

export interface ObjectProgram {
  /** Name of the C function. */
  name: string;
  section: string;
  type: ProgramType;
  expectedAttachType: AttachType;
  autoload: boolean;
}

export interface ObjectMap {
  /** As in C; data sections carry the object's name in front ('basic.rodata'), though every call here takes '.rodata'. */
  name: string;
  type: MapType;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  /** Compiler-made (.rodata, .bss, .data). */
  internal: boolean;
}

/** A global variable of the object. */
export interface ObjectVariable {
  name: string;
  /** '.rodata', '.data', '.bss', or a custom one such as '.rodata.limits'. */
  section: string;
  offset: number;
  size: number;
}

export type VariableValue = number | bigint | boolean | Uint8Array;

/**
 * A BPF object file. Life: open (everything may be set) → load() once → loaded (maps and programs can be taken) → close().
 * Setters after load throw RF_STATE, getters of maps and programs before load too. A failed load leaves nothing in the kernel
 * and the object good only for close(). Maps and programs taken from it own their descriptors and outlive it.
 */
export class BpfObject {
  readonly #native: NativeObject;

  private constructor(native: NativeObject) {
    this.#native = native;
  }

  /** From an ELF file (path) or its bytes. Throws RF_NOT_FOUND, RF_BPF_OPEN. */
  static open(source: string | Uint8Array, options: { name?: string } = {}): BpfObject {
    return new BpfObject(
      typeof source === 'string'
        ? binding().openObjectFile(source, options.name ?? '')
        : binding().openObjectBuffer(source, options.name ?? 'buffer'),
    );
  }

  programs(): ObjectProgram[] {
    return this.#native.programs() as ObjectProgram[];
  }

  maps(): ObjectMap[] {
    return this.#native.maps() as ObjectMap[];
  }

  /** Global variables, found through BTF. */
  variables(): ObjectVariable[] {
    return this.#native.variables();
  }

  /**
   * Sets `const volatile` variables by name. Numbers and booleans fit variables of 1, 2, 4 or 8 bytes and are checked against
   * that width (negative: two's complement); arrays and structs take exactly size bytes. All names and sizes are checked before
   * the first is written. Throws RF_NOT_FOUND for an unknown name, RF_ARGUMENT for a value that does not fit.
   */
  setRodata(values: Readonly<Record<string, VariableValue>>, section = '.rodata'): void {
    const known = new Map(
      this.variables()
        .filter((v) => v.section === section)
        .map((v) => [v.name, v]),
    );
    const writes = Object.entries(values).map(([name, value]) => encodeVariable(known.get(name), name, section, value));
    if (writes.length === 0) return;
    const bytes = this.#native.initialValue(section);
    for (const write of writes) bytes.set(write.bytes, write.offset);
    this.#native.setInitialValue(section, bytes);
  }

  /** Raw bytes of a data section, as the compiler or earlier setters left them (a copy). */
  rodataBytes(section = '.rodata'): Uint8Array {
    return this.#native.initialValue(section);
  }

  /** The whole section; length must match exactly. */
  setRodataBytes(bytes: Uint8Array, section = '.rodata'): void {
    this.#native.setInitialValue(section, bytes);
  }

  setMaxEntries(map: string, maxEntries: number): void {
    this.#native.setMaxEntries(map, maxEntries);
  }

  /** Template of the inner maps of an array-of-maps or hash-of-maps. The template may be closed after this call. */
  setInnerMap(map: string, template: BpfMap): void {
    this.#native.setInnerMap(map, template.fd);
  }

  /** Uses an existing map in place of a new one. Type, key and value size must agree: checked here, RF_ARGUMENT. */
  reuseMap(name: string, map: BpfMap | string): void {
    if (typeof map !== 'string') {
      this.#native.reuseMap(name, map.fd);
      return;
    }
    const pinned = BpfMap.fromPin(map);
    try {
      this.#native.reuseMap(name, pinned.fd);
    } finally {
      pinned.close();
    }
  }

  /** Whether load() loads this program. */
  setAutoload(program: string, autoload: boolean): void {
    this.#native.setAutoload(program, autoload);
  }

  setProgramType(program: string, type: ProgramType, expectedAttachType?: AttachType): void {
    this.#native.setProgramType(program, type, expectedAttachType ?? -1);
  }

  /**
   * Makes the maps and loads the programs. Throws RF_BPF_VERIFIER (message: program and last lines; log: all of it;
   * fields.program) or RF_BPF_LOAD.
   */
  load(): void {
    this.#native.load();
  }

  /** A new handle on a loaded map. Throws RF_NOT_FOUND. */
  map(name: string): BpfMap {
    return new BpfMap(this.#native.map(name));
  }

  /** A new handle on a loaded program. Throws RF_NOT_FOUND, RF_STATE when autoload was off. */
  program(name: string): BpfProgram {
    return new BpfProgram(this.#native.program(name));
  }

  get closed(): boolean {
    return this.#native.closed();
  }

  /** Idempotent. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
