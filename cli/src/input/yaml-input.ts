// YAML files that this command itself reads (pushes of workloads and mappings): every error names file, line and column.
// Policy files are not read here: the controller checks them.
import { readFile } from 'node:fs/promises';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { CliError, ExitCode } from '../errors.js';
import { type Io, readAll } from '../io.js';

/** Bytes of an input at most. */
const bytesMax = 64 * 1024 * 1024;

/** One place in a YAML file. */
export class YamlInput {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #node: Node | null;
  readonly #path: string;

  private constructor(file: string, lines: LineCounter, node: Node | null, path: string) {
    this.#file = file;
    this.#lines = lines;
    this.#node = node;
    this.#path = path;
  }

  /** Reads a file, "-" for standard input. Fails with exit code 4 for a missing file, 2 for what is no YAML. */
  static async read(io: Io, file: string): Promise<YamlInput> {
    const text = await readInput(io, file);
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    const input = new YamlInput(file, lines, document.contents as Node | null, 'the file');
    const [problem] = document.errors;
    if (problem !== undefined) throw input.#problem(problem.message, 'YAML', problem.pos[0]);
    return input;
  }

  /** The members of a mapping; refuses members with other names. */
  map(names: readonly string[]): YamlMembers {
    if (!isMap(this.#node)) throw this.wrong('a mapping');
    const node = this.#node;
    for (const { key } of node.items) {
      const name = isScalar(key) ? String(key.value) : '?';
      if (!names.includes(name)) {
        throw this.#problem(
          `${JSON.stringify(name)} in ${this.#path}`,
          `only ${names.join(', ')}`,
          (key as Node | null)?.range?.[0],
        );
      }
    }
    return new YamlMembers(
      this,
      node as YAMLMap<Node, Node | null>,
      (child, path) => new YamlInput(this.#file, this.#lines, child, path),
      this.#path,
    );
  }

  /** Entries of a sequence. */
  entries(): YamlInput[] {
    if (!isSeq(this.#node)) throw this.wrong('a sequence');
    return this.#node.items.map(
      (item, index) => new YamlInput(this.#file, this.#lines, item as Node | null, `${this.#path}[${index}]`),
    );
  }

  /** The scalar here; undefined when it is none. */
  get scalar(): unknown {
    return isScalar(this.#node) ? this.#node.value : undefined;
  }

  /** Reads the text here with a function that throws usage errors: they get this place. */
  check<T>(read: (text: string) => T): T {
    try {
      return read(textOf(this));
    } catch (error) {
      if (!(error instanceof CliError) || error.failure.where !== undefined) throw error;
      throw new CliError({ ...error.failure, where: this.place() });
    }
  }

  /** "file:line:column". */
  place(offset = this.#node?.range?.[0] ?? 0): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#file}:${line}:${col}`;
  }

  wrong(wanted: string): CliError {
    const found = isMap(this.#node)
      ? 'a mapping'
      : isSeq(this.#node)
        ? 'a sequence'
        : JSON.stringify(this.scalar ?? null);
    return this.#problem(`${found} at ${this.#path}`, wanted, this.#node?.range?.[0]);
  }

  #problem(found: string, wanted: string, offset: number | undefined): CliError {
    return new CliError({
      code: 'RF_CLI_INPUT',
      what: 'Cannot read the input file',
      found: `found ${found}`,
      wanted,
      where: this.place(offset),
      exit: ExitCode.usage,
    });
  }
}

/** Members of one mapping by name. */
class YamlMembers {
  readonly #owner: YamlInput;
  readonly #node: YAMLMap<Node, Node | null>;
  readonly #at: (child: Node | null, path: string) => YamlInput;
  readonly #path: string;

  constructor(
    owner: YamlInput,
    node: YAMLMap<Node, Node | null>,
    at: (child: Node | null, path: string) => YamlInput,
    path: string,
  ) {
    this.#owner = owner;
    this.#node = node;
    this.#at = at;
    this.#path = path;
  }

  #member(name: string): YamlInput | undefined {
    const node = this.#node.get(name, true);
    return node === undefined || node === null ? undefined : this.#at(node as unknown as Node, `${this.#path}.${name}`);
  }

  optional<T>(name: string, read: (input: YamlInput) => T): T | undefined {
    const member = this.#member(name);
    return member === undefined ? undefined : read(member);
  }

  required<T>(name: string, read: (input: YamlInput) => T): T {
    return this.optional(name, read) ?? this.missing(name);
  }

  /** Entries of a sequence; none when the member is not there. */
  list<T>(name: string, read: (input: YamlInput) => T): T[] {
    return (this.#member(name)?.entries() ?? []).map(read);
  }

  /** A mapping of text to text; empty when the member is not there. */
  texts(name: string): Record<string, string> {
    const member = this.#member(name);
    if (member === undefined) return {};
    const node = this.#node.get(name, true) as unknown;
    if (!isMap(node)) throw member.wrong('a mapping of text to text');
    return Object.fromEntries(
      (node.items as { key: Node; value: Node | null }[]).map(({ key, value }) => {
        const place = this.#at(key, `a key of ${this.#path}.${name}`);
        return [textOf(place), textOf(this.#at(value ?? key, `${this.#path}.${name}.${textOf(place)}`))];
      }),
    );
  }

  missing(name: string): never {
    throw this.#owner.wrong(`a mapping with ${name}`);
  }
}

/** Text, also of a plain number or boolean. */
export function textOf(input: YamlInput): string {
  const { scalar } = input;
  if (typeof scalar === 'string' && scalar !== '') return scalar;
  if (typeof scalar === 'number' || typeof scalar === 'boolean') return String(scalar);
  throw input.wrong('text');
}

/** Text of a file, or of standard input for "-". */
export async function readInput(io: Io, file: string): Promise<string> {
  if (file === '-') {
    const text = await readAll(io.stdin, bytesMax);
    if (text !== undefined) return text;
    throw inputError('standard input', `found more than ${bytesMax} bytes`, ExitCode.usage);
  }
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw inputError(
      file,
      `found ${code === 'ENOENT' ? 'no such file' : code}`,
      code === 'ENOENT' ? ExitCode.notFound : ExitCode.usage,
    );
  }
}

function inputError(where: string, found: string, exit: ExitCode): CliError {
  return new CliError({
    code: 'RF_CLI_FILE',
    what: 'Cannot read the input file',
    found,
    wanted: 'a readable file',
    where,
    exit,
  });
}
