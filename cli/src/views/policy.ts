import {
  type DiffPolicyResponse,
  type LintPolicyResponse_Finding,
  type PolicyRollout,
  type PolicyVersion,
  PolicyVersionState,
  type RuleInfo,
  type SimulatePolicyResponse_Group,
  type TestPolicyResponse_Result,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Problem } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { plural } from '../text/plural.js';
import type { Column } from '../text/table.js';
import { ago, duration, isoFromMs } from '../text/time.js';
import { serviceText } from './protocol.js';
import { versionStateWords } from './words.js';

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
    state: versionStateWords.of(version.state),
    confirmWithinMs: version.confirmWithinMs || null,
    confirmBy: isoFromMs(version.confirmByMs),
    confirmed: isoFromMs(version.confirmedMs),
    confirmedBy: version.confirmedBy || null,
    canary: version.canary || null,
    ended: isoFromMs(version.endedMs),
    next: version.next || null,
    why: version.why || null,
  };
}

/** What has become of a version, in words. */
export function versionFate(version: PolicyVersion, now: number): string {
  const until = version.confirmByMs === 0n ? '' : ` for ${left(version.confirmByMs, now)} more`;
  switch (version.state) {
    case PolicyVersionState.POLICY_VERSION_STATE_IN_FORCE:
      return version.confirmedMs === 0n ? 'in force' : `in force, confirmed by ${version.confirmedBy}`;
    case PolicyVersionState.POLICY_VERSION_STATE_AWAITING:
      return `in force${until}, awaiting confirmation`;
    case PolicyVersionState.POLICY_VERSION_STATE_CANARY:
      return `canary on ${version.canary}${until}`;
    case PolicyVersionState.POLICY_VERSION_STATE_STANDBY:
      return 'standing by';
    case PolicyVersionState.POLICY_VERSION_STATE_SUPERSEDED:
      return version.next === 0 ? 'superseded' : `superseded by ${version.next}`;
    case PolicyVersionState.POLICY_VERSION_STATE_RETURNED:
      return `returned to ${version.next === 0 ? 'no policy' : version.next}: ${version.why}`;
    default:
      return '';
  }
}

function stateTone(version: PolicyVersion) {
  switch (version.state) {
    case PolicyVersionState.POLICY_VERSION_STATE_IN_FORCE:
      return 'good';
    case PolicyVersionState.POLICY_VERSION_STATE_RETURNED:
      return 'bad';
    case PolicyVersionState.POLICY_VERSION_STATE_SUPERSEDED:
      return 'dim';
    default:
      return 'warn';
  }
}

function left(untilMs: bigint, now: number): string {
  return duration(Math.max(0, Number(untilMs) - now));
}

/** An open rollout in JSON; null: none. */
export function rolloutJson(rollout: PolicyRollout | undefined): object | null {
  if (rollout === undefined) return null;
  return {
    version: rollout.version,
    baseVersion: rollout.baseVersion || null,
    started: isoFromMs(rollout.startedMs),
    author: rollout.author,
    confirmBy: isoFromMs(rollout.confirmByMs),
    canary: rollout.canary || null,
    workloads: rollout.workloads,
    hosts: rollout.hosts,
    hostsInForce: rollout.hostsInForce,
  };
}

/** An open rollout in one line. */
export function rolloutText(rollout: PolicyRollout, now: number): string {
  const { version, baseVersion, canary, confirmByMs, workloads, hosts, hostsInForce } = rollout;
  const base = baseVersion === 0 ? 'no policy' : `version ${baseVersion}`;
  const window = confirmByMs === 0n ? '' : `unless confirmed within ${left(confirmByMs, now)}`;
  const reached = `in force on ${hostsInForce} of ${plural(hosts, 'host')}`;
  if (canary === '') return `version ${version}, ${reached}; ${base} comes back ${window}`;
  const elsewhere =
    window === '' ? `${base} elsewhere until it is promoted` : `${base} elsewhere, and there again ${window}`;
  return `version ${version} on ${canary} (${plural(workloads, 'workload')}), ${reached}; ${elsewhere}`;
}

/** Columns of `policy history`. */
export function versionColumns(now: number): readonly Column<PolicyVersion>[] {
  return [
    { title: 'VERSION', cell: (v) => String(v.number), tone: () => 'strong', align: 'right' },
    { title: 'STATE', cell: (v) => versionFate(v, now), tone: stateTone, shrinkTo: 20 },
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
    objects: diff.objects.map(({ section, key, change, fields }) => ({
      section,
      key,
      change,
      fields: fields.map(({ field, before, after }) => ({ field, before: before || null, after: after || null })),
    })),
    reach: diff.reach.map(({ from, to, fromWorkloads, toWorkloads, gained, lost }) => ({
      from,
      to,
      fromWorkloads,
      toWorkloads,
      gained: gained || null,
      lost: lost || null,
    })),
    reachKnown: !diff.unreadable,
    reachComplete: !diff.truncated,
  };
}

/** What a test of policy found, in JSON. */
export function testJson(result: TestPolicyResponse_Result): object {
  const { name, from, to, protocol, port, expected, found, passed } = result;
  return { name: name || null, from, to, service: serviceText(protocol, port), expected, found, passed };
}

/** Columns of `policy test`. */
export const testColumns: readonly Column<TestPolicyResponse_Result>[] = [
  { title: 'OUTCOME', cell: (r) => (r.passed ? 'passes' : 'fails'), tone: (r) => (r.passed ? 'good' : 'bad') },
  { title: 'TEST', cell: (r) => r.name, tone: () => 'strong', shrinkTo: 12 },
  { title: 'FROM', cell: (r) => r.from, shrinkTo: 12 },
  { title: 'TO', cell: (r) => r.to, shrinkTo: 12 },
  { title: 'SERVICE', cell: (r) => serviceText(r.protocol, r.port) },
  { title: 'WANTED', cell: (r) => r.expected },
  { title: 'FOUND', cell: (r) => r.found, shrinkTo: 12 },
];

/** A lint finding in JSON. */
export function findingJson(finding: LintPolicyResponse_Finding): object {
  const { kind, rule, other, text, file, line } = finding;
  return { kind, rule, other: other || null, text, file: file || null, line: line || null };
}

/** Columns of `policy lint`. */
export const findingColumns: readonly Column<LintPolicyResponse_Finding>[] = [
  { title: 'KIND', cell: (f) => f.kind, tone: (f) => (f.kind === 'conflict' || f.kind === 'broad' ? 'bad' : 'warn') },
  { title: 'RULE', cell: (f) => f.rule, tone: () => 'strong', shrinkTo: 12 },
  { title: 'FINDING', cell: (f) => f.text, shrinkTo: 30 },
  { title: 'PLACE', cell: (f) => (f.file === '' ? '' : `${f.file}:${f.line}`), tone: () => 'dim', shrinkTo: 10 },
];

/** A group of replayed connections in JSON. */
export function simulatedJson(group: SimulatePolicyResponse_Group): object {
  const { outcome, from, to, protocol, port, connections, lastSeenMs, why } = group;
  return {
    outcome: outcome.replace(' ', '-'),
    from,
    to,
    service: serviceText(protocol, port),
    connections,
    lastSeen: isoFromMs(lastSeenMs),
    why,
  };
}

/** Columns of `policy simulate`. */
export function simulatedColumns(now: number): readonly Column<SimulatePolicyResponse_Group>[] {
  const tones: Readonly<Record<string, 'bad' | 'good'>> = { 'newly blocked': 'bad', 'newly allowed': 'good' };
  return [
    { title: 'OUTCOME', cell: (g) => g.outcome, tone: (g) => tones[g.outcome] ?? 'dim' },
    { title: 'FROM', cell: (g) => g.from, shrinkTo: 12 },
    { title: 'TO', cell: (g) => g.to, shrinkTo: 12 },
    { title: 'SERVICE', cell: (g) => serviceText(g.protocol, g.port) },
    { title: 'COUNT', cell: (g) => String(g.connections), align: 'right' },
    { title: 'LAST SEEN', cell: (g) => ago(g.lastSeenMs, now) },
    { title: 'WHY', cell: (g) => g.why, tone: () => 'dim', shrinkTo: 16 },
  ];
}

/** What happened to a rule. */
export function changeWord(before: RuleInfo | undefined, after: RuleInfo | undefined): 'added' | 'removed' | 'changed' {
  if (before === undefined) return 'added';
  return after === undefined ? 'removed' : 'changed';
}
