import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formatRow, reachReport } from './reach.js';

const folder = new URL('../../../../docs/reach/', import.meta.url);
const examples = readdirSync(folder)
  .filter((file) => file.endsWith('.txt'))
  .map((file) => file.slice(0, -'.txt'.length));

describe('docs/reach', () => {
  it('has examples', () => {
    expect(examples.length).toBeGreaterThanOrEqual(3);
  });

  it.each(examples)('%s is what reach prints', (name) => {
    const files = [`${name}.yaml`, `${name}.policy.yaml`]
      .filter((file) => existsSync(new URL(file, folder)))
      .map((file) => ({ name: file, text: readFileSync(new URL(file, folder), 'utf8') }));
    const { rows, problems } = reachReport(files, 0);
    expect(problems).toEqual([]);
    expect(`${rows.map(formatRow).join('\n')}\n`).toBe(readFileSync(new URL(`${name}.txt`, folder), 'utf8'));
  });
});
