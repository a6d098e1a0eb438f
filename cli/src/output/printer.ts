import { type Io, write } from '../io.js';
import { jsonLine, jsonText } from '../text/json.js';
import type { Style } from '../text/style.js';
import { type Column, renderCompact, renderTable } from '../text/table.js';
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

  constructor(io: Io, format: Format, style: Style, errorStyle: Style, room: number) {
    this.#io = io;
    this.format = format;
    this.style = style;
    this.errorStyle = errorStyle;
    this.room = room;
  }

  /** True when the result is for a program. */
  get forPrograms(): boolean {
    return this.format === 'json' || this.format === 'jsonl';
  }

  async list<T>(output: ListOutput<T>): Promise<void> {
    const { rows, columns } = output;
    if (this.format === 'json')
      return this.out(`${jsonText({ [output.name]: rows.map(output.json), ...output.extra })}\n`);
    if (this.format === 'jsonl') return this.out(rows.map((row) => `${jsonLine(output.json(row))}\n`).join(''));
    if (rows.length === 0) return this.note(output.empty);
    if (this.format === 'compact') return this.out(renderCompact(columns, rows));
    return this.out(renderTable(columns, rows, this.style, this.room));
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
    if (text !== '') await write(this.#io.stdout, text);
  }

  /** One line on standard error. */
  async note(text: string): Promise<void> {
    await write(this.#io.stderr, `${text}\n`);
  }
}
