// What the audit log keeps of changes to the draft, and of what became of versions.
import type { Records } from '../store/records.js';

interface Entry {
  readonly action: string;
  readonly object: string;
  readonly text: string;
  readonly detail?: object;
}

/** A change of the draft's files. */
export interface DraftChange {
  readonly key: string;
  readonly before?: Records['draftFile'];
  readonly after?: Records['draftFile'];
}

/** More files than this at once are one entry. */
const FILES_MAX = 20;

/** Files of the draft that differ. A folder that is applied at once changes the draft too. */
export function draftEntries(changes: readonly DraftChange[]): Entry[] {
  const differing = changes.filter(({ before, after }) => before?.content !== after?.content);
  if (differing.length > FILES_MAX) {
    const text = `${differing.length} files of the draft changed`;
    return [{ action: 'policy.draft', object: 'draft', text, detail: { files: differing.length } }];
  }
  return differing.map(({ key, before, after }) => {
    const what = before === undefined ? 'added to' : after === undefined ? 'removed from' : 'changed in';
    return { action: 'policy.draft', object: key, text: `file ${key} ${what} the draft` };
  });
}

/** `key` is a version's number with leading zeros. */
export function fateEntries(
  key: string,
  before: Records['policyFate'] | undefined,
  after: Records['policyFate'] | undefined,
): Entry[] {
  if (after === undefined) return [];
  const object = String(Number(key));
  const entries: Entry[] = [];
  if (after.confirmedMs !== 0 && (before?.confirmedMs ?? 0) === 0) {
    entries.push({ action: 'policy.confirm', object, text: `policy version ${object} confirmed` });
  }
  if (after.returned && before?.returned !== true) {
    const text = `policy version ${object} taken back${after.why === '' ? '' : `: ${after.why}`}`;
    entries.push({ action: 'policy.return', object, text, detail: { why: after.why } });
  }
  return entries;
}
