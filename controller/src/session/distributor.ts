// From the store to what each host must hold: feeds the compiler with committed changes, writes the numbers that it gave before
// anything carries them, and turns its deltas into host states with revisions. Sessions are told which keys changed.
//
//   store commit ─► compiler.set…/remove… ─► (coalesced) flush ─► numbers saved ─► HostState.apply ─► listener
import type { HostDelta } from '@ringfence/proto/instructions.js';
import type { CapacityNeed, ClassNumbers, Compiler, IdentityNumbers } from '../compile/types.js';
import { unpairedToldOf } from '../keys/unpaired.js';
import type { Policy } from '../policy/model.js';
import type { PersistentNumbers } from '../store/numbers.js';
import { CompilerFeed, type CompilerFeedOptions } from './compiler-feed.js';
import { type CellKey, HostState } from './host-state.js';
import { HostTerms, type PolicyStanding } from './host-terms.js';
import type { Revisions } from './revisions.js';
import { runTrial, type Trial } from './trial.js';

export interface DistributorOptions extends CompilerFeedOptions {
  readonly identities: PersistentNumbers;
  readonly ipClasses: PersistentNumbers;
  readonly revisions: Revisions;
  /** Makes a compiler over these numbers. Also used for trials, whose numbers are thrown away. */
  readonly newCompiler: (identities: IdentityNumbers, ipClasses: ClassNumbers) => Compiler;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Told of failures that will be retried. */
  readonly onError: (error: unknown) => void;
}

export type HostListener = (hostId: string, keys: readonly CellKey[]) => void;

const RETRY_MS = 1000;
const DEADLINE_MAX_MS = 60_000;

export class Distributor {
  readonly #options: DistributorOptions;
  readonly #feed: CompilerFeed;
  readonly #terms: HostTerms;
  #compiler: Compiler;
  readonly #attached = new Set<string>();
  readonly #hosts = new Map<string, HostState>();
  readonly #waiting = new Map<string, { resolve(state: HostState): void; reject(error: Error): void }[]>();
  readonly #listeners = new Set<HostListener>();
  /** Hosts whose treatment of unpaired containers may have changed. */
  readonly #termsMoved = new Set<string>();
  #deltas: HostDelta[] = [];
  #flushing: Promise<void> | undefined;
  #wanted = false;
  #failed = false;
  #timeMs = 0;
  #version = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #trials: Promise<unknown> = Promise.resolve();
  readonly #unsubscribe: () => void;

  constructor(options: DistributorOptions) {
    this.#options = options;
    this.#feed = new CompilerFeed(options);
    this.#terms = new HostTerms(options.store);
    this.#compiler = this.#newCompiler();
    this.#unsubscribe = options.store.onCommit((changes) => {
      this.#version += 1;
      const told = this.#feed.onCommit(this.#compiler, changes);
      if (told.workloads) this.#terms.workloadsMoved();
      for (const hostId of told.treatments) this.#termsMoved.add(hostId);
      if (told.anything) this.schedule();
    });
  }

  /** Puts a provisioned policy in force. Takes effect with the next flush. */
  setPolicy(standing: PolicyStanding): void {
    this.#terms.set(standing);
    this.#compiler.setPolicy(standing.policy, standing.version);
    this.schedule();
  }

  /** The policy version that a host shall have in force. */
  versionOf(hostId: string): number {
    return this.#terms.of(hostId).version;
  }

  /** The state of a host, kept up to date from now on. Resolves once it is complete; rejects when the host is released before. */
  attach(hostId: string): Promise<HostState> {
    const known = this.#hosts.get(hostId);
    if (known !== undefined) return Promise.resolve(known);
    if (!this.#attached.has(hostId)) {
      this.#attached.add(hostId);
      this.#compiler.setHost(hostId);
    }
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(hostId);
      if (waiting === undefined) this.#waiting.set(hostId, [{ resolve, reject }]);
      else waiting.push({ resolve, reject });
      this.schedule();
    });
  }

  /** Nobody needs this host's state any more. */
  release(hostId: string): void {
    this.#hosts.delete(hostId);
    if (this.#attached.delete(hostId)) this.#compiler.removeHost(hostId);
    this.#giveUp(hostId, `Cannot attach host ${hostId}: it was released`);
  }

  /** Told after each change of a host's state. Returns the way to stop. */
  onHostChange(listener: HostListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stateOf(hostId: string): HostState | undefined {
    return this.#hosts.get(hostId);
  }

  identityOf(workloadId: string): number {
    return this.#compiler.identityOf(workloadId);
  }

  /** Where workloads are seen; as of the last flush. */
  get topology(): Pick<Compiler, 'behind' | 'lately' | 'serviceAt' | 'placesOf' | 'servicesOf' | 'scopes'> {
    return this.#compiler;
  }

  workloadsOf(identity: number): readonly string[] {
    return this.#compiler.workloadsOf(identity);
  }

  /** Moves on when something was committed, and when what identityOf, workloadsOf and topology tell may have changed. */
  get version(): number {
    return this.#version;
  }

  /** Entries that a host's state needs per kernel table; undefined when the host is not attached. */
  capacity(hostId: string): CapacityNeed | undefined {
    return this.#hosts.get(hostId)?.need;
  }

  /**
   * What each attached host would need under another policy. Compiles everything anew and throws it away, host by host and in turns, so
   * that streams go on meanwhile; one trial at a time.
   */
  trial(policy: Policy): Promise<Trial> {
    const turn = this.#trials.then(() => this.#try(policy));
    this.#trials = turn.catch(() => {});
    return turn;
  }

  #try(policy: Policy): Promise<Trial> {
    const { newCompiler, identities, ipClasses, store, now } = this.#options;
    const compiler = newCompiler(identities.trial(), ipClasses.trial());
    return runTrial(compiler, {
      hostIds: [...this.#hosts.keys()],
      records: [...store.table('workload').values()],
      tell: (record) => record.present && compiler.setWorkload(this.#feed.workloadOf(record)),
      tellRest: () => {
        this.#feed.tellSpaces(compiler);
        compiler.tick(Math.max(this.#timeMs, now()));
        compiler.setPolicy(policy, (this.#terms.standing?.version ?? 0) + 1);
      },
      stopped: () => this.#stopped,
    });
  }

  /** Flushes soon; many calls at once are one flush. */
  schedule(): void {
    this.#wanted = true;
    // After a failure the timer alone begins the next try, however many ask.
    if (!this.#stopped && !this.#failed) this.#flushing ??= this.#run();
  }

  /** Resolves when everything committed until now is in the host states. */
  async flushed(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe();
    clearTimeout(this.#timer);
    await this.flushed();
    for (const hostId of [...this.#waiting.keys()])
      this.#giveUp(hostId, 'Cannot attach host: the controller is stopping');
  }

  async #run(): Promise<void> {
    // Lets the changes of one burst gather: everything that is already waiting on the event loop belongs to this flush.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      while (this.#wanted && !this.#stopped) {
        this.#wanted = false;
        await this.#flush();
      }
    } catch (error) {
      // The deltas are kept; nothing that carries an unsaved number has left.
      this.#wanted = true;
      this.#failed = true;
      this.#options.onError(error);
      this.#wakeIn(RETRY_MS);
      this.#flushing = undefined;
      return;
    }
    this.#flushing = undefined;
    if (this.#wanted) this.schedule();
  }

  /** What the compiler has to tell. One that throws is in no known state: the next flush asks a new one for full states. */
  #compile(): HostDelta[] {
    try {
      // The machine's clock may be set back; the compiler's time never goes back.
      this.#timeMs = Math.max(this.#timeMs, this.#options.now());
      this.#compiler.tick(this.#timeMs);
      return this.#compiler.flush();
    } catch (error) {
      this.#compiler = this.#newCompiler();
      throw error;
    } finally {
      this.#version += 1;
    }
  }

  /** A compiler that knows what is stored, provisioned and attached. */
  #newCompiler(): Compiler {
    const { newCompiler, identities, ipClasses } = this.#options;
    const compiler = newCompiler(identities, ipClasses);
    this.#feed.fill(compiler);
    const { standing } = this.#terms;
    if (standing !== undefined) compiler.setPolicy(standing.policy, standing.version);
    for (const hostId of this.#attached) compiler.setHost(hostId);
    return compiler;
  }

  async #flush(): Promise<void> {
    const { identities, ipClasses, revisions, now } = this.#options;
    this.#deltas.push(...this.#compile());
    await identities.save();
    await ipClasses.save();
    await revisions.reserve();
    const deltas = this.#deltas;
    this.#deltas = [];
    const changed = new Map<string, CellKey[]>();
    const note = (hostId: string, keys: readonly CellKey[]) => {
      if (keys.length === 0) return;
      const known = changed.get(hostId);
      if (known === undefined) changed.set(hostId, [...keys]);
      else for (const key of keys) known.push(key);
    };
    const revision = revisions.next();
    for (const delta of deltas) {
      // A host that was released meanwhile has no state to keep.
      if (!this.#attached.has(delta.hostId)) continue;
      const { version, confirmByMs } = this.#terms.of(delta.hostId);
      const state = this.#stateFor(delta, revision);
      note(delta.hostId, state.apply({ ...delta, policyVersion: version }, revision));
      note(delta.hostId, state.setPolicyVersion(version, revision, confirmByMs));
      this.#termsMoved.add(delta.hostId);
    }
    for (const hostId of this.#termsMoved) {
      const state = this.#hosts.get(hostId);
      const told = unpairedToldOf(this.#options.store.get('host', hostId));
      if (state !== undefined) note(hostId, state.setUnpaired(told, revision));
    }
    this.#termsMoved.clear();
    // Hosts that the newest version leaves as they are get its number all the same; and a workload may have come into the canary.
    if (this.#terms.takeMoved()) {
      for (const [hostId, state] of this.#hosts) {
        const { version, confirmByMs } = this.#terms.of(hostId);
        note(hostId, state.setPolicyVersion(version, revision, confirmByMs));
      }
    }
    for (const hostId of [...this.#waiting.keys()]) {
      const state = this.#hosts.get(hostId);
      if (state === undefined) continue;
      for (const { resolve } of this.#waiting.get(hostId) ?? []) resolve(state);
      this.#waiting.delete(hostId);
    }
    for (const [hostId, keys] of changed) for (const listener of this.#listeners) listener(hostId, keys);
    const deadline = this.#compiler.nextDeadlineMs();
    if (deadline !== undefined) this.#wakeIn(Math.min(DEADLINE_MAX_MS, Math.max(1, deadline - now())));
  }

  #giveUp(hostId: string, why: string): void {
    for (const { reject } of this.#waiting.get(hostId) ?? []) reject(new Error(why));
    this.#waiting.delete(hostId);
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#failed = false;
      this.schedule();
    }, ms);
    this.#timer.unref();
  }

  #stateFor(delta: HostDelta, revision: number): HostState {
    let state = this.#hosts.get(delta.hostId);
    if (state === undefined) {
      state = new HostState(delta.hostId, revision);
      this.#hosts.set(delta.hostId, state);
    }
    return state;
  }
}
