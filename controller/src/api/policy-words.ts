// Rules as people read them.
import type { RuleInfo } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { End, Policy, PolicyDocument, Rule, TestEndSpec } from '../policy/model.js';
import { formatPorts } from '../policy/ports.js';
import { formatSelector } from '../policy/selector.js';
import type { PolicyFileRecord } from '../store/records.js';

/** A policy with the files that it came from. */
export interface ReadPolicy {
  readonly files: readonly PolicyFileRecord[];
  readonly document: PolicyDocument;
  readonly policy: Policy;
}

/** All rules by number, with the place where each is written. */
export function ruleInfos(read: ReadPolicy): RuleInfo[] {
  const notes = notesOf(read.document);
  return read.policy.rules.map((rule) => ruleInfo(rule, read.files, notes.get(rule.id) ?? ''));
}

export function notesOf(document: PolicyDocument): Map<string, string> {
  const rules = [...document.rules, ...document.ruleSets.flatMap((set) => set.rules)];
  return new Map(rules.map((rule) => [rule.id, rule.note ?? '']));
}

export function ruleInfo(rule: Rule, files: readonly PolicyFileRecord[], note: string): RuleInfo {
  const { file, line } = placeOf(rule.id, files);
  return {
    number: rule.number,
    id: rule.id,
    file,
    line,
    allow: rule.action === 'allow',
    providedBy: formatEnd(rule.providedBy),
    usedBy: formatEnd(rule.usedBy) + relationOf(rule),
    service: rule.ports.map(formatPorts).join(' '),
    enabled: rule.enabled,
    note,
  };
}

/** An end of a test. */
export function testEndWords(end: TestEndSpec): string {
  if ('workload' in end) return end.workload;
  if ('address' in end) return end.address;
  const labels = Object.entries(end.labels).map(([dimension, value]) => `${dimension}=${value}`);
  return labels.join(' ') || 'no labels';
}

function formatEnd(end: End): string {
  if (end.anyone) return 'anyone';
  const parts = end.selector === undefined ? [] : [formatSelector(end.selector)];
  return [...parts, ...end.ipLists.map((name) => `ipList ${name}`)].join(' or ');
}

function relationOf(rule: Rule): string {
  const same = rule.same.length === 0 ? '' : ` with the same ${rule.same.join(', ')}`;
  return rule.differs.length === 0 ? same : `${same} with different ${rule.differs.join(', ')}`;
}

/** Where `id: ID` is written. Ids are unique over all files, so the first such line is it. */
function placeOf(id: string, files: readonly PolicyFileRecord[]): { readonly file: string; readonly line: number } {
  const escaped = id.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = new RegExp(`(^|[\\s{,-])["']?id["']?:\\s*(["']?)${escaped}\\2\\s*(#.*|[,}].*)?$`);
  for (const { name, content } of files) {
    const line = content.split('\n').findIndex((text) => pattern.test(text));
    if (line >= 0) return { file: name, line: line + 1 };
  }
  return { file: '', line: 0 };
}
