// C and TypeScript agree, member by member and number by number, as the compiler's own type information says.
import { fileURLToPath } from 'node:url';
import { BpfObject, type BtfTypes, readBtf } from '@ringfence/native';
import { Direction, EventKind, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ABI_VERSION,
  CGROUP_LEVELS,
  DIRECTIONS,
  ENUMS,
  EVENT,
  type Fields,
  type Layout,
  MAPS,
  REASONS,
  SHARED_MAX,
  STRUCTS,
  TAG_EXID,
  TAG_KEYS,
  TAG_KIND,
  TagCount,
  VERDICTS,
} from '../ts/index.js';
import { compareEnum, compareStruct, protoValues } from './abi-compare.js';

const OBJECT = fileURLToPath(new URL('../build/abi.bpf.o', import.meta.url));
const structs = STRUCTS as unknown as readonly Layout<Fields>[];
let btf: BtfTypes;
beforeAll(() => {
  btf = readBtf(OBJECT);
});

describe('ABI', () => {
  it.each(structs.map((layout) => [layout.name, layout] as const))('%s, is the same in C', (_, layout) => {
    expect(compareStruct(layout, btf)).toEqual([]);
  });

  it('structs of abi.h, are all in the table', () => {
    const anchor = btf.structs.get('rf_abi');
    const inC = anchor?.members
      .filter((member) => member.type.startsWith('struct '))
      .map((member) => member.type.slice(7));
    expect(inC?.sort()).toEqual(structs.map((layout) => layout.name).sort());
  });

  it.each(ENUMS.map((each) => [each.name, each] as const))('%s, is the same in C', (name, { prefix, values }) => {
    expect(compareEnum(name, prefix, values, btf)).toEqual([]);
  });

  it.each([
    ['rf_verdict', 'RF_VERDICT_', protoValues(Verdict as never, 'VERDICT_')],
    ['rf_reason', 'RF_REASON_', { ...protoValues(Reason as never, 'REASON_'), COUNT: REASONS }],
    ['rf_mode', 'RF_MODE_', protoValues(Mode as never, 'MODE_')],
    ['rf_direction', 'RF_DIRECTION_', protoValues(Direction as never, 'DIRECTION_')],
    ['rf_event_kind', 'RF_EVENT_KIND_', protoValues(EventKind as never, 'EVENT_KIND_')],
  ] as const)('%s, is the proto enum', (name, prefix, values) => {
    expect(Object.keys(values).length).toBeGreaterThan(2);
    expect(compareEnum(name, prefix, values, btf)).toEqual([]);
  });

  it('limits, are the same in C', () => {
    using object = BpfObject.open(OBJECT);
    const bytes = object.rodataBytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const value = (name: string): number | undefined => {
      const variable = object.variables().find((each) => each.name === name && each.section === '.rodata');
      return variable && view.getUint32(variable.offset, true);
    };
    const limits = ['rf_abi_version', 'rf_shared_max', 'rf_cgroup_levels', 'rf_verdicts', 'rf_directions'];
    expect(limits.map(value)).toEqual([ABI_VERSION, SHARED_MAX, CGROUP_LEVELS, VERDICTS, DIRECTIONS]);
    expect(['rf_tag_kind', 'rf_tag_exid', 'rf_tag_key_slots'].map(value)).toEqual([TAG_KIND, TAG_EXID, TAG_KEYS]);
    expect([MAPS.rf_tag_keys.defaultEntries, MAPS.rf_tag_counts.defaultEntries]).toEqual([TAG_KEYS, TagCount.COUNT]);
    expect(MAPS.rf_counters.defaultEntries).toBe(VERDICTS * REASONS * DIRECTIONS);
  });
});

describe('the comparison', () => {
  const moved = (change: Partial<Record<string, object>>, size = EVENT.size): Layout<Fields> =>
    ({ ...EVENT, size, fields: { ...EVENT.fields, ...change } }) as unknown as Layout<Fields>;

  it.each([
    ['a moved field', moved({ rule: { kind: 'u32', offset: 80, size: 4 } }), 'rf_event.rule: offset 80, in C 84'],
    ['a narrower field', moved({ rule: { kind: 'u16', offset: 84, size: 2 } }), 'rf_event.rule: 2 bytes, in C 4'],
    [
      'a field of another kind',
      moved({ rule: { kind: 'bytes', offset: 84, size: 3 } }),
      'rf_event.rule: 3 bytes, in C 4',
    ],
    ['a field that C lacks', moved({ extra: { kind: 'u8', offset: 127, size: 1 } }), 'rf_event.extra: not in C'],
    ['another size', moved({}, 136), 'rf_event: size 136, in C 128'],
  ])('%s, is reported', (_, layout, problem) => {
    expect(compareStruct(layout, btf)).toContain(problem);
  });

  it('a member that only C has, is reported', () => {
    const { rule: _, ...fields } = EVENT.fields;
    expect(compareStruct({ ...EVENT, fields } as unknown as Layout<Fields>, btf)).toEqual(['rf_event.rule: only in C']);
  });

  it('a swapped number and a missing one, are reported', () => {
    expect(compareEnum('rf_action', 'RF_ACTION_', { ALLOW: 2 }, btf)).toEqual([
      'rf_action: RF_ACTION_ALLOW is 2, in C 1',
      'rf_action: RF_ACTION_DENY only in C',
    ]);
  });
});
