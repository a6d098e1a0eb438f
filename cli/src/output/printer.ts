import { type Io, write } from '../io.js';
import { jsonLine, jsonLines, jsonListPieces, jsonText } from '../text/json.js';
import { inPieces } from '../text/pieces.js';
import type { Style } from '../text/style.js';
import { type Column, renderCompact, tablePieces } from '../text/table.js';
import { compactFields, type Field, renderFields } from './fields.js';
import type { Format } from './format.js';

/** A list in all formats. */
export interface ListOutput<T> {
  /** Name of the array in JSON. */
  name: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  json(row: T): unknown;
  /** More members of the JSON object, beside the array. */
  extra?: object;
  /** Said on standard error when there are no rows. */
  empty: string;
}

/** One thing in all formats. */
export interface ObjectOutput {
  json: object;
  fields: readonly Field[];
}

/** Writes results to standard output in the chosen format; notes go to standard error and never disturb results. */
export class Printer {
  readonly #io: Io;
  readonly format: Format;
  readonly style: Style;
  readonly errorStyle: Style;
  /** Columns that a line may take; Infinity where nothing may be cut. */
  readonly room: number;
  #closed = false;

  constructor(io: Io, format: Format, style: Style, errorStyle: Style, room: number) {
    this.#io = io;
    this.format = format;
    this.style = style;
    this.errorStyle = errorStyle;
    this.room = room;
  }

  /** True once whoever read the results has gone: nobody wants more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** True when the result is for a program. */
  get forPrograms(): boolean {
    return this.format === 'json' || this.format === 'jsonl';
  }

  async list<T>(output: ListOutput<T>): Promise<void> {
    const { rows, columns } = output;
    if (this.format === 'json') return this.pieces(jsonListPieces(output.name, rows, output.json, output.extra));
    if (this.format === 'jsonl') return this.pieces(inPieces(rows, (some) => jsonLines(some.map(output.json))));
    if (rows.length === 0) return this.note(output.empty);
    if (this.format === 'compact') return this.pieces(inPieces(rows, (some) => renderCompact(columns, some)));
    return this.pieces(tablePieces(columns, rows, this.style, this.room));
  }

  async object({ json, fields }: ObjectOutput): Promise<void> {
    if (this.format === 'json') return this.out(`${jsonText(json)}\n`);
    if (this.format === 'jsonl') return this.out(`${jsonLine(json)}\n`);
    if (this.format === 'compact') return this.out(compactFields(fields));
    return this.out(renderFields(fields, this.style, this.room));
  }

  /** Text for people as given; for programs the object. */
  async report(json: object, text: string): Promise<void> {
    if (this.format === 'json') return this.out(`${jsonText(json)}\n`);
    if (this.format === 'jsonl') return this.out(`${jsonLine(json)}\n`);
    return this.out(text);
  }

  /** Standard output, as is. */
  async out(text: string): Promise<void> {
    if (text !== '' && !(await write(this.#io.stdout, text))) this.#closed = true;
  }

  /** Standard output, piece after piece as the reader takes them; ends with the reader. */
  async pieces(texts: Iterable<string>): Promise<void> {
    for (const text of texts) {
      await this.out(text);
      if (this.closed) return;
    }
  }

  /** One line on standard error. */
  async note(text: string): Promise<void> {
    await write(this.#io.stderr, `${text}\n`);
  }
}
