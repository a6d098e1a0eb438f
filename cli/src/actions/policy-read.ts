import {
  type PolicyContent,
  type PolicyRef,
  PolicyService,
  type RuleInfo,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import { CliError, ExitCode, usageError } from '../errors.js';
import { parseWhole } from '../filter/numbers.js';
import { field } from '../output/fields.js';
import { diffText } from '../policy/diff-text.js';
import { ruleSource } from '../policy/rule-source.js';
import {
  actionText,
  diffJson,
  problemJson,
  ruleColumns,
  ruleJson,
  versionColumns,
  versionJson,
} from '../views/policy.js';
import { versionOf } from './policy-apply.js';

/** Options that choose which policy is read. */
export interface RefOptions {
  draft?: boolean;
  version?: string;
}

/** Which policy the options mean; undefined: the version in force. */
export function refOf(options: RefOptions): PolicyRef | undefined {
  if (options.draft && options.version !== undefined) {
    throw usageError('Cannot choose the policy', 'found --draft and --version', 'one of them');
  }
  if (options.draft) return { ref: { $case: 'draft', value: true } };
  return options.version === undefined
    ? undefined
    : { ref: { $case: 'version', value: versionOf(options.version, '--version') } };
}

/** `policy show`: all rules, or one with its text. */
export const showPolicy: Action<[string | undefined], RefOptions> = async (invocation, options, name) => {
  const ref = refOf(options);
  const connection = await invocation.connect();
  const content = await connection.call('read the policy', PolicyService.get, { ref });
  const { printer } = invocation;
  if (name !== undefined) {
    const rule = findRule(content, name);
    const lines = ruleSource(content.files.find((file) => file.name === rule.file)?.content ?? '', rule.line);
    return printer.object({ json: { ...ruleJson(rule), source: lines.join('\n') }, fields: ruleFields(rule, lines) });
  }
  const version = content.version?.number ?? 0;
  await printer.list({
    name: 'rules',
    rows: content.rules,
    columns: ruleColumns,
    json: ruleJson,
    extra: {
      version,
      draft: options.draft ?? false,
      draftDiffers: content.draftDiffers,
      files: content.files.map((file) => file.name),
      problems: content.problems.map(problemJson),
    },
    empty: 'No rules. Next: ringfence policy apply -f FOLDER',
  });
  if (content.draftDiffers && !options.draft && !printer.forPrograms)
    await printer.note('The draft differs: ringfence policy diff');
};

function findRule(content: PolicyContent, name: string): RuleInfo {
  const rule =
    content.rules.find(({ id }) => id === name) ?? content.rules.find(({ number }) => String(number) === name);
  if (rule !== undefined) return rule;
  throw new CliError({
    code: 'RF_CLI_RULE_UNKNOWN',
    what: `Cannot show rule ${name}`,
    found: `no rule of that id or number among ${content.rules.length}`,
    next: 'ringfence policy show',
    exit: ExitCode.notFound,
  });
}

function ruleFields(rule: RuleInfo, source: string[]) {
  return [
    field('rule', rule.id, 'strong'),
    field('number', String(rule.number)),
    field('action', actionText(rule), rule.allow ? 'good' : 'bad'),
    field('service', rule.service),
    field('provided by', rule.providedBy),
    field('used by', rule.usedBy),
    field('enabled', rule.enabled ? 'yes' : 'no', rule.enabled ? undefined : 'warn'),
    field('note', rule.note),
    field('place', `${rule.file}:${rule.line}`),
    { label: 'text', values: source },
  ];
}

/** `policy history`. */
export const policyHistory: Action<[], { limit: string; before?: string }> = async (invocation, options) => {
  const limit = parseWhole(options.limit, '--limit', 1, 10_000);
  const before = versionOf(options.before, '--before');
  const connection = await invocation.connect();
  const { versions } = await connection.call('read the history', PolicyService.history, { limit, before });
  await invocation.printer.list({
    name: 'versions',
    rows: versions,
    columns: versionColumns(invocation.io.now()),
    json: versionJson,
    empty: 'Nothing was ever provisioned. Next: ringfence policy apply -f FOLDER',
  });
};

/** `policy diff`: ends as "draft", "active" or a version number. */
export const diffPolicy: Action<[string | undefined, string | undefined], { exitCode?: boolean }> = async (
  invocation,
  options,
  fromText,
  toText,
) => {
  const from = endOf(fromText ?? 'active');
  const to = endOf(toText ?? 'draft');
  const connection = await invocation.connect();
  // What an unset end means depends on the side; the version in force is therefore named by number on the right.
  const active =
    to === undefined
      ? (await connection.call('read the policy', PolicyService.get, { ref: undefined })).version?.number
      : undefined;
  const right: PolicyRef | undefined = to ?? { ref: { $case: 'version', value: active ?? 0 } };
  const diff = await connection.call('compare policies', PolicyService.diff, { from, to: right });
  const { printer } = invocation;
  await printer.report(diffJson(diff), diffText(diff, printer.style));
  return options.exitCode && diff.rules.length + diff.files.length + diff.objects.length > 0
    ? ExitCode.refused
    : ExitCode.ok;
};

/** "draft", "active" (undefined) or a version number. Throws a usage error. */
export function endOf(text: string): PolicyRef | undefined {
  if (text === 'active') return undefined;
  if (text === 'draft') return { ref: { $case: 'draft', value: true } };
  return {
    ref: {
      $case: 'version',
      value: parseWhole(text.replace(/^v/, ''), 'version ("draft", "active" or a number)', 1, 0xffff_ffff),
    },
  };
}
