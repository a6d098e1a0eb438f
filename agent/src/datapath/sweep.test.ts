import { EVENT_BYTES } from '@ringfence/bpf';
import type { BpfMap, BpfProgram } from '@ringfence/native';
import { expect, it } from 'vitest';
import { sweepRecords } from './sweep.js';

it.each([262_144, 1_048_576])('sweepRecords takes a report of every one of %i flows', (maxEntries) => {
  let bound = 0;
  const program = {
    iterate: ({ maxBytes = 64 << 20 }: { maxBytes?: number }) => {
      bound = maxBytes;
      return Buffer.alloc(0);
    },
  };
  sweepRecords(program as unknown as BpfProgram, { info: { maxEntries } } as unknown as BpfMap);
  expect(bound).toBeGreaterThanOrEqual(maxEntries * EVENT_BYTES);
});
