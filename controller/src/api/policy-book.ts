// Draft, versions and the open rollout. One change at a time; a version is on disk before it is in force; what is refused changes
// nothing. A rollout is on disk with it: a controller that was killed goes on with what is left of its window.
import {
  EMPTY_POLICY,
  type Policy,
  type PolicyDocument,
  type PolicyProblem,
  type PolicyWorkload,
  type RuleNumbers,
} from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import { formatSelector } from '../policy/selector.js';
import { policyOf, sideBySide } from '../policy/side-by-side.js';
import type { PolicyStanding } from '../session/host-terms.js';
import type { PersistentNumbers } from '../store/numbers.js';
import type { PolicyFateRecord, PolicyFileRecord, PolicyVersionRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import { PolicyDraft } from './policy-draft.js';
import { changedFiles, type PolicyChange, PolicyFiles, sameFiles } from './policy-files.js';
import { type Judgement, type JudgeOptions, judgePolicy, type PolicyOutcome } from './policy-judge.js';
import { conflictError, demandReady, notOpenError, settledError } from './policy-refusals.js';
import { ReturnTimer, type ReturnTimerOptions } from './policy-return.js';
import {
  canarySelector,
  NO_FATE,
  NO_TERMS,
  type ProvisionRequest,
  type Rollout,
  type RolloutTerms,
  rolloutOf,
  rolloutRecord,
  spoken,
} from './policy-rollout.js';
import {
  endVersion,
  loadVersion,
  type PolicyInForce,
  STATE_KEY,
  versionHistory,
  versionKey,
  versionRecord,
  writeDraft,
  writeVersion,
} from './policy-versions.js';
import type { ReadPolicy } from './policy-words.js';

export interface PolicyBookOptions extends ReturnTimerOptions {
  readonly store: StateStore;
  readonly ruleNumbers: PersistentNumbers;
  /** Problems without a place. */
  readonly veto: JudgeOptions['veto'];
  /** This is in force from now on. `what` happened, for the log. */
  readonly onStanding: (standing: PolicyStanding, what: string) => void;
}

/** Stands for the sentence with the window's length. */
const WINDOW_ENDED = 'window ended';

export class PolicyBook {
  readonly #options: PolicyBookOptions;
  readonly #files = new PolicyFiles();
  /** In force for good. */
  #settled: PolicyInForce;
  /** In force on condition. */
  #open: { readonly rollout: Rollout; readonly policy: PolicyInForce } | undefined;
  #decided: Policy = EMPTY_POLICY;
  readonly #timer: ReturnTimer;
  readonly #draft: PolicyDraft;
  #queue: Promise<unknown> = Promise.resolve();

  /** Reads what is in force. Throws PolicyUnreadableError. `resume` must follow before anything else is asked. */
  constructor(options: PolicyBookOptions) {
    this.#options = options;
    this.#timer = new ReturnTimer(options);
    this.#draft = new PolicyDraft(options.store, this.#files);
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
    this.#timer.stop();
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
    return this.#draft.files();
  }

  /** The draft's document when it can be read and differs from what is in force. */
  draftDocuments(): readonly PolicyDocument[] {
    return this.#draft.documents(this.newest.files);
  }

  /** The draft's document. Throws ApiError RF_POLICY_DRAFT when it cannot be read. */
  draftDocument(): PolicyDocument {
    return this.#draft.document();
  }

  draftDiffers(): boolean {
    return this.#draft.differs(this.newest.files);
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
        throw settledError(
          `Cannot promote version ${rollout.version}: found it in force everywhere, wanted a canary; confirm it instead`,
        );
      }
      if (confirmWithinMs === 0) await this.#settle(policy, author);
      else {
        const record = rolloutRecord(
          rollout.version,
          author,
          { confirmWithinMs, canary: undefined },
          this.#options.now(),
        );
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
    return versionRecord(this.#options.store, number);
  }

  /** Newest first, below `before` (0: from the newest). */
  history(limit: number, before: number): PolicyVersionRecord[] {
    return versionHistory(this.#options.store, limit, before);
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
    const rollout = conditional ? rolloutRecord(record.number, request.author, terms, record.createdMs) : null;
    await store.update((tx) => {
      writeDraft(tx, read.files);
      writeVersion(tx, record, rollout, before.version);
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

  /** Takes the open rollout back when its window ends. */
  #watch(): void {
    const rollout = this.#open?.rollout;
    this.#timer.watch(rollout, () =>
      this.#serially(async () => {
        if (this.#open?.rollout === rollout) await this.#takeBack(WINDOW_ENDED);
      }),
    );
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
      await this.#serially(async () => request && demandReady(request, this.rollout, this.settledVersion));
      const wanted = files();
      const settled = this.#settled;
      const { outcome, read } = await this.#judge(wanted, provision, request?.rollout);
      const done = await this.#serially(async () => {
        if (request !== undefined) demandReady(request, this.rollout, this.settledVersion);
        if (settled !== this.#settled || !sameFiles(wanted, files())) return undefined;
        return read === undefined ? outcome : goOn(read, outcome);
      });
      if (done !== undefined) return done;
    }
  }

  #judge(files: readonly PolicyFileRecord[], provision = true, terms: RolloutTerms = NO_TERMS): Promise<Judgement> {
    const { read, problems } = this.read(files);
    const { veto } = this.#options;
    return judgePolicy(read, problems, { settled: this.#settled.policy, terms, provision, veto });
  }

  /** The open rollout, which must be of this version (0: any). One whose window has ended is taken back. */
  async #demandOpen(version: number, action: string): Promise<{ rollout: Rollout; policy: PolicyInForce }> {
    const { now } = this.#options;
    const deadlineMs = this.#open?.rollout.deadlineMs ?? 0;
    if (deadlineMs > 0 && now() >= deadlineMs) await this.#takeBack(WINDOW_ENDED);
    const open = this.#open;
    if (open === undefined) {
      const newest = this.history(1, 0)[0]?.number ?? 0;
      throw notOpenError(action, newest, this.fate(newest), this.#settled.version);
    }
    if (version !== 0 && version !== open.rollout.version)
      throw conflictError(
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
