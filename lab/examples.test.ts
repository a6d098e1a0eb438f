import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parsePolicy, provisionProblems } from '@ringfence/controller/policy/parse.js';
import { expect, test } from 'vitest';

const top = resolve(import.meta.dirname, '..');
const folders = [
  ...readdirSync(join(top, 'examples')).map((name) => join('examples', name)),
  'lab/demo/policy',
  'docs/examples/credit',
];

test.each(folders)('the policy in %s is one that can be provisioned', (folder) => {
  const names = readdirSync(join(top, folder)).filter((name) => name.endsWith('.yaml'));
  expect(names.length).toBeGreaterThan(0);
  const parsed = parsePolicy(
    names.map((name) => ({ name: join(folder, name), text: readFileSync(join(top, folder, name), 'utf8') })),
  );
  expect(parsed.problems).toEqual([]);
  expect(parsed.document && provisionProblems(parsed.document)).toEqual([]);
});
