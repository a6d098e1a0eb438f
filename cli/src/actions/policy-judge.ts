import { writeFile } from 'node:fs/promises';
import { PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import { CliError, ExitCode, usageError } from '../errors.js';
import { parseTime } from '../filter/time.js';
import type { Invocation } from '../invocation.js';
import { readPolicyFiles } from '../policy/files.js';
import { compactProblems, renderProblems } from '../policy/problems.js';
import { plural } from '../text/plural.js';
import { isoFromMs } from '../text/time.js';
import { findingColumns, findingJson, problemJson, simulatedColumns, simulatedJson } from '../views/policy.js';
import { endOf } from './policy-read.js';

/** Which policy an argument means: the draft unless said. "active" is the version in force. */
export async function refOf(invocation: Invocation, text: string | undefined) {
  const ref = endOf(text ?? 'draft');
  const connection = await invocation.connect();
  if (ref !== undefined) return { connection, ref };
  const active = await connection.call('read the policy', PolicyService.get, { ref: undefined });
  return { connection, ref: { ref: { $case: 'version' as const, value: active.version?.number ?? 0 } } };
}

function sinceMs(invocation: Invocation, text: string | undefined): bigint {
  return text === undefined ? 0n : parseTime(text, '--since', invocation.io.now()) / 1000n;
}

async function noteAll(invocation: Invocation, notes: readonly string[]): Promise<void> {
  if (invocation.printer.forPrograms) return;
  for (const note of notes) await invocation.printer.note(note);
}

/** `policy lint`. */
export const lintPolicy: Action<[string | undefined], { since?: string; strict?: boolean }> = async (
  invocation,
  options,
  text,
): Promise<ExitCode> => {
  const since = sinceMs(invocation, options.since);
  const { connection, ref } = await refOf(invocation, text);
  const answer = await connection.call('lint the policy', PolicyService.lint, { policy: ref, sinceMs: since });
  await invocation.printer.list({
    name: 'findings',
    rows: answer.findings,
    columns: findingColumns,
    json: findingJson,
    extra: {
      rules: answer.rules,
      connections: answer.connections,
      knownSince: isoFromMs(answer.knownSinceMs),
      notes: answer.notes,
    },
    empty: `Nothing odd in ${plural(answer.rules, 'rule')}.`,
  });
  await noteAll(invocation, answer.notes);
  return options.strict && answer.findings.length > 0 ? ExitCode.refused : ExitCode.ok;
};

interface SimulateOptions {
  since: string;
  against?: string;
  by?: string[];
  asEnforced?: boolean;
  all?: boolean;
  exitCode?: boolean;
}

/** `policy simulate`. */
export const simulatePolicy: Action<[string | undefined], SimulateOptions> = async (
  invocation,
  options,
  text,
): Promise<ExitCode> => {
  const since = sinceMs(invocation, options.since);
  const from = endOf(options.against ?? 'active');
  const { connection, ref } = await refOf(invocation, text);
  const answer = await connection.call('replay connections', PolicyService.simulate, {
    from,
    to: ref,
    sinceMs: since,
    dimensions: options.by ?? [],
    asEnforced: options.asEnforced ?? false,
  });
  const { printer, io } = invocation;
  const shown = options.all ? answer.groups : answer.groups.filter(({ outcome }) => outcome !== 'unchanged');
  const summary =
    `${answer.newlyBlocked} newly blocked, ${answer.newlyAllowed} newly allowed, ${answer.unchanged} unchanged ` +
    `of ${answer.connections} connections`;
  await printer.list({
    name: 'groups',
    rows: shown,
    columns: simulatedColumns(io.now()),
    json: simulatedJson,
    extra: {
      connections: answer.connections,
      newlyBlocked: answer.newlyBlocked,
      newlyAllowed: answer.newlyAllowed,
      unchanged: answer.unchanged,
      knownSince: isoFromMs(answer.knownSinceMs),
      notes: answer.notes,
    },
    empty: 'No recorded connection would change.',
  });
  await noteAll(invocation, [summary, ...answer.notes]);
  return options.exitCode && answer.newlyBlocked > 0n ? ExitCode.refused : ExitCode.ok;
};

/** `policy import`: our YAML to standard output or a new file; refusals by name and exit code 1. */
export const importPolicy: Action<[string, string[]], { out?: string }> = async (
  invocation,
  options,
  system,
  paths,
): Promise<ExitCode> => {
  if (system !== 'networkpolicy') {
    throw usageError('Cannot import policy', `found system ${JSON.stringify(system)}`, 'networkpolicy');
  }
  const { files } = await readPolicyFiles(invocation.io, paths, undefined);
  const connection = await invocation.connect();
  const request = { files: files.map(({ name, content }) => ({ name, content })) };
  const answer = await connection.call('import policy', PolicyService.import, request);
  const { printer } = invocation;
  const errors = answer.problems.filter(({ warning }) => !warning);
  if (!printer.forPrograms) {
    if (answer.problems.length > 0) {
      const text =
        printer.format === 'compact'
          ? compactProblems(answer.problems, files)
          : renderProblems(answer.problems, files, printer.errorStyle, printer.room);
      await printer.note(text.trimEnd());
    }
    for (const { policy, reason } of answer.refused) await printer.note(`refused ${policy}: ${reason}`);
  }
  if (options.out !== undefined && answer.content !== '') await writeNew(options.out, answer.content);
  await printer.report(
    {
      imported: answer.imported,
      content: options.out === undefined ? answer.content : null,
      file: options.out ?? null,
      refused: answer.refused.map(({ policy, reason }) => ({ policy, reason })),
      problems: answer.problems.map(problemJson),
    },
    options.out === undefined ? answer.content : '',
  );
  if (!printer.forPrograms) {
    const where = options.out === undefined || answer.content === '' ? '' : ` to ${options.out}`;
    const refused = answer.refused.length === 0 ? '' : `, ${answer.refused.length} refused`;
    const next = answer.imported === 0 ? '' : `. Next: ringfence policy check -f ${options.out ?? 'FILE'}`;
    await printer.note(
      `${plural(answer.imported, 'NetworkPolicy', 'NetworkPolicies')} imported${where}${refused}${next}`,
    );
  }
  return answer.refused.length + errors.length > 0 ? ExitCode.refused : ExitCode.ok;
};

async function writeNew(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content, { flag: 'wx' });
  } catch (error) {
    throw new CliError({
      code: 'RF_CLI_FILE',
      what: 'Cannot write the imported policy',
      found: error instanceof Error ? error.message : String(error),
      wanted: 'a file that does not exist yet, in a folder that does',
      where: path,
      exit: ExitCode.conflict,
    });
  }
}
