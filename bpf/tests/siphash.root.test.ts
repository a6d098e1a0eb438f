// The programs' SipHash in the kernel: against the published vector of its length, and against ts/siphash.ts, which holds itself to
// all of them.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { BpfObject, type BpfProgram } from '@ringfence/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sipHash24 } from '../ts/index.js';

let object: BpfObject;
let program: BpfProgram;

beforeAll(() => {
  object = BpfObject.open(fileURLToPath(new URL('../build/tests/siphash.bpf.o', import.meta.url)));
  object.load();
  program = object.program('rf_test_siphash');
});
afterAll(() => {
  program.close();
  object.close();
});

function inKernel(key: Uint8Array, message: Uint8Array): bigint {
  const { retval, data } = program.testRun({ data: Buffer.concat([key, message]) });
  expect(retval).toBe(0);
  return new DataView(data.buffer, data.byteOffset).getBigUint64(0, true);
}

describe('rf_siphash', () => {
  it('the published vector of 40 bytes, comes out', () => {
    const counting = Uint8Array.from({ length: 56 }, (_, i) => i);
    expect(inKernel(counting.subarray(0, 16), counting.subarray(0, 40))).toBe(0x0e3ea96b5304a7d0n);
  });

  it('1000 random keys and messages, hash as in TypeScript', () => {
    for (let i = 0; i < 1000; i += 1) {
      const [key, message] = [randomBytes(16), randomBytes(40)];
      expect([key, message, inKernel(key, message)]).toEqual([key, message, sipHash24(key, message)]);
    }
  });
});
