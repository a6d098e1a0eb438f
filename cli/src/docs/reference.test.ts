import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { App } from '../app.js';
import { buildProgram } from '../program.js';
import { TestTerminal } from '../testing/terminal.js';
import { referenceOf } from './reference.js';

test('docs/cli.md is what the command definitions say (next: cli/gen.sh)', async () => {
  const app = new App(new TestTerminal().io);
  buildProgram(app);
  const program = await app.definitions();
  expect(referenceOf(program)).toBe(await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8'));
});
