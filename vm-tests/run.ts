// make vm-test: boots each kernel of kernels.txt and prints what works on it.
// Usage: run.js [--objects] [SERIES…]     for example: run.js 5.10 6.12. --objects: features and verifier, no packets.
// Ends with 1 when a check failed or a kernel was not to be had. Everything it makes is under vm-tests/.cache.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Apt } from './host/apt.js';
import { bootGuest } from './host/boot.js';
import { baseImage, modulesImage } from './host/image.js';
import { type KernelLine, newest, parseKernels } from './host/kernels.js';
import { collectModules, findKernel } from './host/modules.js';
import { type Column, hasFailure, renderNotes, renderTable } from './host/table.js';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = join(REPOSITORY, 'vm-tests/.cache');
const TIMEOUT_MS = 900_000;
const only = process.argv.includes('--objects') ? 'objects' : 'all';

const say = (text: string) => process.stderr.write(`vm-test: ${text}\n`);

/** Directory with the unpacked kernel. */
function fetchKernel(apt: Apt, { series, suite, packages }: KernelLine): string {
  const names = packages.map((pattern) => {
    const name = newest(pattern, apt.names(pattern.split('*')[0] ?? ''));
    if (name === undefined) throw new Error(`Cannot find kernel ${series}: found no ${pattern} in ${suite}`);
    return name;
  });
  const root = join(CACHE, 'kernels', names.join('+'));
  if (existsSync(root)) return root;
  const files = names.map((name) => apt.download(name, suite));
  const fresh = `${root}-new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  for (const file of files) execFileSync('dpkg', ['-x', file, fresh]);
  execFileSync('mv', [fresh, root]);
  return root;
}

async function tryKernel(apt: Apt, line: KernelLine, base: Buffer): Promise<Column> {
  const dir = join(CACHE, 'runs', line.series);
  mkdirSync(dir, { recursive: true });
  try {
    const { image, modules } = findKernel(fetchKernel(apt, line));
    const initrd = join(dir, 'initrd');
    writeFileSync(initrd, Buffer.concat([base, padding(base.length), modulesImage(collectModules(modules))]));
    const { lines, seconds, problem } = await bootGuest(image, initrd, dir, TIMEOUT_MS, only);
    rmSync(initrd);
    const release = lines.find((l) => l.kind === 'start')?.release ?? 'no checks';
    say(`${line.series}: ${release}, ${seconds.toFixed(1)} s${problem === '' ? '' : `, ${problem}`}`);
    return { series: line.series, lines, problem };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    say(`${line.series}: ${problem}`);
    return { series: line.series, lines: [], problem };
  }
}

/** Images that follow a compressed one start at a multiple of four. */
function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

const asked = process.argv.slice(2).filter((word) => word !== '--objects');
const all = parseKernels(readFileSync(join(REPOSITORY, 'vm-tests/kernels.txt'), 'utf8'));
const unknown = asked.filter((series) => !all.some((line) => line.series === series));
if (unknown.length > 0) {
  say(`Cannot try ${unknown.join(', ')}: found ${all.map((line) => line.series).join(', ')} in kernels.txt`);
  process.exit(2);
}
const chosen = asked.length === 0 ? all : all.filter((line) => asked.includes(line.series));
const apt = new Apt(join(CACHE, 'apt'), [...new Set(all.map((line) => line.suite))]);
apt.update();
const base = baseImage(REPOSITORY);
const columns: Column[] = [];
// One at a time: emulation is slow enough alone.
for (const line of chosen) columns.push(await tryKernel(apt, line, base));
writeFileSync(join(CACHE, 'results.json'), JSON.stringify(columns, undefined, 1));
process.stdout.write(`${renderTable(columns)}\n\n${renderNotes(columns)}\n`);
process.exit(hasFailure(columns) ? 1 : 0);
