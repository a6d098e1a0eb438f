// Draft and versions. One change at a time; a version is on disk before it is in force; what is refused changes nothing.
import { status } from '@grpc/grpc-js';
import {
  EMPTY_DOCUMENT,
  EMPTY_POLICY,
  type Policy,
  type PolicyDocument,
  type PolicyProblem,
  type RuleNumbers,
} from '../policy/model.js';
import { parsePolicy, provisionProblems, resolvePolicy } from '../policy/parse.js';
import type { PersistentNumbers } from '../store/numbers.js';
import type { PolicyFileRecord, PolicyVersionRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import { ApiError, invalid, notFound } from './errors.js';
import type { ReadPolicy } from './policy-words.js';

const FILES_MAX = 1000;
const FILE_BYTES_MAX = 1_000_000;
const TOTAL_BYTES_MAX = 16_000_000;
/** Versions kept; older ones are dropped. */
const VERSIONS_MAX = 500;
const FILE_NAME = /^(?!.*(^|\/)\.\.?(\/|$))[^\p{Cc}\\]{1,255}$/u;

/** A change that is asked for. */
export interface PolicyChange {
  readonly files: readonly PolicyFileRecord[];
  /** Files that are not named here go. */
  readonly prune: boolean;
  readonly remove: readonly string[];
}

export interface ProvisionRequest {
  readonly author: string;
  readonly note: string;
  /** 0: whatever is in force. */
  readonly expectedVersion: number;
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
  /** Why this policy must not be provisioned as things stand (capacities, tests); problems without a place. */
  readonly veto: (read: ReadPolicy) => readonly PolicyProblem[];
  /** A version is in force from now on. */
  readonly onProvisioned: (policy: Policy, version: number) => void;
}

/** The policy in force. */
export interface PolicyInForce extends ReadPolicy {
  /** 0: none was ever provisioned. */
  readonly version: number;
  readonly record: PolicyVersionRecord | undefined;
}

/** A provisioned policy that this program cannot read: it must not be taken for an empty one. */
export class PolicyUnreadableError extends Error {
  override readonly name = 'PolicyUnreadableError';
  readonly code = 'RF_POLICY_UNREADABLE';
}

export class PolicyBook {
  readonly #options: PolicyBookOptions;
  #current: PolicyInForce;
  #draft: { files: readonly PolicyFileRecord[]; document: PolicyDocument | undefined } = {
    files: [],
    document: undefined,
  };
  #queue: Promise<unknown> = Promise.resolve();

  /** Reads the newest version. Throws PolicyUnreadableError. */
  constructor(options: PolicyBookOptions) {
    this.#options = options;
    const record = this.history(1, 0)[0];
    if (record === undefined) {
      this.#current = { files: [], document: EMPTY_DOCUMENT, policy: EMPTY_POLICY, version: 0, record: undefined };
      return;
    }
    const { document, problems } = readFiles(record.files);
    if (document === undefined) {
      throw new PolicyUnreadableError(
        `Cannot read policy version ${record.number} from the store: ${problems.find((p) => !p.warning)?.message ?? 'no document'}; ` +
          'it was provisioned by another version of this program',
      );
    }
    const policy = resolvePolicy(document, options.ruleNumbers);
    this.#current = { files: record.files, document, policy, version: record.number, record };
  }

  get current(): PolicyInForce {
    return this.#current;
  }

  /** The draft's files, by name. */
  draftFiles(): PolicyFileRecord[] {
    return sortFiles([...this.#options.store.table('draftFile')].map(([name, { content }]) => ({ name, content })));
  }

  /** The draft's document when it can be read and differs; remembered until the draft changes. */
  draftDocuments(): readonly PolicyDocument[] {
    const files = this.draftFiles();
    if (sameFiles(files, this.#current.files)) return [];
    if (!sameFiles(files, this.#draft.files)) this.#draft = { files, document: readFiles(files).document };
    return this.#draft.document === undefined ? [] : [this.#draft.document];
  }

  draftDiffers(): boolean {
    return !sameFiles(this.draftFiles(), this.#current.files);
  }

  /** Files read as a policy whose new rules get numbers that are not kept. */
  read(files: readonly PolicyFileRecord[]): {
    readonly read: ReadPolicy | undefined;
    readonly problems: readonly PolicyProblem[];
  } {
    const { document, problems } = readFiles(files);
    if (document === undefined) return { read: undefined, problems };
    return { read: { files, document, policy: resolvePolicy(document, this.#options.ruleNumbers.trial()) }, problems };
  }

  /** Checks a change as apply would. Throws ApiError on a request that is none. */
  check(change: PolicyChange): PolicyOutcome {
    return this.#judge(this.#changed(change)).outcome;
  }

  /** Puts a change into the draft and, with `provision`, in force: both or none. */
  apply(change: PolicyChange, provision: ProvisionRequest | undefined): Promise<PolicyOutcome> {
    return this.#serially(async () => {
      if (provision !== undefined) this.#demandVersion(provision.expectedVersion);
      const files = this.#changed(change);
      const { outcome, read } = this.#judge(files, provision !== undefined);
      if (read === undefined) return outcome;
      if (provision !== undefined) return this.#provision(read, outcome, provision, 0);
      const changed = !sameFiles(files, this.draftFiles());
      await this.#options.store.update((tx) => writeDraft(tx, files));
      return { ...outcome, changed };
    });
  }

  /** Puts the draft in force. */
  provision(request: ProvisionRequest): Promise<PolicyOutcome> {
    return this.#serially(async () => {
      this.#demandVersion(request.expectedVersion);
      const { outcome, read } = this.#judge(this.draftFiles(), true);
      return read === undefined ? outcome : this.#provision(read, outcome, request, 0);
    });
  }

  /** Puts the content of an old version in force, as a new version. */
  rollback(version: number, request: ProvisionRequest): Promise<PolicyOutcome> {
    return this.#serially(async () => {
      const { outcome, read } = this.#judge(this.version(version).files, true);
      return read === undefined ? outcome : this.#provision(read, outcome, request, version);
    });
  }

  /** Makes the draft what is in force. */
  discardDraft(): Promise<void> {
    return this.#serially(() => this.#options.store.update((tx) => writeDraft(tx, this.#current.files)));
  }

  /** Throws ApiError RF_POLICY_VERSION. */
  version(number: number): PolicyVersionRecord {
    const record = this.#options.store.get('policyVersion', versionKey(number));
    if (record === undefined) {
      throw notFound(
        'RF_POLICY_VERSION',
        `Cannot read policy version ${number}: found versions up to ${this.#current.version}, wanted one of the ${VERSIONS_MAX} newest`,
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
    const { store, ruleNumbers, now, onProvisioned } = this.#options;
    if (this.#current.version > 0 && sameFiles(read.files, this.#current.files)) {
      await store.update((tx) => writeDraft(tx, read.files));
      return { ...outcome, changed: false };
    }
    const policy = resolvePolicy(read.document, ruleNumbers as RuleNumbers);
    await ruleNumbers.save();
    const record: PolicyVersionRecord = {
      number: this.#current.version + 1,
      author: request.author,
      note: request.note,
      createdMs: now(),
      rules: policy.rules.length,
      rollbackOf,
      files: [...read.files],
    };
    await store.update((tx) => {
      writeDraft(tx, read.files);
      tx.set('policyVersion', versionKey(record.number), record);
      tx.delete('policyVersion', versionKey(record.number - VERSIONS_MAX));
    });
    this.#current = { ...read, policy, version: record.number, record };
    onProvisioned(policy, record.number);
    return { ...outcome, changed: true };
  }

  /** The draft's files after a change. Throws ApiError RF_POLICY_FILES. */
  #changed(change: PolicyChange): PolicyFileRecord[] {
    const files = new Map<string, PolicyFileRecord>();
    if (!change.prune) for (const file of this.draftFiles()) files.set(file.name, file);
    for (const name of change.remove) files.delete(name);
    const named = new Set<string>();
    for (const { name, content } of change.files) {
      if (!FILE_NAME.test(name) || name.startsWith('/')) {
        throw filesError(
          `the name ${JSON.stringify(name.slice(0, 60))}`,
          'a relative path of at most 255 characters without ".."',
        );
      }
      if (named.has(name)) throw filesError(`file ${name} twice`, 'each name once');
      if (Buffer.byteLength(content) > FILE_BYTES_MAX)
        throw filesError(`file ${name} above ${FILE_BYTES_MAX} bytes`, 'smaller files');
      named.add(name);
      files.set(name, { name, content });
    }
    if (files.size > FILES_MAX) throw filesError(`${files.size} files`, `at most ${FILES_MAX}`);
    const total = [...files.values()].reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
    if (total > TOTAL_BYTES_MAX) throw filesError(`${total} bytes in all files`, `at most ${TOTAL_BYTES_MAX}`);
    return sortFiles([...files.values()]);
  }

  #judge(
    files: readonly PolicyFileRecord[],
    provision = true,
  ): { readonly outcome: PolicyOutcome; readonly read: ReadPolicy | undefined } {
    const { read, problems: parsed } = this.read(files);
    const problems = [...parsed];
    // A draft may hold what cannot be provisioned yet; it is told all the same.
    if (read !== undefined) {
      const vetoes = [...provisionProblems(read.document), ...this.#options.veto(read)];
      problems.push(...vetoes.map((problem) => (provision ? problem : { ...problem, warning: true })));
    }
    const accepted = read !== undefined && !problems.some((problem) => !problem.warning);
    const outcome = { accepted, problems, changed: false, rules: read?.policy.rules.length ?? 0 };
    return { outcome, read: accepted ? read : undefined };
  }

  #demandVersion(expected: number): void {
    if (expected === 0 || expected === this.#current.version) return;
    throw new ApiError(
      status.ABORTED,
      'RF_POLICY_CONFLICT',
      `Cannot provision: found version ${this.#current.version} in force, wanted ${expected}; look at what changed and try again`,
    );
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }
}

function readFiles(files: readonly PolicyFileRecord[]): {
  document: PolicyDocument | undefined;
  problems: readonly PolicyProblem[];
} {
  return parsePolicy(files.map(({ name, content }) => ({ name, text: content })));
}

function writeDraft(tx: StateTransaction, files: readonly PolicyFileRecord[]): void {
  const names = new Set(files.map(({ name }) => name));
  for (const [name] of [...tx.entries('draftFile')]) if (!names.has(name)) tx.delete('draftFile', name);
  for (const { name, content } of files) tx.set('draftFile', name, { content });
}

function sameFiles(a: readonly PolicyFileRecord[], b: readonly PolicyFileRecord[]): boolean {
  return a.length === b.length && a.every((file, i) => file.name === b[i]?.name && file.content === b[i]?.content);
}

function sortFiles(files: PolicyFileRecord[]): PolicyFileRecord[] {
  return files.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function versionKey(number: number): string {
  return String(number).padStart(10, '0');
}

function filesError(found: string, wanted: string): Error {
  return invalid('RF_POLICY_FILES', `Cannot take policy files: found ${found}, wanted ${wanted}`);
}
