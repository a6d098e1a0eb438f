// The draft: files that may be changed at will. Nothing of them is in force.
import { status } from '@grpc/grpc-js';
import type { PolicyDocument } from '../policy/model.js';
import type { PolicyFileRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import { ApiError } from './errors.js';
import { type PolicyFiles, sameFiles, sortFiles } from './policy-files.js';

export class PolicyDraft {
  readonly #store: StateStore;
  readonly #files: PolicyFiles;
  /** As last read. */
  #known: { files: readonly PolicyFileRecord[]; document: PolicyDocument | undefined } = {
    files: [],
    document: undefined,
  };

  constructor(store: StateStore, files: PolicyFiles) {
    this.#store = store;
    this.#files = files;
  }

  /** By name. */
  files(): PolicyFileRecord[] {
    return sortFiles([...this.#store.table('draftFile')].map(([name, { content }]) => ({ name, content })));
  }

  /** Its document when it can be read and differs from these files; remembered until the draft changes. */
  documents(others: readonly PolicyFileRecord[]): readonly PolicyDocument[] {
    const files = this.files();
    if (sameFiles(files, others)) return [];
    if (!sameFiles(files, this.#known.files)) this.#known = { files, document: this.#files.read(files).document };
    return this.#known.document === undefined ? [] : [this.#known.document];
  }

  /** Its document. Throws ApiError RF_POLICY_DRAFT when it cannot be read. */
  document(): PolicyDocument {
    const { document, problems } = this.#files.read(this.files());
    if (document !== undefined) return document;
    throw new ApiError(
      status.FAILED_PRECONDITION,
      'RF_POLICY_DRAFT',
      `Cannot use the draft: found ${problems.length} problems in it, wanted none; \`ringfence policy check\` shows them`,
    );
  }

  differs(others: readonly PolicyFileRecord[]): boolean {
    return !sameFiles(this.files(), others);
  }
}
