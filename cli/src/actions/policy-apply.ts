import { PolicyService, type RolloutOptions } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import { type ExitCode, usageError } from '../errors.js';
import { parseWhole } from '../filter/numbers.js';
import { parseSelector } from '../filter/selector.js';
import { parseDurationOption } from '../filter/time.js';
import { readPolicyFiles, type SourceFile } from '../policy/files.js';
import { tellOutcome } from './policy-outcome.js';

interface FileOptions {
  file: string[];
  base?: string;
  prune?: boolean;
}

interface ApplyOptions extends FileOptions, RolloutFlags {
  draft?: boolean;
  note?: string;
  remove?: string[];
  expectedVersion?: string;
  wait?: string;
}

/** On what condition a version is put in force. */
export interface RolloutFlags {
  confirmWithin?: string;
  canary?: string;
}

/** `policy apply`: exit code 1 when the controller refuses the files. */
export const applyPolicy: Action<[], ApplyOptions> = async (invocation, options): Promise<ExitCode> => {
  const rollout = rolloutOptions(options);
  if (options.draft && rollout !== undefined) {
    throw usageError('Cannot apply', 'found --draft with --confirm-within or --canary', 'them at `policy provision`');
  }
  const { files, wholeFolder } = await readPolicyFiles(invocation.io, options.file, options.base);
  const connection = await invocation.connect();
  const answer = await connection.call('apply policy', PolicyService.apply, {
    files: files.map(wireFile),
    prune: options.prune ?? (wholeFolder && options.remove === undefined),
    remove: options.remove ?? [],
    draftOnly: options.draft ?? false,
    note: options.note ?? '',
    expectedVersion: versionOf(options.expectedVersion, '--expected-version'),
    rollout,
  });
  return tellOutcome(invocation, connection, answer, {
    kind: options.draft ? 'drafted' : 'applied',
    files,
    wait: options.wait,
  });
};

/** `policy check`: the same questions asked of the same controller, nothing changed. */
export const checkPolicy: Action<[], FileOptions & { strict?: boolean }> = async (
  invocation,
  options,
): Promise<ExitCode> => {
  const { files, wholeFolder } = await readPolicyFiles(invocation.io, options.file, options.base);
  const connection = await invocation.connect();
  const request = { files: files.map(wireFile), prune: options.prune ?? wholeFolder };
  const answer = await connection.call('check policy', PolicyService.check, request);
  return tellOutcome(invocation, connection, answer, { kind: 'checked', files, strict: options.strict });
};

function wireFile({ name, content }: SourceFile) {
  return { name, content };
}

/** The condition that the options state; undefined: none. Throws a usage error. */
export function rolloutOptions(options: RolloutFlags): RolloutOptions | undefined {
  if (options.confirmWithin === undefined && options.canary === undefined) return undefined;
  return {
    confirmWithinMs: windowOf(options.confirmWithin),
    canary: options.canary === undefined ? undefined : parseSelector([options.canary], '--canary'),
  };
}

/** Milliseconds of --confirm-within; 0 when it was not given. */
export function windowOf(text: string | undefined): number {
  return text === undefined ? 0 : parseDurationOption(text, '--confirm-within', 1000, 86_400_000, 'from 1s to 24h');
}

/** A policy version as an option gives it; 0 when it was not given. */
export function versionOf(text: string | undefined, option: string): number {
  return text === undefined ? 0 : parseWhole(text, option, 1, 0xffff_ffff);
}
