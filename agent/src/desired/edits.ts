import type { Table } from './desired.js';

/** Edits of one table, the last per key counting; undefined deletes. */
export class Edits {
  readonly #edits = new Map<string, string | undefined>();

  put(key: string, value: string): void {
    this.#edits.set(key, value);
  }

  remove(key: string): void {
    this.#edits.set(key, undefined);
  }

  appliedTo(table: Table): Table {
    return table.with(this.#edits);
  }
}
