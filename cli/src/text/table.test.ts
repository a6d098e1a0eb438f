import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { coloured, plain } from './style.js';
import { type Column, fitWidths, renderCompact, renderLine, renderTable } from './table.js';
import { displayWidth } from './width.js';

interface Row {
  name: string;
  count: number;
  note: string;
}

const columns: Column<Row>[] = [
  { title: 'NAME', cell: (r) => r.name, shrinkTo: 4, tone: () => 'strong' },
  { title: 'COUNT', cell: (r) => String(r.count), align: 'right' },
  { title: 'NOTE', cell: (r) => r.note, shrinkTo: 6 },
];
const rows: Row[] = [
  { name: 'web', count: 7, note: 'first' },
  { name: '数据库', count: 1234567, note: 'wide characters' },
  { name: 'evil\u001b[31m\nname', count: 0, note: '' },
];

describe('renderTable', () => {
  test('lines columns up, wide characters and escapes included', () => {
    expect(renderTable(columns, rows, plain, Number.POSITIVE_INFINITY)).toMatchInlineSnapshot(`
      "NAME                  COUNT  NOTE
      web                       7  first
      数据库              1234567  wide characters
      evil\\x1b[31m\\nname        0
      "
    `);
  });

  test('fits the terminal by shrinking the widest cells that may', () => {
    const text = renderTable(columns, rows, plain, 24);
    for (const line of text.trimEnd().split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(24);
    expect(text).toMatchInlineSnapshot(`
      "NAME      COUNT  NOTE
      web           7  first
      数据库  1234567  wide c…
      evil\\…        0
      "
    `);
  });

  test('with colour says the same', () => {
    const text = renderTable(columns, rows, coloured, 24);
    expect(text).toContain('\u001b[1m');
    expect(stripVTControlCharacters(text)).toBe(renderTable(columns, rows, plain, 24));
  });
});

test('fitWidths leaves columns that may not shrink, also when there is no room', () => {
  expect(fitWidths([10, 10], [undefined, 4], 12)).toEqual([10, 4]);
  expect(fitWidths([3, 3], [undefined, undefined], 1)).toEqual([3, 3]);
});

test('renderLine without cutting moves the rest of its line instead of losing text', () => {
  const row = { name: 'longer-than-4', count: 1, note: 'n' };
  expect(renderLine(columns, [4, 5, 6], row, plain, true)).toBe('lon…      1  n');
  expect(renderLine(columns, [4, 5, 6], row, plain, false)).toBe('longer-than-4      1  n');
});

test('renderCompact gives one line for each row, cells between tabs, "-" for nothing', () => {
  expect(renderCompact(columns, rows)).toBe(
    'web\t7\tfirst\n数据库\t1234567\twide characters\nevil\\x1b[31m\\nname\t0\t-\n',
  );
});
