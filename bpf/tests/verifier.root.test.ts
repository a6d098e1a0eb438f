// Every object loads: with all features of this kernel, and with every switch off, as on 5.10.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BpfObject } from '@ringfence/native';
import { describe, expect, it } from 'vitest';
import { MAPS, objectPath, PROGRAMS, RODATA } from '../ts/index.js';
import { FULL_FEATURES } from './kernel.js';

const objects = [...new Set(Object.values(PROGRAMS).map((program) => program.object))];

describe('objects', () => {
  it('build/, holds exactly the objects that PROGRAMS names, and abi', () => {
    const built = readdirSync(fileURLToPath(new URL('../build/', import.meta.url)))
      .filter((name) => name.endsWith('.bpf.o'))
      .map((name) => name.slice(0, -'.bpf.o'.length));
    expect(built.sort()).toEqual([...objects, 'abi'].sort());
  });

  it.each(objects)('%s, loads with every feature', (object) => {
    load(object, { ...FULL_FEATURES, rf_has_set_retval: 1, rf_netns_cookie: 1n });
  });

  it.each(objects)('%s, loads with every feature switch off', (object) => {
    load(object, {});
  });

  it.each(objects)('%s, has the maps and read-only data that the TypeScript face names', (object) => {
    using open = BpfObject.open(objectPath(object));
    for (const map of open.maps().filter((each) => !each.internal)) {
      const face = MAPS[map.name as keyof typeof MAPS];
      expect(face, map.name).toBeDefined();
      expect([map.name, map.keySize, map.valueSize]).toEqual([face.name, face.keySize, face.valueSize]);
      if (face.sized !== 'cpus' && face.type !== 'socket')
        expect([map.name, map.maxEntries]).toEqual([face.name, face.defaultEntries]);
    }
    const data = new Map(
      open
        .variables()
        .filter((v) => v.section === '.rodata')
        .map((v) => [v.name, v]),
    );
    expect([...data.keys()].sort()).toEqual(Object.keys(RODATA).sort());
    const bytes = open.rodataBytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const [name, { bytes: size, default: wanted }] of Object.entries(RODATA)) {
      const variable = data.get(name);
      expect([name, variable?.size]).toEqual([name, size]);
      const at = variable?.offset ?? 0;
      const found =
        size === 8 ? view.getBigUint64(at, true) : BigInt(size === 4 ? view.getUint32(at, true) : view.getUint8(at));
      expect([name, found]).toEqual([name, wanted]);
    }
  });
});

function load(object: string, rodata: Readonly<Record<string, number | bigint>>): void {
  using open = BpfObject.open(objectPath(object));
  open.setRodata(rodata);
  open.load();
  for (const program of open.programs()) open.program(program.name).close();
}
