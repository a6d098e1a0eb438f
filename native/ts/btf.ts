import { binding } from './binding.js';

export interface BtfMember {
  name: string;
  /** From the start of the struct. */
  bitOffset: number;
  /** Bytes of the member's type; for arrays all elements. */
  size: number;
  /** Bitfield width, 0 for ordinary members. */
  bitfieldBits: number;
  /** As in C without the array part: 'struct rf_addr', '__u32' (typedef name), 'enum rf_verdict', 'char', 'void *'. */
  type: string;
  /** typedefs and qualifiers resolved: 'unsigned int' where type is '__u32'. */
  baseType: string;
  /** Element count; undefined when it is no array; several dimensions are multiplied. */
  arrayLength: number | undefined;
}

export interface BtfStruct {
  name: string;
  kind: 'struct' | 'union';
  size: number;
  members: BtfMember[];
}

export interface BtfEnum {
  name: string;
  size: number;
  signed: boolean;
  values: { name: string; value: bigint }[];
}

export interface BtfTypes {
  /** Named structs and unions; when a name occurs twice, the first. */
  structs: Map<string, BtfStruct>;
  enums: Map<string, BtfEnum>;
}

/**
 * Types of an object file (path), or of the running kernel ('vmlinux'; thousands: give names). A struct that no map, variable
 * or function of the object mentions is not in its BTF. Throws RF_NOT_FOUND (no file), RF_BTF.
 */
export function readBtf(source: string, options: { names?: readonly string[] } = {}): BtfTypes {
  const { structs, enums } = binding().readBtf(source, options.names ? [...options.names] : undefined);
  const byName = <T extends { name: string }>(list: T[]): Map<string, T> => {
    const out = new Map<string, T>();
    for (const item of list) if (!out.has(item.name)) out.set(item.name, item);
    return out;
  };
  return { structs: byName(structs), enums: byName(enums) };
}
