// Issue 2, must show 3: every line of the demo is as expected. It runs as an operator would run it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { run } from '../src/exec.js';
import { repository } from '../src/paths.js';

it('make demo: every line as expected, exit code 0', async () => {
  await run('npx', ['--no-install', 'tsc', '-b', 'lab', 'controller', 'agent', 'cli'], {
    cwd: repository,
    timeoutMs: 300_000,
  });
  const { code, out } = await new Promise<{ code: number | string; out: string }>((resolve) => {
    const demo = [join(repository, 'lab', 'dist', 'demo', 'main.js')];
    execFile(process.execPath, demo, { timeout: 240_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal ?? 'killed') : 0, out: `${stdout}${stderr}` });
    });
  });
  expect(out).not.toContain('DIFFERS');
  expect(out).toMatch(/(\d+) of \1 as expected/);
  expect(code, out).toBe(0);
}, 600_000);
