import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AgentError } from '../errors.js';
import { decodeState, encodeState, StateFile } from './state-file.js';

const directory = mkdtempSync(join(tmpdir(), 'rfag-state-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const value = {
  epoch: 'e1',
  revision: 7n,
  sets: [{ hash: '00ff', ports: [1, 2, 3] }],
  address: Uint8Array.of(10, 0, 0, 1),
  'key with | bar': { nested: true },
};

describe('state file', () => {
  it('gives back what was written, big numbers and bytes included', () => {
    const file = new StateFile(join(directory, 'a.cbor'), 1);
    expect(file.read()).toBeUndefined();
    file.write(value);
    file.write({ ...value, revision: 2n ** 63n });
    const read = file.read();
    expect(read).toMatchObject({ epoch: 'e1', revision: 2n ** 63n, sets: value.sets });
    expect(readdirSync(directory)).toEqual(['a.cbor']);
  });

  it('refuses a file cut at any byte', () => {
    const whole = encodeState(1, value);
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeState(whole.subarray(0, length), 1, 'f')).toThrow(
        expect.objectContaining({ code: 'RF_STATE_CORRUPT' }) as AgentError,
      );
    }
  });

  it('refuses a file with any byte changed or one added', () => {
    const whole = encodeState(1, value);
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x40, at);
      expect(() => decodeState(changed, 1, 'f')).toThrow(AgentError);
    }
    expect(() => decodeState(Buffer.concat([whole, Buffer.of(0)]), 1, 'f')).toThrow(/wanted/);
  });

  it('names a sound file of another version', () => {
    expect(() => decodeState(encodeState(2, value), 1, 'f')).toThrow(/found format 2, wanted 1/);
  });

  it('keeps the former value beside a half-written new one', () => {
    const path = join(directory, 'b.cbor');
    const file = new StateFile(path, 1);
    file.write(value);
    writeFileSync(`${path}.new`, readFileSync(path).subarray(0, 20)); // a crash before the rename
    expect(file.read()).toMatchObject({ epoch: 'e1' });
    file.write({ epoch: 'e2' });
    expect(file.read()).toEqual({ epoch: 'e2' });
  });
});
