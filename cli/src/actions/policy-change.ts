import { PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Connection } from '../api/connection.js';
import type { Action } from '../app.js';
import type { ExitCode } from '../errors.js';
import { parseWhole } from '../filter/numbers.js';
import type { Invocation } from '../invocation.js';
import type { SourceFile } from '../policy/files.js';
import { plural } from '../text/plural.js';
import { type RolloutFlags, rolloutOptions, versionOf } from './policy-apply.js';
import { tellOutcome } from './policy-outcome.js';

interface ChangeOptions extends RolloutFlags {
  note?: string;
  expectedVersion?: string;
  wait?: string;
}

/** `policy provision`. */
export const provisionPolicy: Action<[], ChangeOptions> = async (invocation, options): Promise<ExitCode> => {
  const expectedVersion = versionOf(options.expectedVersion, '--expected-version');
  const request = { note: options.note ?? '', expectedVersion, rollout: rolloutOptions(options) };
  const connection = await invocation.connect();
  const answer = await connection.call('provision the draft', PolicyService.provision, request);
  const files = answer.problems.length > 0 ? await draftFiles(connection) : [];
  return tellOutcome(invocation, connection, answer, { kind: 'applied', files, wait: options.wait });
};

/** `policy rollback`. */
export const rollbackPolicy: Action<[string], ChangeOptions> = async (invocation, options, text): Promise<ExitCode> => {
  const version = parseWhole(text, '<version>', 1, 0xffff_ffff);
  const request = { version, note: options.note ?? '', rollout: rolloutOptions(options) };
  const connection = await invocation.connect();
  const answer = await connection.call(`roll back to version ${version}`, PolicyService.rollback, request);
  return tellOutcome(invocation, connection, answer, { kind: 'applied', files: [], wait: options.wait });
};

/** `policy discard`. */
export const discardDraft: Action<[], object> = async (invocation: Invocation) => {
  const connection = await invocation.connect();
  const content = await connection.call('discard the draft', PolicyService.discardDraft, {});
  const rules = content.rules.length;
  const text = `draft discarded: it is the version in force again, ${plural(rules, 'rule')}\n`;
  await invocation.printer.report({ discarded: true, rules }, text);
};

/** The draft's files, so that problems in them can be shown with their lines. */
async function draftFiles(connection: Connection): Promise<SourceFile[]> {
  const draft = await connection.call('read the draft', PolicyService.get, {
    ref: { ref: { $case: 'draft', value: true } },
  });
  return draft.files.map(({ name, content }) => ({ name, path: name, content }));
}
