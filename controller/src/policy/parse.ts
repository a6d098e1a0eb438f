// Policy files to one document: every error of every file at once, each with file, line, column, found and wanted. A document
// comes out only when there is no error: nothing is ever half applied.
import type { z } from 'zod';
import { canonicalDocument } from './canonical.js';
import type { Path } from './end-shape.js';
import type { Policy, PolicyDocument, PolicyProblem, RuleNumbers } from './model.js';
import { someOf } from './names.js';
import { compare, resolve } from './resolve.js';
import { RULE_SCHEMA, SECTION_SCHEMAS, SECTIONS, type Section, type ShapeParams } from './schema.js';
import { readYaml, type SourceFile, type YamlDocument } from './yaml-source.js';

/** What parsing gives: with any error, no document. Warnings stand among the problems too. */
export interface ParsedPolicy {
  readonly document: PolicyDocument | undefined;
  readonly problems: readonly PolicyProblem[];
}

/** Where an item of the merged document came from. */
interface Origin {
  readonly yaml: YamlDocument;
  readonly path: Path;
  /** Fields whose shape is wrong and reported: something that fits stands in their place, and nothing is said of it. */
  readonly repaired: ReadonlySet<string>;
  /** For rule sets: each rule that could be read. */
  readonly rules?: readonly RuleOrigin[];
}

interface RuleOrigin {
  /** Index in the file. */
  readonly index: number;
  readonly repaired: ReadonlySet<string>;
}

interface Item {
  readonly spec: Record<string, unknown>;
  readonly origin: Origin;
}

/** Reads policy files as one policy. The order of files and of items inside a section does not matter. */
export function parsePolicy(files: readonly SourceFile[]): ParsedPolicy {
  const problems: PolicyProblem[] = [];
  const items = new Map<Section, Item[]>(SECTIONS.map((section) => [section, []]));
  const broken = new Set<string>();
  for (const file of files) {
    const { documents, problems: syntax } = readYaml(file);
    problems.push(...syntax);
    for (const yaml of documents) if (yaml.value !== undefined) readSections(yaml, items, broken, problems);
  }
  const document = {} as Record<Section, unknown>;
  for (const section of SECTIONS) {
    const sorted = (items.get(section) ?? []).sort((a, b) => compare(keyOf(a), keyOf(b)));
    items.set(section, sorted);
    document[section] = sorted.map((item) => item.spec);
  }
  const merged = document as unknown as PolicyDocument;
  resolve(merged, countingNumbers(), (path, code, wanted) => {
    const [section, index, ...rest] = path as [Section, number, ...(string | number)[]];
    if (code === 'RF_POLICY_UNKNOWN' && broken.has(String(valueAt(merged, path)))) return;
    const origin = items.get(section)?.[index]?.origin;
    if (origin === undefined) return;
    const inFile = [...origin.path, ...rest];
    const rule = rest[0] === 'rules' ? origin.rules?.[Number(rest[1])] : undefined;
    if (rule !== undefined) inFile[origin.path.length + 1] = rule.index;
    const { repaired } = rule ?? origin;
    const field = rest[rule === undefined ? 0 : 2];
    if (repaired.size > 0 && (field === undefined || repaired.has(String(field)))) return;
    const atKey = path.at(-2) === 'labels' && code === 'RF_POLICY_UNKNOWN';
    problems.push(problemAt(origin.yaml, inFile, code, describe(merged, path), wanted, atKey));
  });
  problems.sort((a, b) => compare(a.file, b.file) || a.line - b.line || a.column - b.column || compare(a.code, b.code));
  const failed = problems.some((problem) => !problem.warning);
  return { document: failed ? undefined : canonicalDocument(merged), problems };
}

/** Checks a document that came by another way than files (API, store): problems without a place. */
export function checkDocument(document: PolicyDocument): readonly PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  resolve(document, countingNumbers(), (path, code, wanted) => {
    const value = valueAt(document, path);
    const found = shorten(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing'));
    problems.push(problemOf({ code, object: describe(document, path), file: '', line: 0, column: 0, found, wanted }));
  });
  return problems;
}

/** The policy of a document that has no problems. Throws RangeError, naming the first problem, on any other. */
export function resolvePolicy(document: PolicyDocument, numbers: RuleNumbers): Policy {
  return resolve(document, numbers, (path, code, wanted) => {
    throw new RangeError(`Cannot resolve ${describe(document, path)}: ${code}, wanted ${wanted}`);
  });
}

/** What refuses a provision although the policy is well formed: constraints that no kernel enforces yet. */
export function provisionProblems(document: PolicyDocument): readonly PolicyProblem[] {
  const rules = [...document.rules, ...document.ruleSets.flatMap((set) => set.rules)];
  return rules
    .filter((rule) => (rule.constraints?.length ?? 0) > 0 && rule.enabled !== false)
    .map((rule) =>
      problemOf({
        code: 'RF_POLICY_CONSTRAINT',
        object: `rule ${rule.id}`,
        file: '',
        line: 0,
        column: 0,
        found: `constraints ${(rule.constraints ?? []).join(', ')}`,
        wanted:
          'a rule without constraints, or enabled: false: constraints are not enforced yet, and never silently ignored',
      }),
    );
}

function readSections(
  yaml: YamlDocument,
  items: Map<Section, Item[]>,
  broken: Set<string>,
  problems: PolicyProblem[],
): void {
  const { value } = yaml;
  const complain = (path: Path, wanted: string, key = false) => {
    problems.push(problemAt(yaml, path, 'RF_POLICY_SHAPE', yaml.file, wanted, key));
  };
  if (value === null) return;
  if (typeof value !== 'object' || Array.isArray(value)) complain([], `sections: ${SECTIONS.join(', ')}`);
  for (const [section, list] of isMapping(value) ? Object.entries(value) : []) {
    if (!SECTIONS.includes(section as Section)) complain([section], `a section, ${someOf(SECTIONS)}`, true);
    else if (!Array.isArray(list)) complain([section], 'a list');
    else {
      list.forEach((raw: unknown, index) => {
        const item = readItem(yaml, section as Section, index, raw, broken, problems);
        if (item !== undefined) items.get(section as Section)?.push(item);
      });
    }
  }
}

function readItem(
  yaml: YamlDocument,
  section: Section,
  index: number,
  raw: unknown,
  broken: Set<string>,
  problems: PolicyProblem[],
): Item | undefined {
  const path = [section, index];
  const read = readShape(yaml, SECTION_SCHEMAS[section], path, raw, broken, problems);
  if (section !== 'ruleSets') return read && { spec: read.spec, origin: { yaml, path, repaired: read.repaired } };
  const rawRules =
    typeof raw === 'object' && raw !== null && 'rules' in raw && Array.isArray(raw.rules) ? raw.rules : [];
  const rules: Record<string, unknown>[] = [];
  const origins: RuleOrigin[] = [];
  rawRules.forEach((rule: unknown, index) => {
    const readRule = readShape(yaml, RULE_SCHEMA, [...path, 'rules', index], rule, broken, problems);
    if (readRule === undefined) return;
    rules.push(readRule.spec);
    origins.push({ index, repaired: readRule.repaired });
  });
  return read && { spec: { ...read.spec, rules }, origin: { yaml, path, repaired: read.repaired, rules: origins } };
}

/** Stands in for a required field of the wrong shape, so that the rest of its item is checked as well. */
const STAND_INS: Readonly<Record<string, unknown>> = {
  service: ['any'],
  providedBy: 'anyone',
  usedBy: 'workloads',
  ports: ['any'],
  include: ['0.0.0.0/0'],
  dimension: 'role',
  match: 'workloads',
  mode: 'visibility',
  rules: [{}],
  from: { address: '192.0.2.1' },
  to: { address: '192.0.2.1' },
  expect: 'blocked',
};

/** The item with every field that has an issue replaced or left out; undefined when it cannot be named or still does not fit. */
function repair(
  schema: z.ZodType,
  raw: unknown,
  issues: readonly z.core.$ZodIssue[],
): { spec: Record<string, unknown>; repaired: ReadonlySet<string> } | undefined {
  if (!isMapping(raw)) return undefined;
  const repaired = new Set(issues.flatMap((issue) => (issue.path.length > 0 ? [String(issue.path[0])] : [])));
  if (repaired.has('id') || (repaired.has('name') && !('id' in raw))) return undefined;
  const known = new Set(knownKeys(schema));
  const kept = Object.entries(raw).filter(([key]) => known.has(key) && !repaired.has(key));
  const standIns = [...repaired].filter((key) => key in STAND_INS).map((key) => [key, STAND_INS[key]]);
  const result = schema.safeParse(Object.fromEntries([...kept, ...standIns]));
  return result.success ? { spec: result.data as Record<string, unknown>, repaired } : undefined;
}

function readShape(
  yaml: YamlDocument,
  schema: z.ZodType,
  path: Path,
  raw: unknown,
  broken: Set<string>,
  problems: PolicyProblem[],
): { spec: Record<string, unknown>; repaired: ReadonlySet<string> } | undefined {
  const result = schema.safeParse(raw);
  if (result.success) return { spec: result.data as Record<string, unknown>, repaired: new Set() };
  const label = labelOf(raw);
  const rest = repair(schema, raw, result.error.issues);
  if (label !== undefined && rest === undefined) broken.add(label);
  const object = `${SINGULAR[path.length > 2 ? 'rules' : (path[0] as Section)]} ${label ?? `number ${Number(path.at(-1)) + 1}`}`;
  for (const issue of result.error.issues) {
    const at = [...path, ...(issue.path as (string | number)[])];
    if (issue.code === 'unrecognized_keys') {
      const keys = knownKeys(schema);
      for (const key of issue.keys) {
        problems.push(
          problemAt(yaml, [...at, key], 'RF_POLICY_SHAPE', object, `one of the keys ${keys.join(', ')}`, true),
        );
      }
    } else {
      const { code, wanted } = explainIssue(issue, raw);
      problems.push(problemAt(yaml, at, code, object, wanted));
    }
  }
  return rest;
}

/** Our code and words for one of zod's issues. */
function explainIssue(issue: z.core.$ZodIssue, raw: unknown): ShapeParams {
  const missing = valueAt(raw, issue.path as Path) === undefined;
  const key = missing && issue.path.length > 0 ? `${String(issue.path.at(-1))}: ` : '';
  if (issue.code === 'custom' && issue.params !== undefined) {
    const { code, wanted } = issue.params as ShapeParams;
    return { code, wanted: `${key}${wanted}` };
  }
  if (issue.code === 'invalid_type') {
    const type = TYPE_WORDS[issue.expected] ?? issue.expected;
    const several = issue.expected === 'array' && ONE_OR_MORE.has(String(issue.path.at(-1)));
    return { code: 'RF_POLICY_SHAPE', wanted: `${key}${several ? 'text, or a list of texts' : type}` };
  }
  if (issue.code === 'invalid_value')
    return { code: 'RF_POLICY_SHAPE', wanted: key + someOf(issue.values.map(String)) };
  if (issue.code === 'too_small' && issue.origin === 'array') {
    return { code: 'RF_POLICY_EMPTY', wanted: 'at least one entry: an empty list never means everything' };
  }
  if (issue.code === 'too_small' && issue.origin === 'string') return { code: 'RF_POLICY_EMPTY', wanted: 'some text' };
  if (issue.code === 'too_small') return { code: 'RF_POLICY_VALUE', wanted: `at least ${issue.minimum}` };
  if (issue.code === 'too_big') return { code: 'RF_POLICY_VALUE', wanted: `at most ${issue.maximum}` };
  if (issue.code === 'invalid_format') return { code: 'RF_POLICY_NAME', wanted: issue.message };
  if (issue.code === 'invalid_key')
    return { code: 'RF_POLICY_NAME', wanted: issue.issues[0]?.message ?? issue.message };
  return { code: 'RF_POLICY_SHAPE', wanted: issue.message };
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text (quote it)',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a whole number',
};
const ONE_OR_MORE = new Set(['service', 'ports', 'scope', 'same', 'differs', 'constraints', 'users']);

const SINGULAR: Readonly<Record<Section, string>> = {
  dimensions: 'dimension',
  labelGroups: 'label group',
  ipLists: 'IP list',
  services: 'service',
  ruleSets: 'rule set',
  rules: 'rule',
  modes: 'mode',
  userGroups: 'user-group rule',
  tests: 'test',
};

/** The object a path of the document lies in, in words. */
function describe(document: PolicyDocument, path: Path): string {
  const inSet = path[0] === 'ruleSets' && path[2] === 'rules';
  const item = valueAt(document, path.slice(0, inSet ? 4 : 2));
  return `${SINGULAR[inSet ? 'rules' : (path[0] as Section)]} ${labelOf(item) ?? ''}`.trim();
}

function problemAt(
  yaml: YamlDocument,
  path: Path,
  code: string,
  object: string,
  wanted: string,
  key = false,
): PolicyProblem {
  const { line, column, found } = yaml.locate(path, key);
  return problemOf({ code, object, file: yaml.file, line, column, found, wanted });
}

function problemOf(from: Omit<PolicyProblem, 'message' | 'warning'> & { readonly object: string }): PolicyProblem {
  const { object, ...rest } = from;
  const message = `Cannot accept ${object}: found ${rest.found}, wanted ${rest.wanted}`;
  return { ...rest, message, warning: false };
}

function labelOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { id, name } = item as { id?: unknown; name?: unknown };
  const label = typeof id === 'string' ? id : name;
  return typeof label === 'string' ? label : undefined;
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function keyOf(item: Item): string {
  return labelOf(item.spec) ?? '';
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[part] : undefined,
    root,
  );
}

function knownKeys(schema: z.ZodType): readonly string[] {
  return 'shape' in schema ? Object.keys(schema.shape as object) : [];
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** Numbers for a check only. */
function countingNumbers(): RuleNumbers {
  let next = 0;
  return {
    numberOf: () => {
      next += 1;
      return next;
    },
  };
}
