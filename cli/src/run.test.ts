import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { App } from './app.js';
import { treeOf, walk } from './completion/tree.js';
import { ExitCode, exitCodeMeanings } from './errors.js';
import { buildProgram } from './program.js';
import { TestTerminal } from './testing/terminal.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let program: Command;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-run-'));
  const app = new App(new TestTerminal().io);
  buildProgram(app);
  program = await app.definitions();
});
afterAll(() => rm(folder, { recursive: true }));

test('version, --version and -V say the version of the package', async () => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  for (const args of [['version'], ['--version'], ['-V']]) {
    const terminal = new TestTerminal();
    expect(await terminal.run(...args)).toBe(0);
    expect(terminal.stdout.text).toBe(`ringfence ${version}\n`);
  }
  const json = new TestTerminal();
  expect(await json.run('version', '-o', 'jsonl')).toBe(0);
  expect(JSON.parse(json.stdout.text)).toEqual({ version, node: process.versions.node });
});

describe('usage errors: exit code 2, the problem, and which help to read', () => {
  test.each([
    [['hots'], "unknown command 'hots' (Did you mean host?)", 'ringfence --help'],
    [['flows', 'tial'], "unknown command 'tial' (Did you mean tail?)", 'ringfence flows --help'],
    [
      ['workload', 'list', '--lable', 'x'],
      "unknown option '--lable' (Did you mean --label?)",
      'ringfence workload list --help',
    ],
    [['status', '-o', 'xml'], 'Allowed choices are table, compact, json, jsonl.', 'ringfence status --help'],
    [['explain', 'a'], "missing required argument 'destination'", 'ringfence explain --help'],
    [['status', 'extra'], 'too many arguments', 'ringfence status --help'],
    [['status', '--timeout', '0'], 'Wanted seconds', 'ringfence status --help'],
    [['explain', 'a', 'b', 'tcp'], 'Cannot read the service', ''],
    [['host', 'token', 'create', '--ttl', 'soon'], '--ttl', ''],
    [['completion', 'csh'], 'Allowed choices are bash, zsh, fish.', 'ringfence completion --help'],
  ])('%j', async (args, text, next) => {
    const terminal = new TestTerminal();
    expect(await terminal.run(...args)).toBe(2);
    expect(terminal.stdout.text).toBe('');
    expect(terminal.stderr.text).toContain(text);
    if (next !== '') expect(terminal.stderr.text).toContain(`next:  ${next}`);
  });

  test('a group without a command shows its help on standard error', async () => {
    const terminal = new TestTerminal();
    expect(await terminal.run('host')).toBe(2);
    expect(terminal.stderr.text).toContain('Usage: ringfence host');
  });
});

test('help of a command is the same by --help and by help', async () => {
  const [one, other] = [new TestTerminal(), new TestTerminal()];
  expect([await one.run('flows', 'tail', '--help'), await other.run('help', 'flows', 'tail')]).toEqual([0, 0]);
  expect(one.stdout.text).toContain('--src-label');
  expect(other.stdout.text).toBe(one.stdout.text);
});

test('no context: exit code 3 and colour only where it belongs', async () => {
  const args = ['status', '--context', join(folder, 'none.json')];
  const coloured = new TestTerminal({ columns: 80 });
  expect(await coloured.run(...args)).toBe(3);
  expect(coloured.stderr.text).toContain('\u001b[31m');
  for (const [settings, more] of [
    [{ columns: 80, env: { NO_COLOR: '1' } }, []],
    [{ columns: 80 }, ['--no-color']],
    [{}, []],
  ] as const) {
    const plain = new TestTerminal(settings);
    expect(await plain.run(...args, ...more)).toBe(3);
    expect(plain.stderr.text).not.toContain('\u001b');
  }
});

test('every exit code is documented, once', () => {
  expect(exitCodeMeanings.map(([code]) => code)).toEqual(Object.values(ExitCode));
});

test('every command has a description, and no option hides one that all commands have', () => {
  const shared = new Set(program.options.flatMap(({ long, short }) => [long, short]).filter(Boolean));
  const visit = (command: Command): void => {
    expect(command.description(), command.name()).not.toBe('');
    if (command !== program)
      for (const { long, short } of command.options)
        expect([shared.has(long ?? ''), shared.has(short ?? '')], command.name()).toEqual([false, false]);
    command.commands.forEach(visit);
  };
  visit(program);
});

test('no command takes a secret as an argument', () => {
  for (const { node } of walk(treeOf(program))) {
    for (const option of node.options.filter(({ takesValue }) => takesValue)) {
      expect(option.names[0]).not.toMatch(/--(token|key|password|secret)$/);
    }
  }
});

test('starting for `version` loads neither gRPC nor generated code nor YAML', async () => {
  await stat(new URL('../dist/main.js', import.meta.url)).catch(() =>
    execFileSync('npx', ['--no-install', 'tsc', '-b', 'cli'], { cwd: new URL('../..', import.meta.url) }),
  );
  const hook = join(folder, 'hook.mjs');
  await writeFile(
    hook,
    `import { registerHooks } from 'node:module';
registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`,
  );
  const main = new URL('../dist/main.js', import.meta.url).pathname;
  const { spawnSync } = await import('node:child_process');
  const { stderr, stdout, status } = spawnSync(process.execPath, ['--import', hook, main, 'version'], {
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^ringfence /)]);
  expect(stderr).toContain('commander');
  expect(stderr).not.toMatch(/grpc|proto\/(dist|gen)|\/yaml\//);
});
