import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatKey, keyIdBytes, keySecretBytes, parseKey, redactKeys } from './key-text.js';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const anyKey = fc.tuple(bytes(keyIdBytes), bytes(keySecretBytes)).map(([id, secret]) => formatKey(id, secret));

describe('key text', () => {
  test('formatKey then parseKey gives a key of 256 bits back', () => {
    fc.assert(
      fc.property(anyKey, (text) => {
        const parsed = parseKey(`  ${text}\n`);
        expect(parsed.ok && `rfk1_${parsed.key.id}_${parsed.key.secret}`).toBe(text.slice(0, -8));
      }),
    );
  });

  test('different secrets give different keys', () => {
    const id = new Uint8Array(keyIdBytes);
    const one = new Uint8Array(keySecretBytes);
    for (let bit = 0; bit < 256; bit += 1) {
      const other = new Uint8Array(keySecretBytes);
      other[bit >> 3] = 1 << (bit & 7);
      expect(formatKey(id, other)).not.toBe(formatKey(id, one));
    }
  });

  test('one changed character is a typing error, never another key', () => {
    fc.assert(
      fc.property(anyKey, fc.nat(), fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz'), (text, at, character) => {
        const index = 5 + (at % (text.length - 5));
        fc.pre(text[index] !== '_' && text[index] !== character);
        expect(parseKey(text.slice(0, index) + character + text.slice(index + 1)).ok).toBe(false);
      }),
    );
  });

  test.each([
    ['', 'wrong-prefix'],
    ['hunter2', 'wrong-prefix'],
    ['rfk1_short', 'wrong-length'],
    [`rfk1_${'0'.repeat(10)}_${'u'.repeat(52)}_${'0'.repeat(7)}`, 'wrong-character'],
    [`rfk1_${'0'.repeat(10)}_${'0'.repeat(52)}_${'0'.repeat(7)}`, 'wrong-checksum'],
  ])('parseKey(%j) says %s', (text, problem) => {
    expect(parseKey(text)).toEqual({ ok: false, problem });
  });

  test('redactKeys leaves the id and takes the secret', () => {
    fc.assert(
      fc.property(anyKey, (text) => {
        const redacted = redactKeys(`found ${text} in a label`);
        expect(redacted).toContain(text.slice(0, 15));
        expect(redacted).not.toContain(text.slice(16, 40));
      }),
    );
  });
});
