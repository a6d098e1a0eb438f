import type { DiffPolicyResponse, PolicyVersion, RuleInfo } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Problem } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Column } from '../text/table.js';
import { ago, isoFromMs } from '../text/time.js';

/** A rule in JSON. */
export function ruleJson(rule: RuleInfo): object {
  return {
    number: rule.number,
    id: rule.id,
    action: actionText(rule),
    service: rule.service,
    providedBy: rule.providedBy,
    usedBy: rule.usedBy,
    enabled: rule.enabled,
    file: rule.file,
    line: rule.line,
    note: rule.note,
  };
}

export function actionText(rule: RuleInfo): 'allow' | 'deny' {
  return rule.allow ? 'allow' : 'deny';
}

/** Columns of `policy show`. */
export const ruleColumns: readonly Column<RuleInfo>[] = [
  { title: 'NO', cell: (r) => String(r.number), align: 'right' },
  { title: 'RULE', cell: (r) => r.id, tone: (r) => (r.enabled ? 'strong' : 'dim'), shrinkTo: 12 },
  { title: 'ACTION', cell: actionText, tone: (r) => (r.allow ? 'good' : 'bad') },
  { title: 'SERVICE', cell: (r) => r.service, shrinkTo: 10 },
  { title: 'PROVIDED BY', cell: (r) => r.providedBy, shrinkTo: 14 },
  { title: 'USED BY', cell: (r) => r.usedBy, shrinkTo: 14 },
  { title: 'ON', cell: (r) => (r.enabled ? 'yes' : 'OFF'), tone: (r) => (r.enabled ? undefined : 'warn') },
  { title: 'PLACE', cell: (r) => `${r.file}:${r.line}`, tone: () => 'dim', shrinkTo: 10 },
];

/** A rule in one line: "allow tcp/80 provided by role=web used by anyone". */
export function ruleText(rule: RuleInfo): string {
  const off = rule.enabled ? '' : ' (off)';
  return `${actionText(rule)} ${rule.service} provided by ${rule.providedBy} used by ${rule.usedBy}${off}`;
}

/** A version in JSON. */
export function versionJson(version: PolicyVersion): object {
  return {
    version: version.number,
    author: version.author,
    note: version.note,
    created: isoFromMs(version.createdMs),
    rules: version.rules,
    rollbackOf: version.rollbackOf || null,
  };
}

/** Columns of `policy history`. */
export function versionColumns(now: number): readonly Column<PolicyVersion>[] {
  return [
    { title: 'VERSION', cell: (v) => String(v.number), tone: () => 'strong', align: 'right' },
    { title: 'WHEN', cell: (v) => ago(v.createdMs, now) },
    { title: 'AUTHOR', cell: (v) => v.author, shrinkTo: 10 },
    { title: 'RULES', cell: (v) => String(v.rules), align: 'right' },
    {
      title: 'NOTE',
      cell: (v) => (v.rollbackOf ? `(back to ${v.rollbackOf}) ${v.note}`.trim() : v.note),
      shrinkTo: 12,
    },
  ];
}

/** A problem in JSON. */
export function problemJson(problem: Problem): object {
  const { code, message, file, line, column, found, wanted, warning } = problem;
  return {
    severity: warning ? 'warning' : 'error',
    code,
    message,
    file: file || null,
    line: line || null,
    column: column || null,
    found: found || null,
    wanted: wanted || null,
  };
}

/** A difference in JSON. */
export function diffJson(diff: DiffPolicyResponse): object {
  return {
    rules: diff.rules.map(({ id, before, after }) => ({
      id,
      change: changeWord(before, after),
      before: before === undefined ? null : ruleJson(before),
      after: after === undefined ? null : ruleJson(after),
    })),
    files: diff.files.map(({ name, change }) => ({ name, change })),
  };
}

/** What happened to a rule. */
export function changeWord(before: RuleInfo | undefined, after: RuleInfo | undefined): 'added' | 'removed' | 'changed' {
  if (before === undefined) return 'added';
  return after === undefined ? 'removed' : 'changed';
}
