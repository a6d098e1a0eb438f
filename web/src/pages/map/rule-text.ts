// A rule as policy files write it, from what an edge of the map says.
import type { Labels } from './model.js';

/** One end: labels by dimension with the values that it may have, one workload, or everybody. */
export type RuleEnd =
  | { readonly kind: 'labels'; readonly labels: ReadonlyMap<string, readonly string[]> }
  | { readonly kind: 'workload'; readonly id: string }
  | { readonly kind: 'anyone' };

export interface RuleDraft {
  readonly id: string;
  /** "tcp/443". */
  readonly services: readonly string[];
  readonly providedBy: RuleEnd;
  readonly usedBy: RuleEnd;
  /** Dimensions in which both ends have one and the same value. */
  readonly same: readonly string[];
  readonly note: string;
}

/** A policy file with this one rule. */
export function ruleFile(rule: RuleDraft): string {
  const lines = [
    'rules:',
    `  - id: ${scalar(rule.id)}`,
    `    service: [${rule.services.map(scalar).join(', ')}]`,
    `    providedBy: ${endText(rule.providedBy)}`,
    `    usedBy: ${endText(rule.usedBy)}`,
  ];
  if (rule.same.length > 0) lines.push(`    same: [${rule.same.map(scalar).join(', ')}]`);
  if (rule.note !== '') lines.push(`    note: ${JSON.stringify(rule.note)}`);
  return `${lines.join('\n')}\n`;
}

export function endText(end: RuleEnd): string {
  if (end.kind === 'anyone') return 'anyone';
  if (end.kind === 'workload') return `{ workload: ${scalar(end.id)} }`;
  const parts = [...end.labels].map(([dimension, values]) =>
    values.length === 1
      ? scalar(`${dimension}=${values[0]}`)
      : `{ label: ${scalar(dimension)}, in: [${values.map(scalar).join(', ')}] }`,
  );
  if (parts.length === 0) return 'workloads';
  return parts.length === 1 ? (parts[0] ?? '') : `{ all: [${parts.join(', ')}] }`;
}

/** An id for a rule between two ends: "shop-to-payments". */
export function ruleId(from: string, to: string, taken: ReadonlySet<string>): string {
  const word = (text: string) =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'any';
  const base = `${word(from)}-to-${word(to)}`.slice(0, 48);
  let id = base;
  for (let n = 2; taken.has(id); n += 1) id = `${base}-${n}`;
  return id;
}

/** Values by dimension over several label sets; a dimension that one of them lacks is left out: it would not select that one. */
export function commonLabels(sets: readonly Labels[]): Map<string, string[]> {
  const found = new Map<string, Set<string>>();
  const [first = []] = sets;
  for (const { dimension } of first) {
    const values = sets.map((labels) => labels.find((label) => label.dimension === dimension)?.value);
    if (values.every((value) => value !== undefined)) found.set(dimension, new Set(values));
  }
  return new Map([...found].map(([dimension, values]) => [dimension, [...values].sort()]));
}

/** Plain where YAML reads it as this text, else quoted. */
function scalar(text: string): string {
  const plain = /^[A-Za-z][\w./=-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return plain ? text : JSON.stringify(text);
}
