// Names of processes as operators know them. The kernel tells the name of a process's first thread; a runtime that names its threads hides
// the program behind a word of its own ("MainThread" for every Node program). Then the executable says what it is.

/** Where processes are looked up; undefined: not there, or not to be read. */
export interface ProcessSource {
  /** Name of the first thread. */
  comm(pid: number): string | undefined;
  /** Path of the executable. */
  exe(pid: number): string | undefined;
}

/** Names that runtimes give to the first thread of any program. */
const NO_PROGRAM: ReadonlySet<string> = new Set(['MainThread']);
/** Processes remembered, and for how long: a number is given again one day. */
const KEPT_MAX = 1024;
const KEPT_NS = 60e9;

export class ProcessNames {
  readonly #source: ProcessSource;
  /** By process id, oldest first. */
  readonly #kept = new Map<number, { readonly name: string; readonly untilNs: number }>();

  constructor(source: ProcessSource) {
    this.#source = source;
  }

  /** The name for a process that the kernel calls `comm`; that one when nothing better is known. `nowNs` is any monotonic clock. */
  nameOf(pid: number, comm: string, nowNs: number): string {
    if (pid === 0 || !NO_PROGRAM.has(comm)) return comm;
    const known = this.#kept.get(pid);
    if (known !== undefined && nowNs < known.untilNs) return known.name;
    const name = this.#lookUp(pid, comm);
    this.#kept.delete(pid);
    this.#kept.set(pid, { name, untilNs: nowNs + KEPT_NS });
    const oldest = this.#kept.keys().next();
    if (this.#kept.size > KEPT_MAX && !oldest.done) this.#kept.delete(oldest.value);
    return name;
  }

  #lookUp(pid: number, comm: string): string {
    // Another process may have the number by now: one of another name certainly is another.
    if (this.#source.comm(pid) !== comm) return comm;
    const path = this.#source.exe(pid)?.replace(/ \(deleted\)$/, '');
    return path?.slice(path.lastIndexOf('/') + 1) || comm;
  }
}
