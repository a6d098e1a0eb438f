// The identities of one group of a set, ascending. Nearly all lists are short: plain arrays. One that names everybody is held in
// chunks with their digests, so that one more identity costs one chunk and not a walk over the fleet.
import { chunkDigest, endsChunk, LONG_LIST, type NumberList } from '@ringfence/proto/policy-set.js';

/** Ascending and distinct. Never changed in place: published sets share it. */
export type Peers = readonly number[] | LongPeers;

/** A list of these numbers, ascending and distinct. */
export function peersOf(numbers: readonly number[]): Peers {
  return numbers.length > LONG_LIST ? LongPeers.of(numbers) : numbers;
}

/** The list with one number more, which it does not hold. */
export function withPeer(peers: Peers, number: number): Peers {
  if (peers instanceof LongPeers) return peers.with(number);
  const more = spliced(peers, indexOf(peers, number), 0, number);
  return more.length > LONG_LIST ? LongPeers.of(more) : more;
}

/** The list without one number, which it holds. */
export function withoutPeer(peers: Peers, number: number): Peers {
  if (!(peers instanceof LongPeers)) return spliced(peers, indexOf(peers, number), 1);
  const fewer = peers.without(number);
  return fewer.length > LONG_LIST ? fewer : [...fewer];
}

/** The lowest of them; 0 when there is none. */
export function firstOf(peers: Peers): number {
  for (const number of peers) return number;
  return 0;
}

interface Chunk {
  /** Ascending; all but the last chunk's end where `endsChunk` says. */
  readonly ids: readonly number[];
  digest: Uint8Array | undefined;
}

/** More than LONG_LIST numbers. Immutable; lists that come of each other share their chunks. */
export class LongPeers implements NumberList {
  readonly length: number;
  readonly #chunks: readonly Chunk[];

  private constructor(chunks: readonly Chunk[], length: number) {
    this.#chunks = chunks;
    this.length = length;
  }

  static of(numbers: readonly number[]): LongPeers {
    return new LongPeers(chunked(numbers), numbers.length);
  }

  /** Digests of the chunks, as policySet asks for. */
  digests(): Uint8Array[] {
    return this.#chunks.map((chunk) => {
      chunk.digest ??= chunkDigest(chunk.ids);
      return chunk.digest;
    });
  }

  includes(number: number): boolean {
    const ids = this.#chunks[this.#chunkOf(number)]?.ids ?? [];
    return ids[indexOf(ids, number)] === number;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const { ids } of this.#chunks) yield* ids;
  }

  with(number: number): LongPeers {
    const at = this.#chunkOf(number);
    const ids = this.#chunks[at]?.ids ?? [];
    const more = spliced(ids, indexOf(ids, number), 0, number);
    return new LongPeers(this.#replaced(at, 1, more), this.length + 1);
  }

  without(number: number): LongPeers {
    const at = this.#chunkOf(number);
    const ids = this.#chunks[at]?.ids ?? [];
    const fewer = spliced(ids, indexOf(ids, number), 1);
    // What ended at this number goes on into the next chunk.
    const next = endsChunk(number) ? this.#chunks[at + 1] : undefined;
    const joined = next === undefined ? fewer : [...fewer, ...next.ids];
    return new LongPeers(this.#replaced(at, next === undefined ? 1 : 2, joined), this.length - 1);
  }

  #replaced(at: number, count: number, ids: readonly number[]): Chunk[] {
    const chunks = [...this.#chunks];
    chunks.splice(at, count, ...chunked(ids));
    return chunks;
  }

  /** The chunk that holds a number, or would: the first whose last number is not below it, else the last. */
  #chunkOf(number: number): number {
    let [low, high] = [0, this.#chunks.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#chunks[middle]?.ids.at(-1) ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function chunked(ids: readonly number[]): Chunk[] {
  const chunks: Chunk[] = [];
  let from = 0;
  ids.forEach((id, at) => {
    if (!endsChunk(id) && at < ids.length - 1) return;
    chunks.push({ ids: from === 0 && at === ids.length - 1 ? ids : ids.slice(from, at + 1), digest: undefined });
    from = at + 1;
  });
  return chunks;
}

/** First index whose number is not below `number`. */
function indexOf(ascending: readonly number[], number: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A copy; much faster than toSpliced. */
function spliced(list: readonly number[], at: number, count: number, ...more: readonly number[]): number[] {
  const copy = list.slice();
  copy.splice(at, count, ...more);
  return copy;
}
