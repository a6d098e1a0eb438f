import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { NativeError, type NativeErrorCode } from './error.js';
import { ensureBpffs } from './kernel.js';

/** Path of a test program built by native/build.sh. */
export function testProgram(name: string): string {
  return fileURLToPath(new URL(`../build/${name}.bpf.o`, import.meta.url));
}

export const addonPath = fileURLToPath(new URL('../build/Release/ringfence.node', import.meta.url));

/** A key or value of little-endian numbers. */
export function u32(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

export function u64(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

export function readU64(bytes: Uint8Array | undefined, index = 0): bigint | undefined {
  return bytes && new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(8 * index, true);
}

/** The error that fn throws; fails unless it is a NativeError of that code whose message follows the house form. */
export function thrownBy(fn: () => unknown, code: NativeErrorCode): NativeError {
  try {
    fn();
  } catch (error) {
    expect(error).toBeInstanceOf(NativeError);
    const native = error as NativeError;
    expect({ code: native.code, message: native.message }).toMatchObject({ code });
    expect(native.message).toMatch(/^Cannot .+: .+/);
    return native;
  }
  throw new Error(`found no error, wanted ${code}`);
}

/** A network namespace with lo up, gone after remove(). Leftovers of a crashed run are removed first. */
export function makeNetns(name: string): { name: string; path: string; remove(): void } {
  const path = `/run/netns/rfnat-${name}`;
  const remove = (): void => {
    if (existsSync(path)) execFileSync('ip', ['netns', 'del', `rfnat-${name}`]);
  };
  remove();
  execFileSync('ip', ['netns', 'add', `rfnat-${name}`]);
  execFileSync('ip', ['-n', `rfnat-${name}`, 'link', 'set', 'lo', 'up']);
  return { name: `rfnat-${name}`, path, remove };
}

/** An own bpffs, so that no test meets the machine's pins; unmounting it drops every pin in it. */
export function makeBpffs(name: string): { path: string; remove(): void } {
  const path = `/run/rfnat-bpf-${name}`;
  const remove = (): void => {
    if (!existsSync(path)) return;
    try {
      execFileSync('umount', [path], { stdio: 'ignore' });
    } catch {
      // Not mounted: a crash between mkdir and mount.
    }
    execFileSync('rmdir', [path]);
  };
  remove();
  ensureBpffs(path);
  return { path, remove };
}

/** Polls until fn gives something other than undefined or false. */
export async function eventually<T>(what: string, fn: () => T | undefined | false, timeoutMs = 20_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = fn();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`found no ${what} within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
