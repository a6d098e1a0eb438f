import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './exec.js';
import { repository } from './paths.js';

const sources = join(repository, 'lab', 'tool');
const build = join(repository, 'lab', 'build');
let ready: Promise<string> | undefined;
let image: Promise<string> | undefined;

/** Names the sources by content, so that a changed tool is never mixed up with a built one. */
function digest(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(sources).sort()) hash.update(name).update(readFileSync(join(sources, name)));
  return hash.digest('hex').slice(0, 12);
}

async function compile(): Promise<string> {
  const file = join(build, `rflab-${digest()}`);
  if (existsSync(file)) return file;
  await mkdir(build, { recursive: true });
  const files = readdirSync(sources).flatMap((name) => (name.endsWith('.c') ? [join(sources, name)] : []));
  const part = `${file}.${process.pid}`;
  await run('gcc', [
    '-std=gnu17',
    '-O2',
    '-static',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-D_GNU_SOURCE',
    '-o',
    part,
    ...files,
  ]);
  // Two test processes may compile at once; the last rename wins with the same content.
  await rename(part, file);
  return file;
}

/** Path of the static rflab binary, compiled on first use and again when its sources changed. */
export function tool(): Promise<string> {
  ready ??= compile();
  return ready;
}

async function packImage(): Promise<string> {
  const binary = await tool();
  const tar = `${binary.replace('rflab-', 'image-')}.tar`;
  if (existsSync(tar)) return tar;
  const root = `${tar}.${process.pid}.root`;
  await mkdir(join(root, 'bin'), { recursive: true });
  for (const dir of ['proc', 'sys', 'dev', 'etc', 'tmp']) await mkdir(join(root, dir), { recursive: true });
  await run('cp', [binary, join(root, 'rflab')]);
  await run('cp', [busybox(), join(root, 'bin', 'busybox')]);
  for (const applet of ['sh', 'sleep', 'cat', 'ip', 'ls', 'nc', 'wget', 'httpd', 'ping', 'env', 'echo', 'true']) {
    await run('ln', ['-s', 'busybox', join(root, 'bin', applet)]);
  }
  await run('tar', ['-C', root, '-cf', `${root}.tar`, '.']);
  await rename(`${root}.tar`, tar);
  await rm(root, { recursive: true });
  return tar;
}

/**
 * A tar file with the root of the image that containers run: busybox and rflab, nothing else. It is made afresh for a new tool.
 */
export function imageTar(): Promise<string> {
  image ??= packImage();
  return image;
}

function busybox(): string {
  const found = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!found) throw new Error('Cannot build the container image: no busybox, wanted the package busybox-static');
  return found;
}
