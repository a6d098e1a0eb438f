// Policy files to one document: every error of every file at once, each with file, line, column, found and wanted. A document
// comes out only when there is no error: nothing is ever half applied.
import { canonicalDocument } from './canonical.js';
import type { Path } from './end-shape.js';
import type { Policy, PolicyDocument, PolicyProblem, RuleNumbers } from './model.js';
import { type Item, labelOf, problemAt, problemOf, ReadFile, SINGULAR, valueAt } from './read-file.js';
import { compare, resolve } from './resolve.js';
import { SECTIONS, type Section } from './schema.js';
import type { SourceFile } from './yaml-source.js';

/** What parsing gives: with any error, no document. Warnings stand among the problems too. */
export interface ParsedPolicy {
  readonly document: PolicyDocument | undefined;
  readonly problems: readonly PolicyProblem[];
}

/** Files as they were last read, by name: what is written as before is not read, or not checked, again. */
export class KnownFiles {
  #turn = 0;
  readonly #files = new Map<string, { readonly read: ReadFile; turn: number }[]>();

  /** A file as one of this name and text was read before, else read now. */
  read(file: SourceFile): ReadFile {
    const known = this.#files.get(file.name) ?? [];
    let entry = known.find(({ read }) => read.text === file.text);
    if (entry === undefined) {
      entry = { read: new ReadFile(file, known[0]?.read), turn: this.#turn };
      this.#files.set(file.name, [entry, ...known]);
    }
    entry.turn = this.#turn;
    return entry.read;
  }

  /** All files of one policy were read: what none of the last few held goes. */
  turned(): void {
    for (const [name, entries] of this.#files) {
      for (const { read } of entries) read.forget();
      const kept = entries.filter(({ turn }) => turn > this.#turn - TURNS_KEPT);
      if (kept.length === 0) this.#files.delete(name);
      else if (kept.length < entries.length) this.#files.set(name, kept);
    }
    this.#turn += 1;
  }
}

/** A draft, the version in force and one more are looked at in turn. */
const TURNS_KEPT = 3;

/** Reads policy files as one policy. The order of files and of items inside a section does not matter. */
export function parsePolicy(files: readonly SourceFile[], known = new KnownFiles()): ParsedPolicy {
  const problems: PolicyProblem[] = [];
  const items = new Map<Section, Item[]>(SECTIONS.map((section) => [section, []]));
  const broken = new Set<string>();
  for (const file of files) {
    const read = known.read(file);
    problems.push(...read.problems);
    for (const label of read.broken) broken.add(label);
    for (const [section, item] of read.items) items.get(section)?.push(item);
  }
  const document = {} as Record<Section, unknown>;
  for (const section of SECTIONS) {
    const sorted = (items.get(section) ?? []).sort((a, b) => compare(keyOf(a), keyOf(b)));
    items.set(section, sorted);
    document[section] = sorted.map((item) => item.spec);
  }
  const merged = document as unknown as PolicyDocument;
  resolve(merged, NO_NUMBERS, (path, code, wanted) => {
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
  known.turned();
  const failed = problems.some((problem) => !problem.warning);
  return { document: failed ? undefined : canonicalDocument(merged), problems };
}

/** Checks a document that came by another way than files (API, store): problems without a place. */
export function checkDocument(document: PolicyDocument): readonly PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  resolve(document, NO_NUMBERS, (path, code, wanted) => {
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

/** The object a path of the document lies in, in words. */
function describe(document: PolicyDocument, path: Path): string {
  const inSet = path[0] === 'ruleSets' && path[2] === 'rules';
  const item = valueAt(document, path.slice(0, inSet ? 4 : 2));
  return `${SINGULAR[inSet ? 'rules' : (path[0] as Section)]} ${labelOf(item) ?? ''}`.trim();
}

function keyOf(item: Item): string {
  return labelOf(item.spec) ?? '';
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** Numbers for a check only: what is resolved by them is thrown away. */
const NO_NUMBERS: RuleNumbers = { numberOf: () => 0 };
