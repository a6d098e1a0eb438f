// Counts by key, for references that several holders share.

/** Adds to a count and forgets it at zero. */
export function adjust<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
