import type {
  ExplainedDecision,
  ExplainedEnd,
  ExplainResponse,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { sanitize } from '../text/sanitize.js';
import type { Style } from '../text/style.js';
import { labelsJson, labelsText } from './labels.js';
import { ruleJson, ruleText } from './policy.js';
import { verdictTone } from './verdict.js';
import { modeWords, reasonWords, verdictWords } from './words.js';

/** An explanation in JSON. */
export function explainJson(answer: ExplainResponse, service: string): object {
  return {
    verdict: verdictWords.of(answer.verdict),
    service,
    policyVersion: answer.policyVersion,
    source: endJson(answer.source),
    destination: endJson(answer.destination),
    outbound: decisionJson(answer.outbound),
    inbound: decisionJson(answer.inbound),
    notes: answer.notes,
  };
}

function endJson(end: ExplainedEnd | undefined): object | null {
  if (end === undefined) return null;
  return {
    workloadId: end.workload?.id ?? null,
    workload: end.workload?.name ?? null,
    labels: labelsJson(end.labels),
    address: end.address || null,
    ipLists: end.ipLists,
  };
}

function decisionJson(decision: ExplainedDecision | undefined): object | null {
  if (decision === undefined) return null;
  return {
    verdict: verdictWords.of(decision.verdict),
    enforcedVerdict: verdictWords.of(decision.enforcedVerdict),
    reason: reasonWords.of(decision.reason),
    rule: decision.rule,
    ruleId: decision.ruleId || null,
    mode: modeWords.of(decision.mode),
    hostId: decision.hostId || null,
    hostPolicyVersion: decision.hostPolicyVersion,
    policyVersion: decision.policyVersion || null,
    hostRevision: decision.hostRevision,
    hostRevisionWanted: decision.hostRevisionWanted,
    hostConnected: decision.hostConnected,
    modeId: decision.modeId || null,
    considered: decision.considered.map(({ rule, matched, why }) => ({
      rule: rule === undefined ? null : ruleJson(rule),
      matched,
      why,
    })),
  };
}

/** An explanation for people: the verdict, both ends, and the decision at each with the rules in order. */
export function explainText(answer: ExplainResponse, service: string, style: Style): string {
  const verdict = verdictWords.of(answer.verdict);
  const policy = answer.policyVersion === 0 ? 'the draft' : `policy version ${answer.policyVersion}`;
  const lines = [`${style(verdictTone(answer.verdict), verdict.toUpperCase())}  ${service}  under ${policy}`];
  lines.push(`  from  ${endText(answer.source, style)}`, `  to    ${endText(answer.destination, style)}`, '');
  lines.push(...decisionLines('outbound, at the source', answer.outbound, style));
  lines.push(...decisionLines('inbound, at the destination', answer.inbound, style));
  for (const note of answer.notes) lines.push(`${style('dim', 'note:')} ${sanitize(note)}`);
  return `${lines.join('\n').trimEnd()}\n`;
}

function endText(end: ExplainedEnd | undefined, style: Style): string {
  if (end === undefined) return '(not known)';
  const parts = [end.workload?.name ?? (end.address === '' ? 'any workload with' : 'no known workload')];
  if (end.labels.length > 0) parts.push(style('accent', `{${sanitize(labelsText(end.labels))}}`));
  if (end.address !== '') parts.push(sanitize(end.address));
  if (end.ipLists.length > 0) parts.push(`in IP lists ${sanitize(end.ipLists.join(', '))}`);
  return [sanitize(parts[0] ?? ''), ...parts.slice(1)].join(' ');
}

/** What the host that decides has in force, against what it shall have. */
function hostLine(decision: ExplainedDecision): string {
  const { hostId, hostPolicyVersion, hostRevision, hostRevisionWanted, policyVersion, hostConnected } = decision;
  const has = hostRevision === 0n ? 'nothing known in force' : `version ${hostPolicyVersion}, revision ${hostRevision}`;
  const wants: string[] = [];
  if (policyVersion !== 0 && policyVersion !== hostPolicyVersion) wants.push(`version ${policyVersion}`);
  if (hostRevisionWanted > hostRevision) wants.push(`revision ${hostRevisionWanted}`);
  const behind = wants.length === 0 ? '' : `; ${wants.join(', ')} wanted`;
  return `host ${hostId}: ${has}${behind}${hostConnected ? '' : '; not connected'}`;
}

function decisionLines(where: string, decision: ExplainedDecision | undefined, style: Style): string[] {
  if (decision === undefined) return [`${style('strong', where)}: no agent decides here`, ''];
  const verdict = style(verdictTone(decision.verdict), verdictWords.of(decision.verdict));
  const by = decision.rule === 0 ? reasonWords.of(decision.reason) : `rule ${decision.ruleId} (no ${decision.rule})`;
  const mode = `mode ${modeWords.of(decision.mode)}${decision.modeId === '' ? '' : ` (${decision.modeId})`}`;
  const lines = [`${style('strong', where)}: ${verdict} by ${sanitize(by)}, ${sanitize(mode)}`];
  if (decision.hostId !== '') lines.push(`  ${sanitize(hostLine(decision))}`);
  if (decision.enforcedVerdict !== decision.verdict) {
    lines.push(
      `  under enforce: ${style(verdictTone(decision.enforcedVerdict), verdictWords.of(decision.enforcedVerdict))}`,
    );
  }
  for (const { rule, matched, why } of decision.considered) {
    const mark = matched ? style('good', '*') : style('dim', '-');
    const name = rule === undefined ? '(unknown rule)' : `${rule.id}: ${ruleText(rule)}`;
    lines.push(`  ${mark} ${sanitize(name)}`, `      ${style('dim', sanitize(why))}`);
  }
  return [...lines, ''];
}
