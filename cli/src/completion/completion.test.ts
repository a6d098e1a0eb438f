import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { TestTerminal } from '../testing/terminal.js';
import { fishScript } from './fish.js';
import { type CommandNode, walk } from './tree.js';
import { zshScript } from './zsh.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let bash: string;

beforeAll(async () => {
  const terminal = new TestTerminal();
  expect(await terminal.run('completion', 'bash')).toBe(0);
  bash = terminal.stdout.text;
});

/** What bash offers for a line; the last word is the one being completed. */
function offered(...words: string[]): string[] {
  const script = `${bash}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _ringfence; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', script, 'bash', ...words], {
    encoding: 'utf8',
    cwd: '/etc',
  });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter(Boolean);
}

describe('bash', () => {
  test('offers commands, then their subcommands', () => {
    expect(offered('ringfence', '')).toEqual(expect.arrayContaining(['status', 'host', 'policy', 'flows', 'version']));
    expect(offered('ringfence', 'po')).toEqual(['policy']);
    expect(offered('ringfence', 'host', 't')).toEqual(['token']);
    expect(offered('ringfence', 'host', 'token', '')).toEqual(['create', 'list', 'revoke']);
  });

  test('sees commands behind options and their values', () => {
    expect(offered('ringfence', '-o', 'json', '--wide', 'flows', 'ta')).toEqual(['tail']);
  });

  test('offers options of the command and of all commands', () => {
    expect(offered('ringfence', 'flows', 'tail', '--src')).toEqual([
      '--src-label',
      '--src-workload',
      '--src-address',
      '--src-host',
      '--src-port',
    ]);
    expect(offered('ringfence', 'version', '--no')).toEqual(['--no-color']);
  });

  test('offers the values of options that have a choice, and files where a path goes', () => {
    expect(offered('ringfence', 'host', 'list', '-o', '')).toEqual(['table', 'compact', 'json', 'jsonl']);
    expect(offered('ringfence', 'explain', 'a', 'b', 'tcp/1', '--expect', 'w')).toEqual(['would-block']);
    expect(offered('ringfence', 'policy', 'apply', '-f', 'passw')).toContain('passwd');
    expect(offered('ringfence', 'completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  test('offers nothing for a value that only the operator knows', () => {
    expect(offered('ringfence', 'flows', 'tail', '--src-workload', '')).toEqual([]);
  });
});

/** A tree with every trouble for quoting. */
const tree: CommandNode = {
  name: 'ringfence',
  summary: 'root',
  options: [
    { names: ['--output', '-o'], description: "it's [odd]: x", takesValue: true, choices: ['a', 'b'], path: false },
  ],
  choices: [],
  path: false,
  children: [
    {
      name: 'do-it',
      summary: "does: what's wanted",
      options: [{ names: ['--file'], description: 'a file', takesValue: true, choices: [], path: true }],
      choices: ['x', 'y'],
      path: false,
      children: [],
    },
  ],
};

test('zsh: one function for each command, descriptions quoted', () => {
  expect(zshScript(tree)).toMatchInlineSnapshot(`
    "#compdef ringfence
    # zsh completion of ringfence; made by \`ringfence completion zsh\`
    _ringfence() {
      local state line
      _arguments -C '*--output[it'\\''s \\[odd\\]\\: x]:value:(a b)' '*-o[it'\\''s \\[odd\\]\\: x]:value:(a b)' '1:command:->command' '*::argument:->argument'
      case $state in
        command) local -a commands=('do-it:does\\: what'\\''s wanted'); _describe command commands;;
        argument) case $line[1] in
          do-it) _ringfence_do_it;;
        esac;;
      esac
    }
    _ringfence_do_it() {
      _arguments -s '*--file[a file]:file:_files' '*--output[it'\\''s \\[odd\\]\\: x]:value:(a b)' '*-o[it'\\''s \\[odd\\]\\: x]:value:(a b)' '*:value:(x y)'
    }
    if [ "$funcstack[1]" = "_ringfence" ]; then _ringfence "$@"; else compdef _ringfence ringfence; fi
    "
  `);
});

test('fish: conditions by command, descriptions quoted', () => {
  expect(fishScript(tree)).toMatchInlineSnapshot(`
    "# fish completion of ringfence; made by \`ringfence completion fish\`
    complete -c ringfence -f
    complete -c ringfence -n 'not __fish_seen_subcommand_from do-it' -a 'do-it' -d 'does: what\\'s wanted'
    complete -c ringfence -l output -s o -x -a 'a b' -d 'it\\'s [odd]: x'
    complete -c ringfence -n '__fish_seen_subcommand_from do-it' -a 'x y'
    complete -c ringfence -n '__fish_seen_subcommand_from do-it' -l file -r -F -d 'a file'
    "
  `);
});

test('zsh and fish speak of every command there is', async () => {
  const { App } = await import('../app.js');
  const { buildProgram } = await import('../program.js');
  const { treeOf } = await import('./tree.js');
  const app = new App(new TestTerminal().io);
  buildProgram(app);
  const program = await app.definitions();
  const root = treeOf(program);
  const [zsh, fish] = [zshScript(root), fishScript(root)];
  for (const { path, node } of walk(root).slice(1)) {
    expect(zsh).toContain(`_ringfence_${path.join('_').replaceAll('-', '_')}()`);
    expect(fish).toContain(`-a '${node.name}'`);
  }
});
