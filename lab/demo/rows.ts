/** One line of the story: what was tried, what policy says must happen, what happened. */
export interface Row {
  what: string;
  expected: string;
  actual: string;
  ok: boolean;
}

const widths = { what: 50, expected: 26, actual: 46 };

/** Prints rows as they happen, aligned, and remembers whether all were as expected. */
export class RowPrinter {
  private differs = 0;
  private count = 0;

  constructor(
    private readonly write: (line: string) => void,
    private readonly colour: boolean,
  ) {}

  chapter(title: string): void {
    this.write(`\n${this.paint(title, 1)}`);
    const { what, expected, actual } = widths;
    this.write(`  ${'attempt'.padEnd(what)}  ${'expected'.padEnd(expected)}  ${'actual'.padEnd(actual)}`);
  }

  note(text: string): void {
    this.write(`  ${this.paint(text, 2)}`);
  }

  row(row: Row): void {
    this.count += 1;
    if (!row.ok) this.differs += 1;
    const verdict = row.ok ? this.paint('ok', 32) : this.paint('DIFFERS', 31);
    const cells = [
      row.what.padEnd(widths.what),
      row.expected.padEnd(widths.expected),
      row.actual.padEnd(widths.actual),
    ];
    this.write(`  ${cells.join('  ')}  ${verdict}`);
  }

  /** Prints a table with one header line. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): void {
    const size = header.map((title, i) => Math.max(title.length, ...rows.map((r) => (r[i] ?? '').length)));
    for (const line of [header, ...rows]) {
      this.write(`  ${line.map((cell, i) => cell.padEnd(size[i] ?? 0)).join('  ')}`.trimEnd());
    }
  }

  /** The last line; true when every row was as expected. */
  finish(): boolean {
    const text =
      this.differs === 0
        ? `${this.count} of ${this.count} as expected`
        : `${this.differs} of ${this.count} differ from what was expected`;
    this.write(`\n${this.paint(text, this.differs === 0 ? 32 : 31)}`);
    return this.differs === 0;
  }

  private paint(text: string, code: number): string {
    return this.colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
