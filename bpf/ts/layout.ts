// Struct layouts as data, and codecs made from them. One table entry per C member, explicit offset: the ABI test compares the
// table with BTF, so nothing here computes an offset the way a compiler would.

/** Value in TypeScript: u64 bigint, bytes Uint8Array, text string (NUL-padded), all others number. be: network order in C, host order here. */
export type FieldKind = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'bytes' | 'text' | 'skip';

export interface Field<K extends FieldKind = FieldKind> {
  readonly kind: K;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

type ValueOfKind<K extends FieldKind> = K extends 'u64'
  ? bigint
  : K extends 'bytes'
    ? Uint8Array
    : K extends 'text'
      ? string
      : number;

export type Fields = Readonly<Record<string, Field>>;

/** What encode takes and decode gives. Padding (skip) has no value: it is written as zero. */
export type ValueOf<F extends Fields> = {
  -readonly [N in keyof F as F[N]['kind'] extends 'skip' ? never : N]: ValueOfKind<F[N]['kind']>;
};

export interface Layout<F extends Fields = Fields> {
  /** Name in C, without "struct". */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** By C member name in camel case; be16 members are called x_be in C and x here. */
  readonly fields: F;
  /** A new buffer of size bytes. Throws RangeError when a value does not fit its member. */
  encode(value: ValueOf<F>): Uint8Array;
  /** Into a larger buffer at offset; overwrites all of the struct's bytes. */
  encodeInto(value: ValueOf<F>, target: Uint8Array, offset: number): void;
  /** Copies: the result does not refer to bytes. Throws RangeError when fewer than size bytes are there. */
  decode(bytes: Uint8Array, offset?: number): ValueOf<F>;
}

const field =
  <K extends FieldKind>(kind: K, fixed: number) =>
  (offset: number, size = fixed): Field<K> => ({ kind, offset, size });

export const u8 = field('u8', 1);
export const u16 = field('u16', 2);
export const u32 = field('u32', 4);
export const u64 = field('u64', 8);
export const be16 = field('be16', 2);
export const bytes = field('bytes', 16);
export const text = field('text', 16);
export const skip = field('skip', 1);

const WIDTH_LIMIT: Readonly<Record<string, number>> = { u8: 0xff, u16: 0xffff, u32: 0xffffffff, be16: 0xffff };

function write(view: DataView, at: number, struct: string, name: string, f: Field, value: unknown): void {
  if (f.kind === 'skip') return;
  if (f.kind === 'u64') {
    if (typeof value !== 'bigint' || value < 0n || value >> 64n !== 0n) throw unfit(struct, name, f, value);
    view.setBigUint64(at, value, true);
  } else if (f.kind === 'bytes') {
    if (!(value instanceof Uint8Array) || value.length !== f.size) throw unfit(struct, name, f, value);
    new Uint8Array(view.buffer, view.byteOffset + at, f.size).set(value);
  } else if (f.kind === 'text') {
    if (typeof value !== 'string') throw unfit(struct, name, f, value);
    const encoded = new TextEncoder().encode(value);
    if (encoded.length > f.size) throw unfit(struct, name, f, value);
    new Uint8Array(view.buffer, view.byteOffset + at, f.size).set(encoded);
  } else {
    const limit = WIDTH_LIMIT[f.kind] ?? 0;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > limit) {
      throw unfit(struct, name, f, value);
    }
    if (f.kind === 'u8') view.setUint8(at, value);
    else if (f.kind === 'u16') view.setUint16(at, value, true);
    else if (f.kind === 'u32') view.setUint32(at, value, true);
    else view.setUint16(at, value, false);
  }
}

function read(view: DataView, at: number, f: Field): unknown {
  switch (f.kind) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'u64':
      return view.getBigUint64(at, true);
    case 'be16':
      return view.getUint16(at, false);
    case 'bytes':
      return new Uint8Array(view.buffer, view.byteOffset + at, f.size).slice();
    case 'text':
      return textOf(new Uint8Array(view.buffer, view.byteOffset + at, f.size));
    case 'skip':
      return undefined;
  }
}

const decoder = new TextDecoder();

function textOf(padded: Uint8Array): string {
  const end = padded.indexOf(0);
  return decoder.decode(end < 0 ? padded : padded.subarray(0, end));
}

function unfit(struct: string, name: string, f: Field, value: unknown): RangeError {
  const found = value instanceof Uint8Array ? `${value.length} bytes` : String(value);
  return new RangeError(`Cannot encode ${struct}.${name}: found ${found}, wanted ${f.kind} of ${f.size} bytes`);
}

/** Makes a layout and its codec. */
export function layout<const F extends Fields>(name: string, size: number, fields: F): Layout<F> {
  const entries = Object.entries(fields);
  const encodeInto = (value: ValueOf<F>, target: Uint8Array, offset: number): void => {
    if (offset < 0 || target.length < offset + size) {
      throw new RangeError(`Cannot encode ${name}: found ${target.length - offset} bytes of room, wanted ${size}`);
    }
    target.fill(0, offset, offset + size);
    const view = new DataView(target.buffer, target.byteOffset + offset, size);
    const values = value as Readonly<Record<string, unknown>>;
    for (const [key, f] of entries) write(view, f.offset, name, key, f, values[key]);
  };
  return {
    name,
    size,
    fields,
    encodeInto,
    encode(value) {
      const out = new Uint8Array(size);
      encodeInto(value, out, 0);
      return out;
    },
    decode(source, offset = 0) {
      if (offset < 0 || source.length < offset + size) {
        throw new RangeError(`Cannot decode ${name}: found ${source.length - offset} bytes, wanted ${size}`);
      }
      const view = new DataView(source.buffer, source.byteOffset + offset, size);
      const out: Record<string, unknown> = {};
      for (const [key, f] of entries) if (f.kind !== 'skip') out[key] = read(view, f.offset, f);
      return out as ValueOf<F>;
    },
  };
}

/** The name a field has in C: camelCase to snake_case, be16 with its suffix. */
export function cName(key: string, f: Field): string {
  const snake = key.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
  return f.kind === 'be16' ? `${snake}_be` : snake;
}
