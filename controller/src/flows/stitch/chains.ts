// Hash chains over slots that are numbered by somebody else: add, remove, walk. No allocation after construction but by growing. Adding and
// removing cost the same however long a chain is: everything that calls one service may be in one.

export class Chains {
  #heads: Int32Array;
  #next: Int32Array;
  /** The slot before; at the front of a chain nothing that counts. */
  #prev: Int32Array;
  #hashes: Uint32Array;
  #mask: number;

  constructor(slots: number) {
    const size = sizeFor(slots);
    this.#heads = new Int32Array(size).fill(-1);
    this.#next = new Int32Array(slots).fill(-1);
    this.#prev = new Int32Array(slots);
    this.#hashes = new Uint32Array(slots);
    this.#mask = size - 1;
  }

  /** The first slot that may have this hash, -1 for none. */
  first(hash: number): number {
    return this.#skip(this.#heads[hash & this.#mask] as number, hash);
  }

  /** The next one after a slot with this hash. */
  after(slot: number, hash: number): number {
    return this.#skip(this.#next[slot] as number, hash);
  }

  /** Under which hash a slot is in its chain. */
  hashOf(slot: number): number {
    return this.#hashes[slot] as number;
  }

  /** The slot must not be in a chain. */
  add(slot: number, hash: number): void {
    const head = hash & this.#mask;
    const first = this.#heads[head] as number;
    this.#hashes[slot] = hash;
    this.#next[slot] = first;
    if (first >= 0) this.#prev[first] = slot;
    this.#heads[head] = slot;
  }

  /** The slot must be in a chain. */
  remove(slot: number): void {
    const head = (this.#hashes[slot] as number) & this.#mask;
    const next = this.#next[slot] as number;
    const prev = this.#prev[slot] as number;
    if (next >= 0) this.#prev[next] = prev;
    if (this.#heads[head] === slot) this.#heads[head] = next;
    else this.#next[prev] = next;
  }

  /** Room for more slots; `live` says which are in a chain. */
  grow(slots: number, live: (slot: number) => boolean): void {
    const old = this.#hashes;
    const size = sizeFor(slots);
    this.#heads = new Int32Array(size).fill(-1);
    this.#next = new Int32Array(slots).fill(-1);
    this.#prev = new Int32Array(slots);
    this.#hashes = new Uint32Array(slots);
    this.#mask = size - 1;
    for (let slot = 0; slot < old.length; slot += 1) if (live(slot)) this.add(slot, old[slot] as number);
  }

  #skip(from: number, hash: number): number {
    let slot = from;
    while (slot >= 0 && this.#hashes[slot] !== hash) slot = this.#next[slot] as number;
    return slot;
  }
}

function sizeFor(slots: number): number {
  let size = 16;
  while (size < slots) size *= 2;
  return size;
}

/** Mixes a word into a hash. */
export function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
