import { NativeError } from './error.js';
import type { ObjectVariable, VariableValue } from './object.js';

/** Bytes and place of one global variable's new value. Throws RF_NOT_FOUND, RF_ARGUMENT. */
export function encodeVariable(
  variable: ObjectVariable | undefined,
  name: string,
  section: string,
  value: VariableValue,
): { offset: number; bytes: Uint8Array } {
  if (!variable) {
    throw new NativeError({
      code: 'RF_NOT_FOUND',
      message: `Cannot set variable ${name}: found none in ${section}, wanted a global of that section`,
      fields: { name, section },
    });
  }
  const { offset, size } = variable;
  if (value instanceof Uint8Array) {
    if (value.length !== size) throw unfit(name, `${value.length} bytes`, `exactly ${size}`);
    return { offset, bytes: value };
  }
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8) {
    throw unfit(name, 'one number', `${size} bytes, since it is no plain integer`);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw unfit(name, String(value), 'a whole number');
  const wide = BigInt(value);
  const bits = BigInt(size * 8);
  if (wide >= 1n << bits || wide < -(1n << (bits - 1n))) throw unfit(name, String(value), `${size * 8} bits`);
  const full = new Uint8Array(8);
  new DataView(full.buffer).setBigUint64(0, BigInt.asUintN(64, wide), true);
  return { offset, bytes: full.slice(0, size) };
}

function unfit(name: string, found: string, wanted: string): NativeError {
  return new NativeError({
    code: 'RF_ARGUMENT',
    message: `Cannot set variable ${name}: found ${found}, wanted ${wanted}`,
    fields: { name },
  });
}
