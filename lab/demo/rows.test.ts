import { describe, expect, it } from 'vitest';
import { RowPrinter } from './rows.js';

function printed(act: (print: RowPrinter) => void): { lines: string[]; ok: boolean } {
  const lines: string[] = [];
  const print = new RowPrinter((line) => lines.push(line), false);
  act(print);
  return { ok: print.finish(), lines };
}

describe('RowPrinter', () => {
  it('aligns columns and says how many rows were as expected', () => {
    const { lines, ok } = printed((print) => {
      print.row({ what: 'a -> b', expected: 'allowed', actual: 'answered in 0.2 ms', ok: true });
      print.row({ what: 'a longer one -> b', expected: 'blocked', actual: 'EPERM after 0.1 ms', ok: true });
    });
    expect(ok).toBe(true);
    expect(lines[0]?.indexOf('answered')).toBe(lines[1]?.indexOf('EPERM'));
    expect(lines.at(-1)).toContain('2 of 2 as expected');
  });

  it('one row that differs makes the whole differ', () => {
    const { lines, ok } = printed((print) => {
      print.row({ what: 'x', expected: 'blocked', actual: 'answered', ok: false });
      print.row({ what: 'y', expected: 'blocked', actual: 'EPERM', ok: true });
    });
    expect(ok).toBe(false);
    expect(lines[0]).toContain('DIFFERS');
    expect(lines.at(-1)).toContain('1 of 2 differ');
  });

  it('table() pads every column to its widest cell', () => {
    const { lines } = printed((print) =>
      print.table(
        ['source', 'n'],
        [
          ['web', '1'],
          ['a-long-name', '22'],
        ],
      ),
    );
    expect(lines.slice(0, 3)).toEqual(['  source       n', '  web          1', '  a-long-name  22']);
  });
});
