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

/** Blocks (about 1 MB each) that the records of one follower are in: a reader that stands still keeps no more of them in memory. */
export const FOLLOWER_BLOCKS_MAX = 128;
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
  /** Blocks that these records are in. */
  #blocks = 0;
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
      if (this.#head === this.#records.length || this.#records.at(-1)?.block !== block) this.#blocks += 1;
      this.#records.push({ block, index });
      any = true;
      while (this.#records.length - this.#head > this.#bufferMax || this.#blocks > FOLLOWER_BLOCKS_MAX) {
        this.#shift();
        this.#dropped += 1;
      }
    }
    this.#cut();
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
    const records: FlowRef[] = [];
    while (records.length < limit && this.#head < this.#records.length) {
      const record = this.#shift();
      // What was replaced while it waited comes as what took its place.
      if (record.block.retired[record.index] === 0) records.push(record);
    }
    this.#cut();
    return gaps.length + records.length === 0 ? undefined : { gaps, records };
  }

  /** The oldest record leaves; there must be one. */
  #shift(): FlowRef {
    const record = this.#records[this.#head] as FlowRef;
    this.#head += 1;
    if (this.#records[this.#head]?.block !== record.block) this.#blocks -= 1;
    return record;
  }

  /** What has left is cut off the front when it is half of all, not at every record. */
  #cut(): void {
    if (2 * this.#head < this.#records.length) return;
    this.#records = this.#records.slice(this.#head);
    this.#head = 0;
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
