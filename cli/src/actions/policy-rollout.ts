import { PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import type { ExitCode } from '../errors.js';
import { versionOf, windowOf } from './policy-apply.js';
import { tellOutcome } from './policy-outcome.js';

/** `policy confirm`. */
export const confirmPolicy: Action<[string | undefined], object> = async (invocation, _options, text) => {
  const version = versionOf(text, '<version>');
  const connection = await invocation.connect();
  const answer = await connection.call('confirm the policy', PolicyService.confirm, { version });
  return tellOutcome(invocation, connection, answer, { kind: 'applied', files: [] });
};

/** `policy promote`. */
export const promotePolicy: Action<[string | undefined], { confirmWithin?: string; wait?: string }> = async (
  invocation,
  options,
  text,
): Promise<ExitCode> => {
  const request = { version: versionOf(text, '<version>'), confirmWithinMs: windowOf(options.confirmWithin) };
  const connection = await invocation.connect();
  const answer = await connection.call('promote the canary', PolicyService.promote, request);
  return tellOutcome(invocation, connection, answer, { kind: 'applied', files: [], wait: options.wait });
};

/** `policy return`. */
export const returnPolicy: Action<[string | undefined], { note?: string; wait?: string }> = async (
  invocation,
  options,
  text,
): Promise<ExitCode> => {
  const request = { version: versionOf(text, '<version>'), note: options.note ?? '' };
  const connection = await invocation.connect();
  const answer = await connection.call('take the policy back', PolicyService.return, request);
  return tellOutcome(invocation, connection, answer, { kind: 'applied', files: [], wait: options.wait });
};
