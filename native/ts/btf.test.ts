import { describe, expect, test } from 'vitest';
import { readBtf } from './btf.js';
import { testProgram, thrownBy } from './test-support.js';

describe('readBtf', () => {
  const types = readBtf(testProgram('basic'));

  test('members carry offset, size, array length and both spellings of the type', () => {
    const record = types.structs.get('record');
    expect(record).toMatchObject({ kind: 'struct', size: 64 });
    expect(record?.members.map((m) => [m.name, m.bitOffset / 8, m.size, m.type, m.baseType, m.arrayLength])).toEqual([
      ['time_ns', 0, 8, '__u64', 'unsigned long long', undefined],
      ['who', 8, 16, 'struct inner', 'struct inner', undefined],
      ['ports', 24, 12, '__u16', 'unsigned short', 6],
      ['narrow', 36, 4, '__u32', 'unsigned int', undefined],
      ['wide', 36.625, 4, '__u32', 'unsigned int', undefined],
      ['color', 40, 4, 'enum color', 'enum color', undefined],
      ['name', 44, 12, 'char', 'char', 12],
      ['next', 56, 8, 'void *', 'void *', undefined],
    ]);
    expect(record?.members.filter((m) => m.bitfieldBits > 0).map((m) => m.bitfieldBits)).toEqual([5, 27]);
  });

  test('enum values keep sign and width', () => {
    expect(types.enums.get('color')).toEqual({
      name: 'color',
      size: 4,
      signed: false,
      values: [
        { name: 'COLOR_RED', value: 1n },
        { name: 'COLOR_GREEN', value: 2n },
        { name: 'COLOR_TEAL', value: 0x80000000n },
      ],
    });
    expect(types.enums.get('temperature')?.values).toEqual([
      { name: 'TEMPERATURE_COLD', value: -40n },
      { name: 'TEMPERATURE_WARM', value: 20n },
    ]);
  });

  test('names narrow the result', () => {
    const some = readBtf(testProgram('basic'), { names: ['inner', 'color', 'no_such'] });
    expect([...some.structs.keys(), ...some.enums.keys()]).toEqual(['inner', 'color']);
  });

  test('the running kernel’s own types', () => {
    const kernel = readBtf('vmlinux', { names: ['iphdr', 'bpf_map_type'] });
    expect(kernel.structs.get('iphdr')?.size).toBe(20);
    expect(kernel.enums.get('bpf_map_type')?.values).toContainEqual({ name: 'BPF_MAP_TYPE_RINGBUF', value: 27n });
  });

  test('a missing file is RF_NOT_FOUND, a file without BTF is RF_BTF', () => {
    thrownBy(() => readBtf('/nonexistent.o'), 'RF_NOT_FOUND');
    thrownBy(() => readBtf(process.execPath), 'RF_BTF');
  });
});
