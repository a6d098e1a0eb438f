import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { CliError, ExitCode } from '../errors.js';
import { type Identity, readIdentity } from './identity.js';

/** How to reach a controller and as whom. */
export interface Context {
  /** The file it came from. */
  file: string;
  /** host:port of the admin API. */
  address: string;
  /** Name that the server's certificate must carry. */
  serverName: string;
  /** Authority, certificate and key, checked to belong together. */
  identity: Identity;
}

/** The members of a context file. */
export interface ContextFile {
  address: string;
  caFile: string;
  certFile: string;
  keyFile: string;
  serverName: string;
}

const members = ['address', 'caFile', 'certFile', 'keyFile', 'serverName'] as const;
const howToGet =
  'the controller writes one to <state dir>/operator/context.json: copy that folder, or name it with --context';

/** Where a context is looked for when none is named, in order. */
export function contextCandidates(env: Readonly<Record<string, string | undefined>>, home: string): string[] {
  const config = env.XDG_CONFIG_HOME || (home === '' ? '' : join(home, '.config'));
  return [...(config === '' ? [] : [join(config, 'ringfence/context.json')]), '/etc/ringfence/context.json'];
}

/**
 * Reads the context that --context or $RINGFENCE_CONTEXT names, else the first of the candidates that exists. `now` in Unix
 * milliseconds. Errors: RF_CLI_CONTEXT, RF_CLI_CERTIFICATE, all with exit code 3.
 */
export async function loadContext(
  named: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  home: string,
  now: number,
): Promise<Context> {
  const chosen = named ?? (env.RINGFENCE_CONTEXT || undefined);
  const candidates = chosen === undefined ? contextCandidates(env, home) : [chosen];
  for (const file of candidates) {
    const text = await readIfThere(file);
    if (text === undefined) continue;
    const members = parseContext(file, text);
    const at = (path: string) => (isAbsolute(path) ? path : resolve(dirname(file), path));
    const identity = await readIdentity(at(members.caFile), at(members.certFile), at(members.keyFile), now);
    return { file, address: members.address, serverName: members.serverName, identity };
  }
  throw contextError(
    chosen === undefined ? 'no context file' : 'no such file',
    'a context file (JSON with address, caFile, certFile, keyFile, serverName)',
    candidates.join(', '),
    howToGet,
  );
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    const next = code === 'EACCES' ? 'run as the user that owns it, or copy the operator folder to your own' : howToGet;
    throw contextError(code ?? String(error), 'a readable file', file, next);
  }
}

/** The members of a context file's text. Throws RF_CLI_CONTEXT with what is missing or wrong. */
export function parseContext(file: string, text: string): ContextFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw contextError(`text that is no JSON (${(error as Error).message})`, 'a JSON object', file, howToGet);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw contextError('JSON that is no object', 'a JSON object', file, howToGet);
  }
  const record = value as Record<string, unknown>;
  const bad = members.filter((name) => typeof record[name] !== 'string' || record[name] === '');
  if (bad.length > 0) throw contextError(`no text in ${bad.join(', ')}`, members.join(', '), file, howToGet);
  const context = record as unknown as ContextFile;
  if (!/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/.test(context.address)) {
    throw contextError(
      `address ${JSON.stringify(context.address)}`,
      'host:port or [v6]:port',
      file,
      'correct "address"',
    );
  }
  return context;
}

function contextError(found: string, wanted: string, where: string, next: string): CliError {
  return new CliError({
    code: 'RF_CLI_CONTEXT',
    what: 'Cannot load the connection context',
    found: `found ${found}`,
    wanted,
    where,
    next,
    exit: ExitCode.connection,
  });
}
