// The newest flow records in memory, the oldest dropped and counted. What is kept on disk: store/.
import { BLOCK_RECORDS, FlowBlock } from './block.js';

/** One record: where it is. */
export interface FlowRef {
  readonly block: FlowBlock;
  readonly index: number;
}

export type FlowPredicate = (block: FlowBlock, index: number) => boolean;

export interface FlowHistory {
  /** The block to write next, with room for at least one record. */
  writable(): FlowBlock;
  /** Another record has taken the place of the one with this id; one that is not kept any more is none. */
  retire(id: number): void;
  /** The newest records that match, oldest first. */
  newest(matches: FlowPredicate, limit: number): FlowRef[];
  /** Records kept, at most, and dropped so far. */
  status(): { readonly kept: number; readonly keptMax: number; readonly dropped: number };
}

/** Keeps at most about `recordsMax` records, in whole blocks. */
export class MemoryHistory implements FlowHistory {
  readonly #blocksMax: number;
  readonly #blocks: FlowBlock[] = [];
  #nextId: number;
  #dropped = 0;
  /** Of the records in blocks. */
  #retired = 0;
  /** In blocks that are gone. */
  #left = 0;

  constructor(recordsMax: number, firstId = 1) {
    this.#nextId = firstId;
    this.#blocksMax = Math.max(2, Math.ceil(recordsMax / BLOCK_RECORDS));
  }

  /** Rows written so far, those that another one has taken the place of included. */
  get writtenTotal(): number {
    return this.#blocks.reduce((sum, { count }) => sum + count, 0) + this.#left;
  }

  writable(): FlowBlock {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.count < BLOCK_RECORDS) return last;
    const block = new FlowBlock(this.#nextId);
    this.#nextId += BLOCK_RECORDS;
    this.#blocks.push(block);
    if (this.#blocks.length > this.#blocksMax) this.#drop(this.#blocks.shift());
    return block;
  }

  retire(id: number): void {
    const first = this.#blocks[0];
    const block = first && this.#blocks[Math.floor((id - first.firstId) / BLOCK_RECORDS)];
    const index = block === undefined ? -1 : id - block.firstId;
    if (block === undefined || index < 0 || index >= block.count || block.retired[index] !== 0) return;
    block.retired[index] = 1;
    this.#retired += 1;
  }

  newest(matches: FlowPredicate, limit: number): FlowRef[] {
    const found: FlowRef[] = [];
    for (let b = this.#blocks.length - 1; b >= 0 && found.length < limit; b -= 1) {
      const block = this.#blocks[b];
      if (block === undefined) break;
      for (let index = block.count - 1; index >= 0 && found.length < limit; index -= 1) {
        if (block.retired[index] === 0 && matches(block, index)) found.push({ block, index });
      }
    }
    return found.reverse();
  }

  status(): { kept: number; keptMax: number; dropped: number } {
    const kept = this.#blocks.reduce((sum, block) => sum + block.count, 0) - this.#retired;
    return { kept, keptMax: this.#blocksMax * BLOCK_RECORDS, dropped: this.#dropped };
  }

  #drop(block: FlowBlock | undefined): void {
    if (block === undefined) return;
    const retired = block.retired.reduce((sum, each) => sum + each, 0);
    this.#retired -= retired;
    this.#dropped += block.count - retired;
    this.#left += block.count;
  }
}
