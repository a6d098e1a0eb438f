import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { App } from '../app.js';
import { buildProgram, loadAll } from '../program.js';
import { TestTerminal } from '../testing/terminal.js';
import { referenceOf } from './reference.js';

test('docs/cli.md is what the command definitions say (next: cli/gen.sh)', async () => {
  const program = buildProgram(new App(new TestTerminal().io));
  await loadAll(program);
  expect(referenceOf(program)).toBe(await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8'));
});
