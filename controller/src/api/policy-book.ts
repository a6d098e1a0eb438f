// Draft, versions and the open rollout. One change at a time; a version is on disk before it is in force; what is refused changes
// nothing. A rollout is on disk with it: a controller that was killed goes on with what is left of its window.
import { status } from '@grpc/grpc-js';
import {
  EMPTY_POLICY,
  type Policy,
  type PolicyDocument,
  type PolicyProblem,
  type PolicyWorkload,
  type RuleNumbers,
} from '../policy/model.js';
import { provisionProblems, resolvePolicy } from '../policy/parse.js';
import { formatSelector } from '../policy/selector.js';
import { policyOf, sideBySide } from '../policy/side-by-side.js';
import type { PolicyStanding } from '../session/host-terms.js';
import type { PersistentNumbers } from '../store/numbers.js';
import type { PolicyFateRecord, PolicyFileRecord, PolicyVersionRecord, RolloutRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import { ApiError, notFound } from './errors.js';
import { changedFiles, type PolicyChange, PolicyFiles, sameFiles, sortFiles } from './policy-files.js';
import {
  canarySelector,
  NO_FATE,
  NO_TERMS,
  type Rollout,
  type RolloutTerms,
  rolloutOf,
  spoken,
} from './policy-rollout.js';
import { endVersion, loadVersion, type PolicyInForce, STATE_KEY, versionKey, writeDraft } from './policy-versions.js';
import type { ReadPolicy } from './policy-words.js';

/** Versions kept; older ones are dropped. */
const VERSIONS_MAX = 500;

export interface ProvisionRequest {
  readonly author: string;
  readonly note: string;
  /** 0: whatever is in force. */
  readonly expectedVersion: number;
  readonly rollout: RolloutTerms;
}

/** What came of it. Not accepted: nothing was changed. */
export interface PolicyOutcome {
  readonly accepted: boolean;
  readonly problems: readonly PolicyProblem[];
  readonly changed: boolean;
  readonly rules: number;
}

export interface PolicyBookOptions {
  readonly store: StateStore;
  readonly ruleNumbers: PersistentNumbers;
  readonly now: () => number;
  /** Calls once after a while; the result cancels it. */
  readonly after: (delayMs: number, fn: () => void) => () => void;
  /**
   * Why this policy must not be provisioned as things stand (its own tests; capacities, for each of `inForce`); problems without a
   * place.
   */
  readonly veto: (read: ReadPolicy, inForce: readonly Policy[]) => Promise<readonly PolicyProblem[]>;
  /** This is in force from now on. `what` happened, for the log. */
  readonly onStanding: (standing: PolicyStanding, what: string) => void;
  /** A rollout could not be taken back; it is tried again. */
  readonly onError: (error: unknown) => void;
}

/** Stands for the sentence with the window's length. */
const WINDOW_ENDED = 'window ended';
const RETRY_MS = 1000;
const TIMER_MAX_MS = 2 ** 31 - 1;

export class PolicyBook {
  readonly #options: PolicyBookOptions;
  readonly #files = new PolicyFiles();
  /** In force for good. */
  #settled: PolicyInForce;
  /** In force on condition. */
  #open: { readonly rollout: Rollout; readonly policy: PolicyInForce } | undefined;
  #decided: Policy = EMPTY_POLICY;
  #cancelReturn: (() => void) | undefined;
  #stopped = false;
  #draft: { files: readonly PolicyFileRecord[]; document: PolicyDocument | undefined } = {
    files: [],
    document: undefined,
  };
  #queue: Promise<unknown> = Promise.resolve();

  /** Reads what is in force. Throws PolicyUnreadableError. `resume` must follow before anything else is asked. */
  constructor(options: PolicyBookOptions) {
    this.#options = options;
    const state = options.store.get('policyState', STATE_KEY);
    this.#settled = loadVersion(
      options.store,
      options.ruleNumbers,
      state?.settled ?? this.history(1, 0)[0]?.number ?? 0,
      this.#files,
    );
    const record = state?.rollout ?? undefined;
    if (record !== undefined)
      this.#open = {
        rollout: rolloutOf(record, this.#settled.version),
        policy: loadVersion(options.store, options.ruleNumbers, record.version, this.#files),
      };
  }

  /** Takes a rollout back whose window has ended meanwhile, waits for the end of another, and tells what is in force. */
  async resume(): Promise<void> {
    const deadlineMs = this.#open?.rollout.deadlineMs ?? 0;
    if (deadlineMs > 0 && this.#options.now() >= deadlineMs) await this.#takeBack(WINDOW_ENDED);
    else this.#tell('read from the store');
    this.#watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelReturn?.();
  }

  /** What is in force; during a canary, for all workloads that it does not select. */
  get current(): PolicyInForce {
    return this.#open !== undefined && this.#open.rollout.canary === undefined ? this.#open.policy : this.#settled;
  }

  /** The newest version that decides for anybody: a canary's, else the one in force. */
  get newest(): PolicyInForce {
    return this.#open?.policy ?? this.#settled;
  }

  /** The one policy that says what both of a canary say, each of its own workloads; else the one in force. */
  get decided(): Policy {
    return this.#decided;
  }

  /** The rollout that is neither confirmed nor taken back. */
  get rollout(): Rollout | undefined {
    return this.#open?.rollout;
  }

  /** The version that is in force for good; 0: none. */
  get settledVersion(): number {
    return this.#settled.version;
  }

  /** What decides at this workload's end. */
  policyFor(workload: PolicyWorkload): PolicyInForce {
    const canary = this.#open?.rollout.canary;
    return canary === undefined ? this.current : policyOf(this.#settled, this.newest, canary, workload);
  }

  /** What has become of a version. */
  fate(number: number): PolicyFateRecord | undefined {
    return this.#options.store.get('policyFate', versionKey(number));
  }

  /** The draft's files, by name. */
  draftFiles(): PolicyFileRecord[] {
    return sortFiles([...this.#options.store.table('draftFile')].map(([name, { content }]) => ({ name, content })));
  }

  /** The draft's document when it can be read and differs; remembered until the draft changes. */
  draftDocuments(): readonly PolicyDocument[] {
    const files = this.draftFiles();
    if (sameFiles(files, this.newest.files)) return [];
    if (!sameFiles(files, this.#draft.files)) this.#draft = { files, document: this.#files.read(files).document };
    return this.#draft.document === undefined ? [] : [this.#draft.document];
  }

  /** The draft's document. Throws ApiError RF_POLICY_DRAFT when it cannot be read. */
  draftDocument(): PolicyDocument {
    const { document, problems } = this.#files.read(this.draftFiles());
    if (document !== undefined) return document;
    throw new ApiError(
      status.FAILED_PRECONDITION,
      'RF_POLICY_DRAFT',
      `Cannot use the draft: found ${problems.length} problems in it, wanted none; \`ringfence policy check\` shows them`,
    );
  }

  draftDiffers(): boolean {
    return !sameFiles(this.draftFiles(), this.newest.files);
  }

  /** Files read as a policy whose new rules get numbers that are not kept. */
  read(files: readonly PolicyFileRecord[]): {
    readonly read: ReadPolicy | undefined;
    readonly problems: readonly PolicyProblem[];
  } {
    const { document, problems } = this.#files.read(files);
    if (document === undefined) return { read: undefined, problems };
    return { read: { files, document, policy: resolvePolicy(document, this.#options.ruleNumbers.trial()) }, problems };
  }

  /** Checks a change as apply would. Throws ApiError on a request that is none. */
  async check(change: PolicyChange): Promise<PolicyOutcome> {
    return (await this.#judge(changedFiles(change, this.draftFiles()))).outcome;
  }

  /** Puts a change into the draft and, with `provision`, in force: both or none. */
  apply(change: PolicyChange, provision: ProvisionRequest | undefined): Promise<PolicyOutcome> {
    const files = () => changedFiles(change, this.draftFiles());
    return this.#judged(files, provision, provision !== undefined, async (read, outcome) => {
      if (provision !== undefined) return this.#provision(read, outcome, provision, 0);
      const changed = !sameFiles(read.files, this.draftFiles());
      await this.#options.store.update((tx) => writeDraft(tx, read.files));
      return { ...outcome, changed };
    });
  }

  /** Puts the draft in force. */
  provision(request: ProvisionRequest): Promise<PolicyOutcome> {
    const files = () => this.draftFiles();
    return this.#judged(files, request, true, (read, outcome) => this.#provision(read, outcome, request, 0));
  }

  /** Puts the content of an old version in force, as a new version. */
  rollback(version: number, request: ProvisionRequest): Promise<PolicyOutcome> {
    const files = () => this.version(version).files;
    return this.#judged(files, request, true, (read, outcome) => this.#provision(read, outcome, request, version));
  }

  /** Keeps the open rollout's version for good, everywhere. Throws ApiError RF_POLICY_SETTLED, RF_POLICY_CONFLICT. */
  confirm(version: number, author: string): Promise<void> {
    return this.#serially(async () => {
      const { policy } = await this.#demandOpen(version, 'confirm');
      await this.#settle(policy, author);
      this.#tell('confirmed');
    });
  }

  /** Puts a canary's version in force everywhere, with a window or for good. Throws ApiError as confirm does. */
  promote(version: number, author: string, confirmWithinMs: number): Promise<void> {
    return this.#serially(async () => {
      const { rollout, policy } = await this.#demandOpen(version, 'promote');
      if (rollout.canary === undefined) {
        throw new ApiError(
          status.FAILED_PRECONDITION,
          'RF_POLICY_SETTLED',
          `Cannot promote version ${rollout.version}: found it in force everywhere, wanted a canary; confirm it instead`,
        );
      }
      if (confirmWithinMs === 0) await this.#settle(policy, author);
      else {
        const record = this.#rolloutRecord(rollout.version, author, { confirmWithinMs, canary: undefined });
        await this.#options.store.update((tx) =>
          tx.set('policyState', STATE_KEY, { settled: this.#settled.version, rollout: record }),
        );
        this.#open = { rollout: rolloutOf(record, this.#settled.version), policy };
        this.#watch();
      }
      this.#tell('promoted');
    });
  }

  /** Ends the open rollout: the version before is in force again. Throws ApiError as confirm does. */
  takeBack(version: number, author: string, note: string): Promise<void> {
    return this.#serially(async () => {
      await this.#demandOpen(version, 'take back');
      await this.#takeBack(`taken back by ${author}${note === '' ? '' : `: ${note}`}`);
    });
  }

  /** Makes the draft what is in force. */
  discardDraft(): Promise<void> {
    return this.#serially(() => this.#options.store.update((tx) => writeDraft(tx, this.newest.files)));
  }

  /** Throws ApiError RF_POLICY_VERSION. */
  version(number: number): PolicyVersionRecord {
    const record = this.#options.store.get('policyVersion', versionKey(number));
    if (record === undefined) {
      throw notFound(
        'RF_POLICY_VERSION',
        `Cannot read policy version ${number}: found versions up to ${this.history(1, 0)[0]?.number ?? 0}, wanted one of the ${VERSIONS_MAX} newest`,
      );
    }
    return record;
  }

  /** Newest first, below `before` (0: from the newest). */
  history(limit: number, before: number): PolicyVersionRecord[] {
    const versions = [...this.#options.store.table('policyVersion').values()];
    versions.sort((a, b) => b.number - a.number);
    return versions.filter(({ number }) => before === 0 || number < before).slice(0, limit);
  }

  async #provision(
    read: ReadPolicy,
    outcome: PolicyOutcome,
    request: ProvisionRequest,
    rollbackOf: number,
  ): Promise<PolicyOutcome> {
    const { store, ruleNumbers, now } = this.#options;
    const { rollout: terms } = request;
    if (this.#settled.version > 0 && sameFiles(read.files, this.#settled.files)) {
      await store.update((tx) => writeDraft(tx, read.files));
      return { ...outcome, changed: false };
    }
    const policy = resolvePolicy(read.document, ruleNumbers as RuleNumbers);
    await ruleNumbers.save();
    const before = this.#settled;
    const record: PolicyVersionRecord = {
      number: (this.history(1, 0)[0]?.number ?? 0) + 1,
      author: request.author,
      note: request.note,
      createdMs: now(),
      rules: policy.rules.length,
      rollbackOf,
      confirmWithinMs: terms.confirmWithinMs,
      canary: terms.canary === undefined ? '' : formatSelector(canarySelector(terms.canary)),
      files: [...read.files],
    };
    const conditional = terms.confirmWithinMs > 0 || terms.canary !== undefined;
    const rollout = conditional ? this.#rolloutRecord(record.number, request.author, terms) : null;
    await store.update((tx) => {
      writeDraft(tx, read.files);
      tx.set('policyVersion', versionKey(record.number), record);
      tx.set('policyState', STATE_KEY, { settled: conditional ? before.version : record.number, rollout });
      if (!conditional) endVersion(tx, before.version, { endedMs: now(), next: record.number });
      for (const [key, { number }] of [...tx.entries('policyVersion')]) {
        // What may come back is never dropped, however old.
        if (number > record.number - VERSIONS_MAX || number === before.version) continue;
        tx.delete('policyVersion', key);
        tx.delete('policyFate', key);
      }
    });
    const made = { ...read, policy, version: record.number, record };
    if (rollout === null) this.#settled = made;
    else this.#open = { rollout: rolloutOf(rollout, before.version), policy: made };
    this.#watch();
    this.#tell('provisioned');
    return { ...outcome, changed: true };
  }

  /** Makes a version the one that is in force for good, and ends the rollout. */
  async #settle(policy: PolicyInForce, author: string): Promise<void> {
    const { store, now } = this.#options;
    await store.update((tx) => {
      tx.set('policyState', STATE_KEY, { settled: policy.version, rollout: null });
      const fate = tx.get('policyFate', versionKey(policy.version)) ?? NO_FATE;
      tx.set('policyFate', versionKey(policy.version), { ...fate, confirmedMs: now(), confirmedBy: author });
      endVersion(tx, this.#settled.version, { endedMs: now(), next: policy.version });
    });
    this.#settled = policy;
    this.#open = undefined;
    this.#watch();
  }

  async #takeBack(why: string): Promise<void> {
    const { store, now } = this.#options;
    const open = this.#open;
    if (open === undefined) return;
    const text = why === WINDOW_ENDED ? `not confirmed within ${spoken(open.rollout.windowMs)}` : why;
    await store.update((tx) => {
      tx.set('policyState', STATE_KEY, { settled: this.#settled.version, rollout: null });
      const next = this.#settled.version;
      endVersion(tx, open.policy.version, { endedMs: now(), next, returned: true, why: text });
    });
    this.#open = undefined;
    this.#watch();
    this.#tell(`version ${open.policy.version} ${text}`);
  }

  /** Takes the open rollout back when its window ends. The timer counts real time, whatever is done to the clock meanwhile. */
  #watch(retryMs = 0): void {
    this.#cancelReturn?.();
    this.#cancelReturn = undefined;
    const rollout = this.#open?.rollout;
    if (rollout === undefined || rollout.deadlineMs === 0 || this.#stopped) return;
    const left = retryMs || Math.min(rollout.windowMs, Math.max(0, rollout.deadlineMs - this.#options.now()));
    this.#cancelReturn = this.#options.after(Math.min(TIMER_MAX_MS, left), () => {
      const ended = this.#serially(async () => {
        if (this.#open?.rollout === rollout) await this.#takeBack(WINDOW_ENDED);
      });
      ended.catch((error: unknown) => {
        this.#options.onError(error);
        this.#watch(RETRY_MS);
      });
    });
  }

  #tell(what: string): void {
    const rollout = this.#open?.rollout;
    const { policy, version } = this.newest;
    const confirmByMs = rollout?.deadlineMs ?? 0;
    const selector = rollout?.canary;
    const canary = selector && { selector, baseVersion: this.#settled.version };
    this.#decided = selector === undefined ? policy : sideBySide(this.#settled.policy, policy, selector);
    this.#options.onStanding({ policy: this.#decided, version, confirmByMs, canary }, what);
  }

  #rolloutRecord(version: number, author: string, terms: RolloutTerms): RolloutRecord {
    const startedMs = this.#options.now();
    const { confirmWithinMs: windowMs, canary } = terms;
    const deadlineMs = windowMs === 0 ? 0 : startedMs + windowMs;
    const requirements = canary?.map(({ dimension, operator, values }) => ({
      dimension,
      operator,
      values: [...values],
    }));
    return { version, startedMs, author, windowMs, deadlineMs, canary: requirements ?? null };
  }

  /**
   * Judges files and, if nothing stands against them, goes on. To judge may take seconds, in which a rollout must still be confirmed or taken
   * back in time: it is done outside the queue, and again if what was judged is no longer what stands.
   */
  async #judged(
    files: () => readonly PolicyFileRecord[],
    request: ProvisionRequest | undefined,
    provision: boolean,
    goOn: (read: ReadPolicy, outcome: PolicyOutcome) => Promise<PolicyOutcome>,
  ): Promise<PolicyOutcome> {
    for (;;) {
      // What was called before this comes first.
      await this.#serially(async () => request && this.#demandReady(request));
      const wanted = files();
      const settled = this.#settled;
      const { outcome, read } = await this.#judge(wanted, provision, request?.rollout);
      const done = await this.#serially(async () => {
        if (request !== undefined) this.#demandReady(request);
        if (settled !== this.#settled || !sameFiles(wanted, files())) return undefined;
        return read === undefined ? outcome : goOn(read, outcome);
      });
      if (done !== undefined) return done;
    }
  }

  async #judge(
    files: readonly PolicyFileRecord[],
    provision = true,
    terms: RolloutTerms = NO_TERMS,
  ): Promise<{ readonly outcome: PolicyOutcome; readonly read: ReadPolicy | undefined }> {
    const { read, problems: parsed } = this.read(files);
    const problems = [...parsed];
    // A draft may hold what cannot be provisioned yet; it is told all the same.
    if (read !== undefined) {
      const inForce = [read.policy];
      // A canary goes through a state in which both policies are in force; what it leads to must fit as well.
      if (terms.canary !== undefined)
        inForce.push(sideBySide(this.#settled.policy, read.policy, canarySelector(terms.canary)));
      const vetoes = [...provisionProblems(read.document), ...(await this.#options.veto(read, inForce))];
      problems.push(...vetoes.map((problem) => (provision ? problem : { ...problem, warning: true })));
    }
    const accepted = read !== undefined && !problems.some((problem) => !problem.warning);
    const outcome = { accepted, problems, changed: false, rules: read?.policy.rules.length ?? 0 };
    return { outcome, read: accepted ? read : undefined };
  }

  #demandReady({ expectedVersion: expected }: ProvisionRequest): void {
    const rollout = this.#open?.rollout;
    if (rollout !== undefined) {
      throw new ApiError(
        status.FAILED_PRECONDITION,
        'RF_POLICY_PENDING',
        `Cannot provision: found version ${rollout.version} ${rollout.canary === undefined ? 'awaiting confirmation' : 'in force as a canary'}, ` +
          'wanted none open; confirm, promote or return it first',
      );
    }
    if (expected === 0 || expected === this.#settled.version) return;
    throw conflict(
      `Cannot provision: found version ${this.#settled.version} in force, wanted ${expected}; look at what changed and try again`,
    );
  }

  /** The open rollout, which must be of this version (0: any). One whose window has ended is taken back. */
  async #demandOpen(version: number, action: string): Promise<{ rollout: Rollout; policy: PolicyInForce }> {
    const { now } = this.#options;
    const deadlineMs = this.#open?.rollout.deadlineMs ?? 0;
    if (deadlineMs > 0 && now() >= deadlineMs) await this.#takeBack(WINDOW_ENDED);
    const open = this.#open;
    if (open === undefined) {
      const newest = this.history(1, 0)[0]?.number ?? 0;
      const fate = this.fate(newest);
      const found = fate?.returned
        ? `version ${newest} was ${fate.why.startsWith('taken') ? fate.why : `taken back: ${fate.why}`}`
        : 'no rollout is open';
      throw new ApiError(
        status.FAILED_PRECONDITION,
        'RF_POLICY_SETTLED',
        `Cannot ${action} a policy version: ${found}; version ${this.#settled.version} is in force. Provision again`,
      );
    }
    if (version !== 0 && version !== open.rollout.version)
      throw conflict(
        `Cannot ${action} version ${version}: found version ${open.rollout.version} open, wanted that one`,
      );
    return open;
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }
}

function conflict(message: string): ApiError {
  return new ApiError(status.ABORTED, 'RF_POLICY_CONFLICT', message);
}
