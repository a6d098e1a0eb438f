// Who reads history in pages while rows are replaced: a row that was on an earlier page comes again on a later one, with a new id. What is
// remembered here tells which row it takes the place of.

/** Places that readers have come to, and replaced rows of all of them; beyond, the oldest place is forgotten: its rows come as new ones. */
const READINGS_MAX = 512;
const REPLACED_MAX = 262_144;
/** A reader that asks for no further page for so long is taken to have left: most lists are never read to their end. */
const READING_MS = 60_000;

interface Reading {
  /** Readers whose last page ended here. */
  readers: number;
  /** When the last of them came, milliseconds. */
  atMs: number;
  /** Rows that were on a page, by the id of the row that stands for them now. */
  readonly now: Map<number, number>;
}

export class OpenReadings {
  /** By the id at which the last page ended; the oldest first. */
  readonly #readings = new Map<number, Reading>();
  readonly #nowMs: () => number;
  #replaced = 0;

  /** `nowMs`: a clock that does not go back. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Forgets readers that have left. Call before the rows of a batch are noted: each row costs a look at every reading. */
  expire(): void {
    const beforeMs = this.#nowMs() - READING_MS;
    for (const [lastId, { atMs }] of this.#readings) {
      if (atMs > beforeMs) return;
      this.#forget(lastId);
    }
  }

  /** One row has taken the place of another. Call in the order in which that happened. */
  note(id: number, replaced: number): void {
    for (const [lastId, { now }] of this.#readings) {
      const shown = now.get(replaced) ?? (replaced <= lastId ? replaced : undefined);
      if (shown === undefined) continue;
      if (!now.delete(replaced)) this.#replaced += 1;
      now.set(id, shown);
    }
    this.#bound();
  }

  get size(): number {
    return this.#readings.size;
  }

  /**
   * A page that began after `afterId` has come and ends at `lastId`; `more`: another one will be asked for. Gives the ids that its reader
   * knows rows by, by the rows' ids now.
   */
  turn(afterId: number, lastId: number, more: boolean): ReadonlyMap<number, number> {
    const reading = this.#readings.get(afterId);
    const known = reading?.now ?? new Map<number, number>();
    if (reading !== undefined) {
      reading.readers -= 1;
      if (reading.readers === 0) this.#forget(afterId);
    }
    if (more) this.#open(lastId, known);
    return known;
  }

  #open(lastId: number, known: ReadonlyMap<number, number>): void {
    const reading = this.#readings.get(lastId) ?? { readers: 0, atMs: 0, now: new Map<number, number>() };
    reading.readers += 1;
    reading.atMs = this.#nowMs();
    // What comes on a page yet.
    for (const [id, shown] of known) {
      if (id <= lastId) continue;
      if (!reading.now.has(id)) this.#replaced += 1;
      reading.now.set(id, shown);
    }
    // Behind all that came before.
    this.#readings.delete(lastId);
    this.#readings.set(lastId, reading);
    this.#bound();
  }

  #bound(): void {
    while (this.#readings.size > READINGS_MAX || this.#replaced > REPLACED_MAX) {
      const [oldest] = this.#readings.keys();
      if (oldest === undefined) return;
      this.#forget(oldest);
    }
  }

  #forget(lastId: number): void {
    this.#replaced -= this.#readings.get(lastId)?.now.size ?? 0;
    this.#readings.delete(lastId);
  }
}
