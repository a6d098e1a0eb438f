import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { CliError, ExitCode, usageError } from '../errors.js';
import { type Io, readAll } from '../io.js';

/** A policy file as sent and as the operator knows it. */
export interface SourceFile {
  /** Name in the policy: relative, "/" between folders. */
  name: string;
  /** Path as the operator named it, for messages. */
  path: string;
  content: string;
}

/** Files of one command line. */
export interface SourceFiles {
  files: SourceFile[];
  /** True when exactly one folder was named: then the files are the whole policy unless said otherwise. */
  wholeFolder: boolean;
}

/** What kind of files a command reads. */
export interface FileKind {
  /** For messages: "Cannot read <noun>". */
  noun: string;
  /** Of names below a folder. */
  pattern: RegExp;
  /** What the pattern means, for messages. */
  wanted: string;
}

const policy: FileKind = { noun: 'policy', pattern: /\.ya?ml$/, wanted: '.yaml or .yml' };

const bytesMax = 16 * 1024 * 1024;

/**
 * Collects policy files. A folder gives every .yaml and .yml below it, named relative to it; hidden files and folders are skipped.
 * A file is named relative to `base`, or by its last part without one. Errors: exit code 4 for what does not exist, 2 for a folder
 * without files, names that come twice, and text that is not UTF-8.
 */
export async function readPolicyFiles(
  io: Io,
  paths: readonly string[],
  base: string | undefined,
  kind: FileKind = policy,
): Promise<SourceFiles> {
  const files: SourceFile[] = [];
  let folders = 0;
  for (const path of paths) {
    if (path === '-') {
      files.push({ name: 'stdin.yaml', path: '-', content: await readStdin(io, kind) });
      continue;
    }
    if (await isFolder(path, kind)) {
      folders += 1;
      const names = await filesBelow(path, kind);
      if (names.length === 0)
        throw usageError(`Cannot read ${kind.noun}`, 'found no files', `a ${kind.wanted} file`, { where: path });
      for (const name of names) files.push(await readSource(name, join(path, name), kind));
      continue;
    }
    const name = base === undefined ? basename(path) : relative(base, path).split(sep).join('/');
    if (name.startsWith('..'))
      throw usageError('Cannot name the policy file', 'found a file outside --base', `a file below ${base}`, {
        where: path,
      });
    files.push(await readSource(name, path, kind));
  }
  const seen = new Map<string, string>();
  for (const { name, path } of files) {
    const other = seen.get(name);
    if (other !== undefined)
      throw usageError('Cannot name the policy files', `found ${name} twice`, 'names that differ', {
        where: `${other}, ${path}`,
      });
    seen.set(name, path);
  }
  return { files, wholeFolder: folders === 1 && paths.length === 1 };
}

/** Names of files of this kind below a folder, relative to it, sorted. */
async function filesBelow(folder: string, kind: FileKind, prefix = ''): Promise<string[]> {
  const names: string[] = [];
  for (const entry of (await readdir(join(folder, prefix))).sort()) {
    if (entry.startsWith('.')) continue;
    const name = `${prefix}${entry}`;
    const info = await stat(join(folder, name));
    if (info.isDirectory()) names.push(...(await filesBelow(folder, kind, `${name}/`)));
    else if (kind.pattern.test(entry)) names.push(name);
  }
  return names;
}

async function isFolder(path: string, kind: FileKind): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError(error, path, kind);
  }
}

async function readSource(name: string, path: string, kind: FileKind): Promise<SourceFile> {
  try {
    const bytes = await readFile(path);
    return { name, path, content: decode(bytes, path, kind) };
  } catch (error) {
    throw error instanceof CliError ? error : fileError(error, path, kind);
  }
}

async function readStdin(io: Io, kind: FileKind): Promise<string> {
  const text = await readAll(io.stdin, bytesMax);
  if (text === undefined)
    throw usageError(`Cannot read ${kind.noun}`, `found more than ${bytesMax} bytes`, 'less', {
      where: 'standard input',
    });
  return text;
}

/** UTF-8, strictly: the place of the first bad byte is told. */
function decode(bytes: Buffer, path: string, kind: FileKind): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    const good = bytes.toString('utf8').indexOf('\ufffd');
    const line = bytes.toString('utf8').slice(0, good).split('\n').length;
    throw usageError(`Cannot read ${kind.noun}`, 'found bytes that are no text', 'UTF-8', { where: `${path}:${line}` });
  }
}

function fileError(error: unknown, path: string, kind: FileKind): CliError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  return new CliError({
    code: 'RF_CLI_FILE',
    what: `Cannot read ${kind.noun}`,
    found: `found ${missing ? 'no such file' : code}`,
    wanted: `a ${kind.wanted} file or a folder of them`,
    where: path,
    exit: missing ? ExitCode.notFound : ExitCode.usage,
    cause: error,
  });
}
