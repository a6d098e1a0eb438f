// Live tails. Each follower has a bounded buffer of references to records; a slow one loses its oldest and is told how many, at the
// place where they are missing. Nothing here waits for a reader.
import type { FlowBlock } from './block.js';
import { type Gap, joined } from './gaps.js';
import type { FlowPredicate, FlowRef } from './history.js';

/** What a follower takes out at once. */
export interface Taken {
  /** Missing before the records. */
  readonly gaps: readonly Gap[];
  readonly records: readonly FlowRef[];
}

/** Hops and hosts of which losses are told apart; further ones are added up. */
const GAPS_MAX = 256;

export class Follower {
  readonly #matches: FlowPredicate;
  readonly #bufferMax: number;
  readonly #sample: number;
  readonly #wake: () => void;
  #records: FlowRef[] = [];
  /** Index of the oldest record in #records that is not dropped. */
  #head = 0;
  #dropped = 0;
  #matched = 0;
  readonly #gaps = new Map<string, Gap>();

  /** `wake` is called when there is something to take, at least once after each time that there was nothing. */
  constructor(matches: FlowPredicate, options: { bufferMax: number; sample: number }, wake: () => void) {
    this.#matches = matches;
    this.#bufferMax = options.bufferMax;
    this.#sample = Math.max(1, options.sample);
    this.#wake = wake;
  }

  /** Records from..to of a block are new. Returns how many older ones were dropped. */
  offer(block: FlowBlock, from: number, to: number): number {
    const droppedBefore = this.#dropped;
    let any = false;
    for (let index = from; index < to; index += 1) {
      if (!this.#matches(block, index)) continue;
      this.#matched += 1;
      if (this.#sample > 1 && this.#matched % this.#sample !== 1) continue;
      this.#records.push({ block, index });
      any = true;
      if (this.#records.length - this.#head > this.#bufferMax) {
        this.#head += 1;
        this.#dropped += 1;
      }
    }
    // The dropped front is cut off now and then, not at every record.
    if (this.#head > this.#bufferMax) {
      this.#records = this.#records.slice(this.#head);
      this.#head = 0;
    }
    if (any) this.#wake();
    return this.#dropped - droppedBefore;
  }

  /** Records were lost before they reached the controller. */
  offerGap(gap: Gap): void {
    const wanted = `${gap.hop}|${gap.hostId}`;
    const key = this.#gaps.size >= GAPS_MAX && !this.#gaps.has(wanted) ? `${gap.hop}|` : wanted;
    const known = this.#gaps.get(key);
    this.#gaps.set(
      key,
      known === undefined ? { ...gap, hostId: key === wanted ? gap.hostId : '' } : joined(known, gap),
    );
    this.#wake();
  }

  /** At most `limit` records, oldest first, with what is missing before them; undefined when there is nothing. */
  take(limit: number): Taken | undefined {
    const gaps = [...this.#gaps.values()];
    this.#gaps.clear();
    if (this.#dropped > 0) gaps.push({ hop: 'subscriber', hostId: '', count: this.#dropped, fromUs: 0, untilUs: 0 });
    this.#dropped = 0;
    const taken = this.#records.slice(this.#head, this.#head + limit);
    this.#head += taken.length;
    // What was replaced while it waited comes as what took its place.
    const records = taken.filter(({ block, index }) => block.retired[index] === 0);
    if (this.#head === this.#records.length) {
      this.#records = [];
      this.#head = 0;
    }
    return gaps.length + records.length === 0 ? undefined : { gaps, records };
  }
}

/** All live tails. */
export class Followers {
  readonly #followers = new Set<Follower>();
  #dropped = 0;

  get count(): number {
    return this.#followers.size;
  }

  /** Records that slow followers lost, all together. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Returns the way to stop. */
  add(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  offer(block: FlowBlock, from: number, to: number): void {
    for (const follower of this.#followers) this.#dropped += follower.offer(block, from, to);
  }

  offerGap(gap: Gap): void {
    for (const follower of this.#followers) follower.offerGap(gap);
  }
}
