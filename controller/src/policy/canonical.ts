// One form for every document that means the same text: sections sorted, defaults left out, keys in one order. Two applies of
// the same files give equal documents, and an export read back gives the document it came from.
import { stringify } from 'yaml';
import type { PolicyDocument } from './model.js';
import { compare } from './resolve.js';
import { RULE_SCHEMA, SECTION_SCHEMAS, SECTIONS } from './schema.js';

const DEFAULTS: Readonly<Record<string, unknown>> = { action: 'allow', direction: 'both', enabled: true, priority: 0 };

/** The canonical form. */
export function canonicalDocument(document: PolicyDocument): PolicyDocument {
  const result: Record<string, unknown> = {};
  for (const section of SECTIONS) {
    const keys = Object.keys(SECTION_SCHEMAS[section].shape);
    result[section] = sortItems(document[section] as readonly object[]).map((item) => canonicalItem(item, keys));
  }
  return result as unknown as PolicyDocument;
}

/** One YAML file that holds the whole document; empty sections are left out. */
export function serialisePolicy(document: PolicyDocument): string {
  const canonical = canonicalDocument(document);
  const sections = Object.entries(canonical).filter(([, items]) => (items as readonly unknown[]).length > 0);
  return sections.length === 0
    ? ''
    : stringify(Object.fromEntries(sections), { lineWidth: 120, aliasDuplicateObjects: false });
}

/** True when both mean the same objects. */
export function sameDocument(a: PolicyDocument, b: PolicyDocument): boolean {
  return JSON.stringify(canonicalDocument(a)) === JSON.stringify(canonicalDocument(b));
}

/** Items are never changed: one that was brought into form once has it. */
const FORMS = new WeakMap<object, Record<string, unknown>>();

function canonicalItem(item: object, keys: readonly string[]): Record<string, unknown> {
  const known = FORMS.get(item);
  if (known !== undefined) return known;
  const given = item as Record<string, unknown>;
  const result: Record<string, unknown> = {};
  for (const key of keys) {
    const value = given[key];
    if (value === undefined || (Object.hasOwn(DEFAULTS, key) && DEFAULTS[key] === value)) continue;
    if (key === 'rules')
      result[key] = sortItems(value as readonly object[]).map((rule) => canonicalItem(rule, RULE_KEYS));
    else if (key === 'labels')
      result[key] = Object.fromEntries(Object.entries(value as object).sort(([a], [b]) => compare(a, b)));
    else result[key] = value;
  }
  FORMS.set(item, result);
  FORMS.set(result, result);
  return result;
}

const RULE_KEYS = Object.keys(RULE_SCHEMA.shape);

function sortItems<T extends object>(items: readonly T[]): T[] {
  const key = (item: object) => ('id' in item ? String(item.id) : 'name' in item ? String(item.name) : '');
  return [...items].sort((a, b) => compare(key(a), key(b)));
}
