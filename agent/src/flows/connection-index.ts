// Open addressing from a connection's key to its row. Keys live in one Uint32Array; deletion shifts back, so that there are no
// tombstones and a lookup is as short after a day as in the first minute.

/** 32-bit words of a key: local and remote address (4 + 4), both ports, endpoint, protocol and lane. */
export const KEY_WORDS = 11;

export class ConnectionIndex {
  /** Keys by row, KEY_WORDS each. */
  readonly keys: Uint32Array;
  readonly #slots: Int32Array; // row + 1, 0 for empty
  readonly #hashes: Uint32Array; // by row
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #mask: number;
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    let slots = 16;
    while (slots < capacity * 2) slots *= 2;
    this.#mask = slots - 1;
    this.#slots = new Int32Array(slots);
    this.keys = new Uint32Array(capacity * KEY_WORDS);
    this.#hashes = new Uint32Array(capacity);
    this.#free = new Int32Array(capacity);
    for (let i = 0; i < capacity; i++) this.#free[i] = capacity - 1 - i;
    this.#freeCount = capacity;
  }

  /** Rows in use. */
  get size(): number {
    return this.capacity - this.#freeCount;
  }

  /** Row of the key, or -1. */
  find(key: Uint32Array): number {
    const hash = hashOf(key);
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const row = (this.#slots[slot] as number) - 1;
      if (row < 0) return -1;
      if (this.#hashes[row] === hash && this.#equals(row, key)) return row;
    }
  }

  /** A row for a key that find did not find; -1 when there is no room but what is spared for others. */
  insert(key: Uint32Array, spared = 0): number {
    if (this.#freeCount <= spared) return -1;
    this.#freeCount -= 1;
    const row = this.#free[this.#freeCount] as number;
    const hash = hashOf(key);
    let slot = hash & this.#mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = row + 1;
    this.#hashes[row] = hash;
    this.keys.set(key, row * KEY_WORDS);
    return row;
  }

  /** Gives the row back. */
  remove(row: number): void {
    let hole = (this.#hashes[row] as number) & this.#mask;
    while (this.#slots[hole] !== row + 1) hole = (hole + 1) & this.#mask;
    // Every later row of the run that does not sit at or after its home moves into the hole.
    for (let slot = (hole + 1) & this.#mask; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) {
      const home = (this.#hashes[(this.#slots[slot] as number) - 1] as number) & this.#mask;
      if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
      this.#slots[hole] = this.#slots[slot] as number;
      hole = slot;
    }
    this.#slots[hole] = 0;
    this.#free[this.#freeCount] = row;
    this.#freeCount += 1;
  }

  #equals(row: number, key: Uint32Array): boolean {
    const base = row * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) if (this.keys[base + i] !== key[i]) return false;
    return true;
  }
}

function hashOf(key: Uint32Array): number {
  let hash = 0x9e3779b9;
  for (let i = 0; i < KEY_WORDS; i++) {
    hash = Math.imul(hash ^ (key[i] as number), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
