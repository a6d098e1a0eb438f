// The comparison behind the ABI test: layouts and enums of the TypeScript face against BTF. Returns what differs, in words.
import type { BtfTypes } from '@ringfence/native';
import { cName, type Fields, type Layout } from '../ts/index.js';

const BASE: Readonly<Record<string, string>> = {
  u8: 'unsigned char',
  u16: 'unsigned short',
  be16: 'unsigned short',
  u32: 'unsigned int',
  u64: 'unsigned long long',
};

export function compareStruct(layout: Layout<Fields>, btf: BtfTypes): string[] {
  const struct = btf.structs.get(layout.name);
  if (!struct) return [`${layout.name}: not in BTF`];
  const problems: string[] = [];
  if (struct.size !== layout.size) problems.push(`${layout.name}: size ${layout.size}, in C ${struct.size}`);
  const members = new Map(struct.members.map((member) => [member.name, member]));
  const order: string[] = [];
  for (const [key, field] of Object.entries(layout.fields)) {
    const name = cName(key, field);
    const member = members.get(name);
    order.push(name);
    if (!member) {
      problems.push(`${layout.name}.${name}: not in C`);
      continue;
    }
    members.delete(name);
    if (member.bitOffset !== field.offset * 8) {
      problems.push(`${layout.name}.${name}: offset ${field.offset}, in C ${member.bitOffset / 8}`);
    }
    if (member.size !== field.size) problems.push(`${layout.name}.${name}: ${field.size} bytes, in C ${member.size}`);
    const wanted = BASE[field.kind];
    if (wanted && (member.baseType !== wanted || member.arrayLength !== undefined)) {
      problems.push(`${layout.name}.${name}: ${field.kind}, in C ${member.baseType}[${member.arrayLength ?? ''}]`);
    }
  }
  for (const name of members.keys()) problems.push(`${layout.name}.${name}: only in C`);
  const inC = struct.members.map((member) => member.name);
  if (problems.length === 0 && order.join() !== inC.join())
    problems.push(`${layout.name}: order ${order}, in C ${inC}`);
  return problems;
}

/** prefix: of the C constants. ignore: constants of the other side that are none (COUNT, UNRECOGNIZED). */
export function compareEnum(
  name: string,
  prefix: string,
  values: Readonly<Record<string, number>>,
  btf: BtfTypes,
): string[] {
  const found = btf.enums.get(name);
  if (!found) return [`${name}: not in BTF`];
  const inC = new Map(found.values.map((each) => [each.name, Number(each.value)]));
  const problems: string[] = [];
  for (const [key, value] of Object.entries(values)) {
    const c = inC.get(prefix + key);
    if (c === undefined) problems.push(`${name}: ${prefix}${key} not in C`);
    else if (c !== value) problems.push(`${name}: ${prefix}${key} is ${value}, in C ${c}`);
    inC.delete(prefix + key);
  }
  for (const key of inC.keys()) problems.push(`${name}: ${key} only in C`);
  return problems;
}

/** A proto enum as ts-proto makes it (both ways, UNRECOGNIZED) to names without its prefix. */
export function protoValues(
  generated: Readonly<Record<string, string | number>>,
  prefix: string,
): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [key, value] of Object.entries(generated)) {
    if (typeof value === 'number' && key !== 'UNRECOGNIZED') out[key.replace(prefix, '')] = value;
  }
  return out;
}
