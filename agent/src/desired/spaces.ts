/**
 * Names of address spaces to the kernel's numbers. The routed world ('') is 0; others get a hash of their name, so that a
 * restarted agent finds the same number without having kept it. Two names with one hash: the later one takes the next free
 * number, which a restart may swap; the maps are then rewritten like any other difference.
 */
export class SpaceNumbers {
  readonly #byName = new Map<string, number>([['', 0]]);
  readonly #taken = new Set<number>([0]);

  numberOf(name: string): number {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    let number = fnv1a(name);
    while (this.#taken.has(number)) number = (number + 1) >>> 0;
    this.#byName.set(name, number);
    this.#taken.add(number);
    return number;
  }
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
