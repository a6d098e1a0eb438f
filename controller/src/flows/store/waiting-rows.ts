// Batches that stand in the journal and not in the database yet, oldest first. A row that another one takes the place of while it waits is
// never stored: most rows of a connection that is told of twice, or by both of its ends, are written once.
import type { JournaledBatch } from './journal-entry.js';

interface Waiting {
  readonly batch: JournaledBatch;
  /** Milliseconds of a clock that does not go back. */
  readonly atMs: number;
  /** Its rows have ids from here on; ascends, also over batches without rows. */
  readonly firstId: number;
  /** Not 0: another row has taken its place. By place in the batch; undefined: none. */
  dead: Uint8Array | undefined;
  deadCount: number;
  /** Ids that go with it and did not wait here. */
  readonly going: number[];
}

export class WaitingRows {
  readonly #batches: Waiting[] = [];
  /** So many of the oldest are being stored: what happens to their rows now happens to stored ones. */
  #underWay = 0;
  #rows = 0;
  #live = 0;

  /** Rows in memory, those that are stored never included. */
  get rows(): number {
    return this.#rows;
  }

  /** What storing all of it will add to the number of stored records. */
  get net(): number {
    return this.#batches.reduce((sum, { going }) => sum - going.length, this.#live);
  }

  /** When the oldest batch that nobody stores yet came; undefined: there is none. */
  get oldestMs(): number | undefined {
    return this.#batches[this.#underWay]?.atMs;
  }

  get batches(): readonly JournaledBatch[] {
    return this.#batches.map(({ batch }) => batch);
  }

  add(batch: JournaledBatch, atMs: number): void {
    const last = this.#batches.at(-1);
    const firstId = batch.count > 0 ? batch.firstId : last === undefined ? 0 : last.firstId + last.batch.count;
    const waiting: Waiting = { batch, atMs, firstId, dead: undefined, deadCount: 0, going: [] };
    this.#batches.push(waiting);
    this.#rows += batch.count;
    this.#live += batch.count;
    for (const id of batch.replaced) if (!this.#kill(id)) waiting.going.push(id);
  }

  /** The oldest batches, as they are to be stored: those that came before a time, and more as long as more rows than `rowsMax` stay. */
  take(beforeMs: number, rowsMax: number): JournaledBatch[] {
    const taken: JournaledBatch[] = [];
    let rows = this.#rows;
    for (const waiting of this.#batches) {
      if (waiting.atMs > beforeMs && rows <= rowsMax) break;
      rows -= waiting.batch.count;
      taken.push(toStore(waiting));
    }
    this.#underWay = taken.length;
    return taken;
  }

  /** What was taken is stored, or not. */
  settle(stored: boolean): void {
    if (stored) {
      for (const { batch, deadCount } of this.#batches.splice(0, this.#underWay)) {
        this.#rows -= batch.count;
        this.#live -= batch.count - deadCount;
      }
    }
    this.#underWay = 0;
  }

  /** False: it does not wait. */
  #kill(id: number): boolean {
    let [low, high] = [this.#underWay, this.#batches.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#batches[middle] as Waiting).firstId <= id) low = middle;
      else high = middle - 1;
    }
    const found = this.#batches[low];
    if (found === undefined || low < this.#underWay) return false;
    const place = id - found.firstId;
    if (place < 0 || place >= found.batch.count) return false;
    found.dead ??= new Uint8Array(found.batch.count);
    if (found.dead[place] === 0) {
      found.dead[place] = 1;
      found.deadCount += 1;
      this.#live -= 1;
    }
    return true;
  }
}

function toStore({ batch, dead, deadCount, going }: Waiting): JournaledBatch {
  const replaced = Float64Array.from(going);
  if (dead === undefined) return { ...batch, replaced };
  const live = new Uint32Array(batch.count - deadCount);
  let at = 0;
  for (let place = 0; place < dead.length; place += 1) {
    if (dead[place] !== 0) continue;
    live[at] = place;
    at += 1;
  }
  return { ...batch, replaced, live };
}
