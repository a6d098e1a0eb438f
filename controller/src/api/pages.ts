// Long lists in pages: sorted by id, the token is the last id of the page before.
import type { PageRequest } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';

const PAGE_MAX = 1000;

export interface Page<T> {
  readonly items: T[];
  /** Empty on the last page. */
  readonly nextToken: string;
  readonly total: number;
}

/** The page asked for. `records` may be in any order. */
export function pageOf<T extends { readonly id: string }>(
  records: readonly T[],
  page: PageRequest | undefined,
): Page<T> {
  const limit = Math.min(PAGE_MAX, page?.limit || PAGE_MAX);
  const after = page?.token ?? '';
  const sorted = [...records].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const from = after === '' ? 0 : sorted.findIndex(({ id }) => id > after);
  const items = from < 0 ? [] : sorted.slice(from, from + limit);
  const last = items.at(-1);
  const more = from >= 0 && from + limit < sorted.length && last !== undefined;
  return { items, nextToken: more ? last.id : '', total: sorted.length };
}
