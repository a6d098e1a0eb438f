// What a valid tag in a SYN means to policy: of those behind a shared address it names one, and he is decided alone.

/**
 * The candidates that a tag leaves; `named`: whether it names this one. A tag that names nobody behind the address changes nothing:
 * it never adds a candidate.
 */
export function candidatesByTag<T>(candidates: readonly T[], named: (candidate: T) => boolean): readonly T[] {
  const left = candidates.filter(named);
  return left.length === 0 ? candidates : left;
}
