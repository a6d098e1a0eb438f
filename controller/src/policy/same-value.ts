// Equal content: numbers, texts, truth values, and lists and objects of such.

const NOTHING: ReadonlySet<string> = new Set();

/** By content. A field that is undefined is one that is not there. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((each, at) => sameValue(each, (b as unknown[])[at]))
    );
  }
  return sameFields(a, b, NOTHING);
}

/** By content, but for these fields. */
export function sameFields(a: object, b: object, except: ReadonlySet<string>): boolean {
  for (const key in a) {
    if (!except.has(key) && !sameValue(a[key as keyof typeof a], b[key as keyof typeof b])) return false;
  }
  for (const key in b) {
    if (!except.has(key) && b[key as keyof typeof b] !== undefined && !(key in a)) return false;
  }
  return true;
}
