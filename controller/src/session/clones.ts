// Two machines with one certificate (a cloned disk). A host has one agent; a new stream replaces the old one, since the old one may
// be half open. Two facts tell a clone from a reconnect: a run that was replaced by a later run comes back, or streams that were
// alive replace each other again and again. Pure; times are Unix milliseconds.

/** Where a stream comes from. */
export interface StreamOrigin {
  /** The agent process, from Hello; empty when it does not say. */
  readonly run: string;
  readonly machineId: string;
  readonly address: string;
}

/** Replacements of live streams inside the window that no honest reconnect makes. */
const REPLACEMENTS_MAX = 4;
const WINDOW_MS = 60_000;
const RUNS_KEPT = 16;

export class CloneWatch {
  /** Runs that were replaced by a later one, oldest first. */
  readonly #past: string[] = [];
  #current: StreamOrigin | undefined;
  #replacedMs: number[] = [];

  /**
   * A stream begins; `replaces` says that the one before is still open. Returns what proves a clone, as a sentence fragment that
   * completes "found …", or undefined.
   */
  onStream(origin: StreamOrigin, replaces: boolean, nowMs: number): string | undefined {
    const before = this.#current;
    this.#current = origin;
    this.#replacedMs = this.#replacedMs.filter((ms) => nowMs - ms < WINDOW_MS);
    if (replaces) this.#replacedMs.push(nowMs);
    if (before !== undefined && before.run !== origin.run && before.run !== '') {
      this.#past.push(before.run);
      if (this.#past.length > RUNS_KEPT) this.#past.shift();
    }
    const places = before === undefined ? origin.address : `${before.address} and ${origin.address}`;
    if (origin.run !== '' && this.#past.includes(origin.run)) return `two agents that take turns, at ${places}`;
    if (this.#replacedMs.length >= REPLACEMENTS_MAX) {
      return `${this.#replacedMs.length} live streams replaced within a minute, at ${places}`;
    }
    return undefined;
  }
}
