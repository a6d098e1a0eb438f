import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ConnectionIndex, KEY_WORDS } from './connection-index.js';

it('ConnectionIndex behaves as a map of bounded size under any order of inserts and removes', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 40 })), { maxLength: 400 });
  fc.assert(
    fc.property(steps, (operations) => {
      const index = new ConnectionIndex(24);
      const model = new Map<number, number>();
      const key = (n: number) => Uint32Array.from({ length: KEY_WORDS }, (_, i) => (i === 9 ? n : i * 7));
      for (const [insert, n] of operations) {
        const row = index.find(key(n));
        expect(row).toBe(model.get(n) ?? -1);
        if (insert && row < 0) {
          const made = index.insert(key(n));
          if (model.size === 24) expect(made).toBe(-1);
          else {
            expect([...model.values()]).not.toContain(made);
            model.set(n, made);
          }
        } else if (!insert && row >= 0) {
          index.remove(row);
          model.delete(n);
        }
        expect(index.size).toBe(model.size);
      }
      for (const [n, row] of model) expect(index.find(key(n))).toBe(row);
    }),
  );
});
