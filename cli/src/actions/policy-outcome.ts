import type { ApplyPolicyResponse, PolicyRollout } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Connection } from '../api/connection.js';
import { ExitCode } from '../errors.js';
import type { Invocation } from '../invocation.js';
import type { SourceFile } from '../policy/files.js';
import { compactProblems, countProblems, renderProblems } from '../policy/problems.js';
import { waitForRollout } from '../policy/wait.js';
import { plural } from '../text/plural.js';
import { problemJson, rolloutJson, rolloutText } from '../views/policy.js';

/** What was asked for, for the words of the answer. */
export interface Asked {
  /** 'applied' made or kept a version, 'drafted' changed the draft, 'checked' changed nothing. */
  kind: 'applied' | 'drafted' | 'checked';
  /** Local files that problems may speak of. */
  files: readonly SourceFile[];
  /** Value of --wait. */
  wait?: string;
  /** Warnings refuse too. */
  strict?: boolean;
}

/** Tells what came of an apply, check, provision or rollback; problems go to standard error for people. Gives the exit code. */
export async function tellOutcome(
  invocation: Invocation,
  connection: Connection,
  answer: ApplyPolicyResponse,
  asked: Asked,
): Promise<ExitCode> {
  const { printer } = invocation;
  const refused = !answer.accepted || (asked.strict === true && answer.problems.length > 0);
  if (!printer.forPrograms && answer.problems.length > 0) {
    const text =
      printer.format === 'compact'
        ? compactProblems(answer.problems, asked.files)
        : renderProblems(answer.problems, asked.files, printer.errorStyle, printer.room);
    await printer.note(text.trimEnd());
  }
  const waits = asked.wait !== undefined && asked.kind === 'applied' && answer.accepted;
  const rollout = waits ? await waitForRollout(invocation, connection, answer.version, asked.wait ?? '') : undefined;
  const inForce = rollout === undefined ? '' : `; in force on ${plural(rollout.current, 'host')}`;
  const json = {
    accepted: answer.accepted,
    changed: answer.changed,
    version: answer.version,
    rules: answer.rules,
    hostsAffected: answer.hostsAffected,
    ...(rollout === undefined ? {} : { hostsInForce: rollout.current }),
    rollout: rolloutJson(answer.rollout),
    problems: answer.problems.map(problemJson),
  };
  const open = asked.kind === 'applied' && answer.accepted ? condition(answer.rollout, invocation.io.now()) : '';
  await printer.report(json, `${sentence(answer, asked)}${inForce}\n${open}`);
  return refused ? ExitCode.refused : ExitCode.ok;
}

/** What an open rollout asks of the operator; empty: nothing. */
function condition(rollout: PolicyRollout | undefined, now: number): string {
  if (rollout === undefined) return '';
  const next =
    rollout.canary === '' ? 'ringfence policy confirm' : 'ringfence policy promote, or ringfence policy confirm';
  return `${rolloutText(rollout, now)}\nNext: ${next}, or ringfence policy return\n`;
}

function sentence(answer: ApplyPolicyResponse, { kind }: Asked): string {
  const problems = answer.problems.length > 0 ? ` (${countProblems(answer.problems)})` : '';
  const rules = plural(answer.rules, 'rule');
  const version = answer.version === 0 ? 'no version' : `version ${answer.version}`;
  if (!answer.accepted)
    return kind === 'checked'
      ? `refused: ${countProblems(answer.problems)}`
      : `refused: ${countProblems(answer.problems)}; nothing changed, ${version} stays in force`;
  if (kind === 'checked') return `ok: ${rules}${problems}`;
  if (kind === 'drafted')
    return `${answer.changed ? 'draft changed' : 'draft is so already'}: ${rules}${problems}; ${version} in force. Next: ringfence policy diff, ringfence policy provision`;
  if (!answer.changed) return `unchanged: ${version}, ${rules}${problems}`;
  return `${version} in force: ${rules}${problems}, sent to ${plural(answer.hostsAffected, 'host')}`;
}
