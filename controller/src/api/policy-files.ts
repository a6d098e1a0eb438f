// The files of a policy: what may be one, what a change makes of them.
import type { PolicyDocument, PolicyProblem } from '../policy/model.js';
import { KnownFiles, parsePolicy } from '../policy/parse.js';
import type { PolicyFileRecord } from '../store/records.js';
import { invalid } from './errors.js';

const FILES_MAX = 1000;
const FILE_BYTES_MAX = 1_000_000;
const TOTAL_BYTES_MAX = 16_000_000;
const FILE_NAME = /^(?!.*(^|\/)\.\.?(\/|$))[^\p{Cc}\\]{1,255}$/u;

/** A change that is asked for. */
export interface PolicyChange {
  readonly files: readonly PolicyFileRecord[];
  /** Files that are not named here go. */
  readonly prune: boolean;
  readonly remove: readonly string[];
}

/** The draft's files after a change, by name. Throws ApiError RF_POLICY_FILES. */
export function changedFiles(change: PolicyChange, draft: readonly PolicyFileRecord[]): PolicyFileRecord[] {
  const files = new Map<string, PolicyFileRecord>();
  if (!change.prune) for (const file of draft) files.set(file.name, file);
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

/** Reads policy files, and remembers them: what is written as before costs next to nothing, and is the same objects. */
export class PolicyFiles {
  readonly #known = new KnownFiles();

  read(files: readonly PolicyFileRecord[]): {
    readonly document: PolicyDocument | undefined;
    readonly problems: readonly PolicyProblem[];
  } {
    const sources = files.map(({ name, content }) => ({ name, text: content }));
    return parsePolicy(sources, this.#known);
  }
}

export function sameFiles(a: readonly PolicyFileRecord[], b: readonly PolicyFileRecord[]): boolean {
  return a.length === b.length && a.every((file, i) => file.name === b[i]?.name && file.content === b[i]?.content);
}

export function sortFiles(files: PolicyFileRecord[]): PolicyFileRecord[] {
  return files.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function filesError(found: string, wanted: string): Error {
  return invalid('RF_POLICY_FILES', `Cannot take policy files: found ${found}, wanted ${wanted}`);
}
