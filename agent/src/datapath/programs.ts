// Programs: loaded from object files over the shared maps, pinned by name, or adopted when the pinned ones are what loading would
// give again.
import { PROGRAMS, type ProgramName } from '@ringfence/bpf';
import { BpfObject, BpfProgram, NativeError, type VariableValue } from '@ringfence/native';
import { objectFile } from './features.js';
import { KernelMaps, MAP_NAMES, type MapSizes, sizeMap, sizeMaps } from './kernel-maps.js';
import type { Pins } from './pins.js';

export const PROGRAM_NAMES = Object.keys(PROGRAMS) as ProgramName[];

/** By name; those that this kernel refused and that enforcement can do without are missing. */
export type Programs = ReadonlyMap<ProgramName, BpfProgram>;

export interface Loaded {
  readonly maps: KernelMaps;
  readonly programs: Programs;
  /** Optional programs that could not be loaded, with the reason. */
  readonly missing: ReadonlyMap<ProgramName, string>;
}

/**
 * Loads every program. Without maps the first object makes them, sized and pinned. Throws NativeError RF_BPF_VERIFIER or
 * RF_BPF_LOAD for a program that enforcement needs; what was loaded until then is closed.
 */
export function loadPrograms(
  adopted: KernelMaps | undefined,
  sizes: MapSizes,
  pins: Pins,
  rodata: Readonly<Record<string, VariableValue>>,
  objectDir: string | undefined,
): Loaded {
  const programs = new Map<ProgramName, BpfProgram>();
  const missing = new Map<ProgramName, string>();
  let maps = adopted;
  try {
    for (const name of PROGRAM_NAMES) {
      try {
        using object = BpfObject.open(objectFile(objectDir, PROGRAMS[name].object));
        const known = new Set(object.variables().map((variable) => variable.name));
        object.setRodata(Object.fromEntries(Object.entries(rodata).filter(([variable]) => known.has(variable))));
        if (maps === undefined) {
          const templates = sizeMaps(object, sizes);
          object.load();
          for (const template of templates) template.close();
          maps = KernelMaps.made(object, sizes, pins);
        } else {
          // Another build's pins may lack maps of this one: the first object makes them.
          const made = new Set(maps.missing);
          for (const map of MAP_NAMES) {
            if (made.has(map)) sizeMap(object, map, sizes);
            else object.reuseMap(map, maps.get(map));
          }
          object.load();
          maps.supply(object);
        }
        programs.set(name, object.program(name));
      } catch (error) {
        if (PROGRAMS[name].required || !(error instanceof NativeError)) throw error;
        missing.set(name, error.message);
      }
    }
  } catch (error) {
    for (const program of programs.values()) program.close();
    if (adopted === undefined) maps?.close();
    throw error;
  }
  return { maps: maps as KernelMaps, programs, missing };
}

/** The pinned programs. */
export function adoptPrograms(pins: Pins): Programs {
  const pinned = new Set(pins.names('progs'));
  return new Map(
    PROGRAM_NAMES.filter((name) => pinned.has(name)).map((name) => [
      name,
      BpfProgram.fromPin(pins.path('progs', name)),
    ]),
  );
}

/** Pins them in the place of those of before. */
export function pinPrograms(programs: Programs, pins: Pins): void {
  for (const name of pins.names('progs')) if (!programs.has(name as ProgramName)) pins.remove('progs', name);
  for (const [name, program] of programs) pins.replace('progs', name, (path) => program.pin(path));
}
