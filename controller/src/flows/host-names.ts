// Names that come from agents and stand in the store for good: processes, and workloads and identities that nobody knows. What one host may
// add is bounded, so that none, however wrong it is, fills the dictionary of all.

/** New names of one host in one span, at most. */
export const NAMES_MAX = 4096;
const SPAN_MS = 24 * 3_600_000;
/** Stands for processes beyond that. */
export const OTHER_PROCESS = '(other)';

export class HostNames {
  readonly #hosts = new Map<string, Set<string>>();
  readonly #nowMs: () => number;
  #sinceMs: number;

  /** `nowMs`: a clock that does not go back. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#sinceMs = nowMs();
  }

  /** Whether a host may use this name: one that it has used in this span, or one of the first NAMES_MAX. */
  admits(hostId: string, name: string): boolean {
    const known = this.#hosts.get(hostId);
    if (known?.has(name)) return true;
    if (known === undefined) {
      this.#hosts.set(hostId, new Set([name]));
      return true;
    }
    if (known.size >= NAMES_MAX && !this.#begins()) return false;
    (this.#hosts.get(hostId) ?? known).add(name);
    return true;
  }

  /** True when a new span has begun: everything is forgotten. */
  #begins(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#sinceMs < SPAN_MS) return false;
    this.#sinceMs = nowMs;
    for (const names of this.#hosts.values()) names.clear();
    return true;
  }
}
