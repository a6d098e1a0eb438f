import { FlowUploadMessage, LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type FlowRow, flowColumns } from '../testing/flow-columns.js';
import { columnsProblem } from './decode.js';
import { decodeUpload } from './upload-message.js';

const row = fc.record({
  workload: fc.string({ maxLength: 20 }),
  local: fc.ipV4(),
  remote: fc.constantFrom('fd00::7', '10.1.2.3', '192.0.2.255'),
  localPort: fc.nat(65_535),
  pid: fc.nat(),
  process: fc.string({ maxLength: 16 }),
  bytesIn: fc.nat(Number.MAX_SAFE_INTEGER),
});

test('what it reads is what the generated decoder reads, wherever the bytes lie', () => {
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 40 }),
      fc.nat(2 ** 40),
      fc.option(fc.nat(1000)),
      fc.nat(7),
      (rows, sequence, lost, offset) => {
        const message = FlowUploadMessage.fromPartial({
          run: Buffer.alloc(16, 3),
          sequence: BigInt(sequence),
          flows: rows.length === 0 ? undefined : flowColumns(rows as FlowRow[]),
          loss: lost === null ? undefined : LossCounters.fromPartial({ ringDropped: BigInt(lost) }),
        });
        const encoded = FlowUploadMessage.encode(message).finish();
        const moved = new Uint8Array(encoded.length + offset);
        moved.set(encoded, offset);
        const decoded = decodeUpload(moved.subarray(offset));
        expect(decoded).toEqual(FlowUploadMessage.decode(encoded));
        if (decoded.flows !== undefined) expect(columnsProblem(decoded.flows)).toBeUndefined();
      },
    ),
  );
});

test('fields that it does not know are passed over, bytes that are cut short are refused', () => {
  const encoded = FlowUploadMessage.encode(
    FlowUploadMessage.fromPartial({
      run: Buffer.alloc(16, 3),
      sequence: 9n,
      flows: flowColumns([{ workload: 'w', local: '10.0.0.1', remote: '10.0.0.2' }]),
    }),
  ).finish();
  // Field 99, four bytes.
  const newer = Buffer.concat([encoded, Buffer.from([0x9a, 0x06, 4, 1, 2, 3, 4])]);
  expect(decodeUpload(newer)).toEqual(FlowUploadMessage.decode(encoded));
  for (const cut of [1, 5, 20, encoded.length - 30]) {
    expect(() => decodeUpload(encoded.subarray(0, encoded.length - cut)), String(cut)).toThrow();
  }
});
