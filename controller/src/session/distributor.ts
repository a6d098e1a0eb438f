// From the store to what each host must hold: feeds the compiler with committed changes, writes the numbers that it gave before
// anything carries them, and turns its deltas into host states with revisions. Sessions are told which keys changed.
//
//   store commit ─► compiler.set…/remove… ─► (coalesced) flush ─► numbers saved ─► HostState.apply ─► listener
import { addressFromHex } from '@ringfence/proto/address.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { HostDelta } from '@ringfence/proto/instructions.js';
import type { PushedMapping } from '../compile/nat-table.js';
import type { CapacityNeed, ClassNumbers, Compiler, CompilerWorkload, IdentityNumbers } from '../compile/types.js';
import { storedTree } from '../discovery/space-book.js';
import { type Isolation, isolationTouched } from '../keys/isolation.js';
import { unpairedToldOf } from '../keys/unpaired.js';
import type { StartingMode } from '../pairing/profile.js';
import type { Policy, Selector } from '../policy/model.js';
import { selectorMatches } from '../policy/selector.js';
import type { PersistentNumbers } from '../store/numbers.js';
import type { NatRecord, TranslationRecord, WorkloadRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import type { SpaceTree } from '../topology/spaces.js';
import { type CellKey, HostState } from './host-state.js';
import type { Revisions } from './revisions.js';
import { runTrial, type Trial } from './trial.js';

export interface DistributorOptions {
  readonly store: StateStore;
  readonly identities: PersistentNumbers;
  readonly ipClasses: PersistentNumbers;
  /** Who is cut off. */
  readonly isolation: Pick<Isolation, 'of'>;
  readonly revisions: Revisions;
  /** Makes a compiler over these numbers. Also used for trials, whose numbers are thrown away. */
  readonly newCompiler: (identities: IdentityNumbers, ipClasses: ClassNumbers) => Compiler;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Refuse denied connections with RST or ICMP (true) or drop them silently. */
  readonly reject: boolean;
  /** Told of failures that will be retried. */
  readonly onError: (error: unknown) => void;
}

/** What is in force, and how hosts are told of it. */
export interface PolicyStanding {
  /** Decides for every workload; during a canary two policies side by side. */
  readonly policy: Policy;
  readonly version: number;
  /** When the version is taken back unless it is confirmed, Unix milliseconds; 0: it is confirmed, or has no window. */
  readonly confirmByMs: number;
  /** Hosts without a workload that it selects have `baseVersion` in force. */
  readonly canary: { readonly selector: Selector; readonly baseVersion: number } | undefined;
}

export type HostListener = (hostId: string, keys: readonly CellKey[]) => void;

const RETRY_MS = 1000;
const DEADLINE_MAX_MS = 60_000;

export class Distributor {
  readonly #options: DistributorOptions;
  #compiler: Compiler;
  readonly #attached = new Set<string>();
  readonly #hosts = new Map<string, HostState>();
  readonly #waiting = new Map<string, { resolve(state: HostState): void; reject(error: Error): void }[]>();
  readonly #listeners = new Set<HostListener>();
  #policy: PolicyStanding | undefined;
  /** What every host state carries. */
  #told: PolicyStanding | undefined;
  /** Hosts with a workload of the canary; undefined: to be worked out. */
  #canaryHosts: ReadonlySet<string> | undefined;
  /** Workloads have changed since hosts were told whether they are of the canary. */
  #canaryMoved = false;
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
    this.#compiler = this.#newCompiler();
    this.#unsubscribe = options.store.onCommit((changes) => {
      this.#version += 1;
      let relevant = false;
      for (const change of changes) {
        if (change.kind === 'workload') {
          if (change.after === undefined) this.#compiler.removeWorkload(change.key);
          else this.#setWorkload(change.after);
          this.#canaryHosts = undefined;
          this.#canaryMoved = true;
          relevant = true;
        } else if (change.kind === 'spaces') {
          this.#compiler.setSpaces(this.#spaces());
          relevant = true;
        } else if (change.kind === 'translation') {
          this.#onTranslations(change.key, change.before, change.after);
          relevant = true;
        } else if (change.kind === 'nat') {
          if (change.before !== undefined) this.#compiler.removeMapping(mappingOf(change.before));
          if (change.after !== undefined) this.#compiler.setMapping(mappingOf(change.after));
          relevant = true;
        }
      }
      for (const change of changes) {
        if (change.kind !== 'host' || unpairedToldOf(change.before) === unpairedToldOf(change.after)) continue;
        this.#termsMoved.add(change.key);
        relevant = true;
      }
      const touched = isolationTouched(changes);
      if (touched === 'all' || touched.size > 0) {
        for (const record of options.store.table('workload').values()) {
          if (record.hostId === '' || (touched !== 'all' && !touched.has(record.hostId))) continue;
          this.#setWorkload(record);
          relevant = true;
        }
      }
      if (relevant) this.schedule();
    });
  }

  /** Puts a provisioned policy in force. Takes effect with the next flush. */
  setPolicy(standing: PolicyStanding): void {
    this.#policy = standing;
    this.#canaryHosts = undefined;
    this.#compiler.setPolicy(standing.policy, standing.version);
    this.schedule();
  }

  /** The policy version that a host shall have in force. */
  versionOf(hostId: string): number {
    return this.#termsOf(hostId).version;
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
      tell: (record) => record.present && compiler.setWorkload(this.#compilerWorkload(record)),
      tellRest: () => {
        this.#tellSpaces(compiler);
        compiler.tick(Math.max(this.#timeMs, now()));
        compiler.setPolicy(policy, (this.#policy?.version ?? 0) + 1);
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
    const { newCompiler, identities, ipClasses, store } = this.#options;
    const compiler = newCompiler(identities, ipClasses);
    for (const record of store.table('workload').values()) {
      if (record.present) compiler.setWorkload(this.#compilerWorkload(record));
    }
    this.#tellSpaces(compiler);
    if (this.#policy !== undefined) compiler.setPolicy(this.#policy.policy, this.#policy.version);
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
      const { version, confirmByMs } = this.#termsOf(delta.hostId);
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
    if (this.#policy !== this.#told || (this.#policy?.canary !== undefined && this.#canaryMoved)) {
      this.#canaryMoved = false;
      for (const [hostId, state] of this.#hosts) {
        const { version, confirmByMs } = this.#termsOf(hostId);
        note(hostId, state.setPolicyVersion(version, revision, confirmByMs));
      }
      this.#told = this.#policy;
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

  #termsOf(hostId: string): { readonly version: number; readonly confirmByMs: number } {
    if (this.#policy === undefined) return { version: 0, confirmByMs: 0 };
    const { version, confirmByMs, canary } = this.#policy;
    if (canary === undefined) return { version, confirmByMs };
    if (this.#canaryHosts === undefined) {
      const hosts = new Set<string>();
      for (const record of this.#options.store.table('workload').values())
        if (record.present && selectorMatches(canary.selector, record)) hosts.add(record.hostId);
      this.#canaryHosts = hosts;
    }
    return this.#canaryHosts.has(hostId) ? { version, confirmByMs } : { version: canary.baseVersion, confirmByMs: 0 };
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

  /** Spaces that operators declared and connectors found, with what gateways tell of them. */
  #spaces(): SpaceTree {
    const { store } = this.#options;
    return storedTree(store.table('spaces'), store.table('translation'));
  }

  /** Under which addresses a host's workloads leave it has changed; at a gateway also how spaces look outside. */
  #onTranslations(hostId: string, before: TranslationRecord | undefined, after: TranslationRecord | undefined): void {
    const { store } = this.#options;
    this.#compiler.setSpaces(this.#spaces());
    const pairs = (record: TranslationRecord | undefined) =>
      new Map((record?.pairs ?? []).map((pair) => [pair.inside + pair.outside, pair.inside]));
    const [old, now] = [pairs(before), pairs(after)];
    const moved = new Set(
      [...old]
        .filter(([pair]) => !now.has(pair))
        .concat([...now].filter(([pair]) => !old.has(pair)))
        .map(([, inside]) => inside),
    );
    for (const record of store.table('workload').values()) {
      if (record.hostId === hostId && record.present && record.addresses.some(({ ip }) => moved.has(ip)))
        this.#setWorkload(record);
    }
  }

  /** Declared spaces and pushed mappings. */
  #tellSpaces(compiler: Compiler): void {
    compiler.setSpaces(this.#spaces());
    for (const record of this.#options.store.table('nat').values()) compiler.setMapping(mappingOf(record));
  }

  #setWorkload(record: WorkloadRecord): void {
    if (record.present) this.#compiler.setWorkload(this.#compilerWorkload(record));
    else this.#compiler.removeWorkload(record.id);
  }

  #compilerWorkload(record: WorkloadRecord): CompilerWorkload {
    const { isolation, reject, store } = this.#options;
    const leavesAs = leavesAsOf(record, store.table('translation').get(record.hostId));
    return {
      ...compilerWorkload(record, reject, isolation.of(record) !== undefined),
      ...(leavesAs.length > 0 && { leavesAs }),
    };
  }
}

function mappingOf({ space, protocol, ip, port, workloadId, workloadPort }: NatRecord): PushedMapping {
  return { space, protocol, hex: ip, port, workloadId, toPort: workloadPort };
}

/** Addresses under which its host's conntrack has seen it leave. */
function leavesAsOf(record: WorkloadRecord, seen: TranslationRecord | undefined): Uint8Array[] {
  if (seen === undefined || record.hostId === '') return [];
  const own = new Set(record.addresses.map(({ ip }) => ip));
  const outside = seen.pairs.filter(({ inside }) => own.has(inside)).map((pair) => pair.outside);
  return [...new Set(outside)].filter((hex) => !own.has(hex)).map(addressFromHex);
}

const MODES: Readonly<Record<StartingMode, Mode>> = {
  visibility: Mode.MODE_VISIBILITY,
  test: Mode.MODE_TEST,
  enforce: Mode.MODE_ENFORCE,
};

/** Mode of a workload that no mode of the policy names; undefined: visibility. */
export function startingModeOf({
  pairing,
}: {
  readonly pairing?: { readonly startingMode?: StartingMode | undefined } | undefined;
}): Mode | undefined {
  return pairing?.startingMode === undefined ? undefined : MODES[pairing.startingMode];
}

function compilerWorkload(record: WorkloadRecord, reject: boolean, isolated: boolean): CompilerWorkload {
  return {
    id: record.id,
    labels: record.labels,
    hostId: record.hostId,
    localId: record.localId,
    addresses: record.addresses.map(({ ip, space }) => ({ space, address: addressFromHex(ip) })),
    published: record.published.map(({ hostAddress, ...ports }) => ({
      ...ports,
      address: hostAddress === '' ? undefined : addressFromHex(hostAddress),
    })),
    isolated,
    startingMode: startingModeOf(record),
    reject,
  };
}
