import { describe, expect, it } from 'vitest';
import { DeadlineError, HopelessError, until } from './until.js';

describe('until', () => {
  it('returns the first value that is not undefined, null or false; 0 and "" are values', async () => {
    const values = [undefined, null, false, 0];
    expect(await until('a value', () => values.shift(), { intervalMs: 1 })).toBe(0);
  });

  it('counts an error as not yet, and names the last one when time runs out', async () => {
    const probe = () => {
      throw new Error('still missing db');
    };
    const failed = until('workloads', probe, { timeoutMs: 5, intervalMs: 1 });
    await expect(failed).rejects.toThrow(DeadlineError);
    await expect(failed).rejects.toThrow(/Cannot wait longer for workloads: .*still missing db/);
  });

  it('passes a HopelessError on at once', async () => {
    let looks = 0;
    const probe = () => {
      looks += 1;
      throw new HopelessError('it ended');
    };
    await expect(until('a process', probe)).rejects.toThrow('it ended');
    expect(looks).toBe(1);
  });
});
