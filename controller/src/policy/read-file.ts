// One policy file to its items: every section's entries checked by their shape, each with its place. What the file said before is
// remembered: an item that is written as it was is the same object, which is what tells everything after it that nothing changed.
import type { z } from 'zod';
import type { Path } from './end-shape.js';
import type { PolicyProblem } from './model.js';
import { someOf } from './names.js';
import { sameValue } from './same-value.js';
import { RULE_SCHEMA, SECTION_SCHEMAS, SECTIONS, type Section, type ShapeParams } from './schema.js';
import { readYaml, type SourceFile, type YamlDocument } from './yaml-source.js';

/** Where an item of the merged document came from. */
export interface Origin {
  readonly yaml: Places;
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

export interface Item {
  readonly spec: Record<string, unknown>;
  readonly origin: Origin;
}

/** Where a path of one YAML document of a file stands. */
export type Places = Pick<YamlDocument, 'file' | 'locate'>;

/** What is the same when it is written the same. */
interface Known {
  readonly raw: unknown;
  readonly spec: Record<string, unknown>;
}

/** A file as it was read. Items and problems stay what they are; places are found by reading the text again. */
export class ReadFile {
  readonly items: (readonly [Section, Item])[] = [];
  /** Labels of items that could not be read: what names them is not told of. */
  readonly broken = new Set<string>();
  readonly problems: PolicyProblem[] = [];
  readonly #known = new Map<string, Known>();
  readonly #file: SourceFile;
  #documents: readonly YamlDocument[] | undefined;

  /** `before`: what a file of this name said. */
  constructor(file: SourceFile, before?: ReadFile) {
    this.#file = file;
    const { documents, problems } = readYaml(file);
    this.#documents = documents;
    this.problems.push(...problems);
    documents.forEach((yaml, index) => {
      if (yaml.value !== undefined) this.#readSections(yaml.value, this.#placesOf(index), before);
    });
  }

  get text(): string {
    return this.#file.text;
  }

  /** Lets the syntax trees go: they are several times as large as what they say. */
  forget(): void {
    this.#documents = undefined;
  }

  #placesOf(index: number): Places {
    const { name } = this.#file;
    return {
      file: name,
      locate: (path, key) => {
        this.#documents ??= readYaml(this.#file).documents;
        return this.#documents[index]?.locate(path, key) ?? { line: 0, column: 0, found: '' };
      },
    };
  }

  #readSections(value: unknown, yaml: Places, before: ReadFile | undefined): void {
    const complain = (path: Path, wanted: string, key = false) => {
      this.problems.push(problemAt(yaml, path, 'RF_POLICY_SHAPE', yaml.file, wanted, key));
    };
    if (value === null) return;
    if (typeof value !== 'object' || Array.isArray(value)) complain([], `sections: ${SECTIONS.join(', ')}`);
    for (const [section, list] of isMapping(value) ? Object.entries(value) : []) {
      if (!SECTIONS.includes(section as Section)) complain([section], `a section, ${someOf(SECTIONS)}`, true);
      else if (!Array.isArray(list)) complain([section], 'a list');
      else {
        list.forEach((raw: unknown, index) => {
          const item = this.#readItem(yaml, section as Section, index, raw, before);
          if (item !== undefined) this.items.push([section as Section, item]);
        });
      }
    }
  }

  #readItem(
    yaml: Places,
    section: Section,
    index: number,
    raw: unknown,
    before: ReadFile | undefined,
  ): Item | undefined {
    const path = [section, index];
    const read = this.#readKnown(yaml, SECTION_SCHEMAS[section], path, raw, `${section} ${labelOf(raw)}`, before);
    if (section !== 'ruleSets') return read && { spec: read.spec, origin: { yaml, path, repaired: read.repaired } };
    const rawRules =
      typeof raw === 'object' && raw !== null && 'rules' in raw && Array.isArray(raw.rules) ? raw.rules : [];
    const rules: Record<string, unknown>[] = [];
    const origins: RuleOrigin[] = [];
    rawRules.forEach((rule: unknown, at) => {
      const name = `${section} ${labelOf(raw)} ${labelOf(rule)}`;
      const readRule = this.#readKnown(yaml, RULE_SCHEMA, [...path, 'rules', at], rule, name, before);
      if (readRule === undefined) return;
      rules.push(readRule.spec);
      origins.push({ index: at, repaired: readRule.repaired });
    });
    return read && { spec: { ...read.spec, rules }, origin: { yaml, path, repaired: read.repaired, rules: origins } };
  }

  /** As readShape; what is written as it was is the same object as before. */
  #readKnown(
    yaml: Places,
    schema: z.ZodType,
    path: Path,
    raw: unknown,
    name: string,
    before: ReadFile | undefined,
  ): { spec: Record<string, unknown>; repaired: ReadonlySet<string> } | undefined {
    const same = before === undefined ? undefined : before.#known.get(name);
    if (same !== undefined && sameValue(same.raw, raw)) {
      this.#known.set(name, same);
      return { spec: same.spec, repaired: NOTHING };
    }
    const read = readShape(yaml, schema, path, raw, this.broken, this.problems);
    if (read !== undefined && read.repaired.size === 0) this.#known.set(name, { raw, spec: read.spec });
    return read;
  }
}

const NOTHING: ReadonlySet<string> = new Set();

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
  yaml: Places,
  schema: z.ZodType,
  path: Path,
  raw: unknown,
  broken: Set<string>,
  problems: PolicyProblem[],
): { spec: Record<string, unknown>; repaired: ReadonlySet<string> } | undefined {
  const result = schema.safeParse(raw);
  if (result.success) return { spec: result.data as Record<string, unknown>, repaired: NOTHING };
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

export const SINGULAR: Readonly<Record<Section, string>> = {
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

export function problemAt(
  yaml: Places,
  path: Path,
  code: string,
  object: string,
  wanted: string,
  key = false,
): PolicyProblem {
  const { line, column, found } = yaml.locate(path, key);
  return problemOf({ code, object, file: yaml.file, line, column, found, wanted });
}

export function problemOf(
  from: Omit<PolicyProblem, 'message' | 'warning'> & { readonly object: string },
): PolicyProblem {
  const { object, ...rest } = from;
  const message = `Cannot accept ${object}: found ${rest.found}, wanted ${rest.wanted}`;
  return { ...rest, message, warning: false };
}

export function labelOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { id, name } = item as { id?: unknown; name?: unknown };
  const label = typeof id === 'string' ? id : name;
  return typeof label === 'string' ? label : undefined;
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[part] : undefined,
    root,
  );
}

function knownKeys(schema: z.ZodType): readonly string[] {
  return 'shape' in schema ? Object.keys(schema.shape as object) : [];
}
