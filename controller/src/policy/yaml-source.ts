// YAML text with places: parses every document of a file, and finds the line and column of a path inside it.
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from 'yaml';
import type { Path } from './end-shape.js';
import type { PolicyProblem } from './model.js';

/** A file as the caller names it. */
export interface SourceFile {
  readonly name: string;
  readonly text: string;
}

/** Where something stands, and what stands there. */
export interface Place {
  readonly line: number;
  readonly column: number;
  /** The offending source text, first line, shortened. */
  readonly found: string;
}

/** One YAML document of a file. */
export interface YamlDocument {
  readonly file: string;
  /** As plain values; undefined when the text is not YAML. */
  readonly value: unknown;
  /** The place of a path, or of its deepest part that exists. `key`: of the last part's key, not of its value. */
  locate(path: Path, key?: boolean): Place;
}

const FOUND_MAX = 60;

/**
 * Every document of a file with every syntax error of it. Documents with an error have no value. `merge`: keys `<<` take in the
 * mapping behind them, as Kubernetes tools read manifests.
 */
export function readYaml(
  file: SourceFile,
  merge = false,
): { readonly documents: YamlDocument[]; readonly problems: PolicyProblem[] } {
  const lines = new LineCounter();
  const problems: PolicyProblem[] = [];
  const parsed = parseAllDocuments(file.text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    stringKeys: true,
    strict: true,
    merge,
  });
  const documents: YamlDocument[] = [];
  for (const doc of 'empty' in parsed ? [] : parsed) {
    for (const error of doc.errors) problems.push(syntaxProblem(file, lines, error.pos[0], error.message));
    let value: unknown;
    if (doc.errors.length === 0) {
      try {
        value = doc.toJS({ maxAliasCount: 100 });
      } catch (error) {
        const offset = danglingAlias(doc) ?? 0;
        problems.push(syntaxProblem(file, lines, offset, error instanceof Error ? error.message : String(error)));
      }
    }
    const usable = doc.errors.length === 0 ? (value ?? null) : undefined;
    documents.push({ file: file.name, value: usable, locate: (path, key) => locate(file, lines, doc, path, key) });
  }
  return { documents, problems };
}

function syntaxProblem(file: SourceFile, lines: LineCounter, offset: number, why: string): PolicyProblem {
  const { line, col } = lines.linePos(offset);
  const text = (file.text.split('\n')[line - 1] ?? '').trim().slice(0, FOUND_MAX);
  const found = text === '' && offset >= file.text.trimEnd().length ? 'the end of the file' : text;
  const said = why.split('\n')[0] ?? why;
  return {
    code: 'RF_POLICY_YAML',
    message: `Cannot read ${file.name}: ${said.charAt(0).toLowerCase()}${said.slice(1)}`,
    file: file.name,
    line,
    column: col,
    found,
    wanted: 'well-formed YAML 1.2',
    warning: false,
  };
}

/** Where the first alias stands that names no anchor. */
function danglingAlias(doc: Document): number | undefined {
  let offset: number | undefined;
  visit(doc, {
    Alias(_key, alias) {
      if (offset === undefined && alias.resolve(doc) === undefined) offset = alias.range?.[0];
    },
  });
  return offset;
}

function locate(file: SourceFile, lines: LineCounter, doc: Document, path: Path, key = false): Place {
  let node: unknown = doc.contents;
  let known: Node | undefined = isNode(node) ? node : undefined;
  path.forEach((part, index) => {
    if (isAlias(node)) node = node.resolve(doc);
    const pair = isMap(node) ? pairOf(node.items, part) : undefined;
    const last = index === path.length - 1;
    node = isSeq(node) ? node.items[Number(part)] : key && last ? pair?.key : (pair?.value ?? pair?.key);
    if (isNode(node)) known = node;
  });
  const range = known?.range;
  if (range === undefined || range === null) return { line: 1, column: 1, found: '' };
  const { line, col } = lines.linePos(range[0]);
  const text = file.text.slice(range[0], range[1]);
  const first = (text.split('\n')[0] ?? '').trim();
  const found = first.length > FOUND_MAX ? `${first.slice(0, FOUND_MAX - 1)}…` : first;
  return { line, column: col, found: found === '' ? 'nothing' : found };
}

function pairOf(items: readonly Pair[], part: string | number): Pair | undefined {
  return items.find(({ key }) => (isScalar(key) ? String(key.value) : String(key)) === String(part));
}
