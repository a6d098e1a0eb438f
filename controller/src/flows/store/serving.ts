// Which request of the store's thread waits for which. Batches are made safe in the order in which they come, and no question that may take
// long holds them up: agents wait for them, and live tails. A page does, while it is read: what joins history and live records is that no
// batch is settled between what a page has seen and its answer.
//
//   append ────────────────┐
//                          ├─ one at a time ─► answer
//   page ─(database free)──┘
//   graph, timeline, backup … ─(one after the other in the database)─► answer
import type { FlowDatabase } from './database.js';
import type { FlowKeeper } from './keeper.js';
import type { BatchMessage, StoreAnswer, StoreRequest } from './messages.js';

/** Records that are made safe at once, about. */
const GROUP_RECORDS = 65_536;

type Keeper = Pick<FlowKeeper, 'append' | 'ask' | 'close' | 'free' | 'status' | 'tick'>;
type Question = Exclude<StoreRequest, { type: 'append' | 'tick' | 'close' }>;

export class StoreServer {
  readonly #keeper: Keeper;
  readonly #answer: (message: StoreAnswer) => void;
  readonly #queue: StoreRequest[] = [];
  /** Questions and ticks under way. */
  readonly #open = new Set<Promise<void>>();
  #wake = () => {};
  /** Ends with what was begun last of batches and pages. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(keeper: Keeper, answer: (message: StoreAnswer) => void) {
    this.#keeper = keeper;
    this.#answer = answer;
  }

  /** A request has come. */
  take(request: StoreRequest): void {
    this.#queue.push(request);
    this.#wake();
  }

  /** Answers requests until the one that closes; `onClose` is called before that one is carried out. Rejects when the keeper does. */
  async run(onClose: () => void): Promise<void> {
    for (;;) {
      const request = this.#queue.shift();
      if (request === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else if (request.type === 'append') await this.#append(request);
      else if (request.type === 'close') {
        onClose();
        await Promise.all(this.#open);
        await this.#keeper.close();
        this.#answer({ type: 'done', call: request.call });
        return;
      } else this.#begin(request.type === 'tick' ? this.#tick(request.nowMs) : this.#ask(request));
    }
  }

  async #append(request: Extract<StoreRequest, { type: 'append' }>): Promise<void> {
    const batches: BatchMessage[] = [request.batch];
    let records = request.batch.count;
    for (let next = this.#queue[0]; next?.type === 'append' && records < GROUP_RECORDS; next = this.#queue[0]) {
      this.#queue.shift();
      batches.push(next.batch);
      records += next.batch.count;
    }
    await this.#inTurn(async () => {
      const stored = await this.#keeper.append(batches, request.nowMs);
      this.#answer({ type: 'settled', batches: batches.length, stored, status: this.#keeper.status() });
    });
  }

  async #tick(nowMs: number): Promise<void> {
    await this.#keeper.tick(nowMs);
    this.#answer({ type: 'status', status: this.#keeper.status() });
  }

  async #ask(request: Question): Promise<void> {
    const ask = () =>
      this.#keeper
        .ask((database) => read(database, request))
        .then(this.#answer, (error: unknown) => {
          const message = error instanceof Error ? error.message : String(error);
          this.#answer({ type: 'failed', call: request.call, message });
        });
    if (request.type !== 'page') return ask();
    // Not in turn yet: what comes meanwhile need not wait for what the database is about.
    await this.#keeper.free();
    await this.#inTurn(ask);
  }

  #begin(work: Promise<void>): void {
    const done = work.finally(() => this.#open.delete(done));
    this.#open.add(done);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done;
    return done;
  }
}

async function read(database: FlowDatabase, request: Question): Promise<StoreAnswer> {
  const { call } = request;
  switch (request.type) {
    case 'page':
      return { type: 'page', call, page: await database.page(request.request) };
    case 'start':
      return { type: 'start', call, afterId: await database.startOfNewest(request.filter, request.limit) };
    case 'graph':
      return { type: 'graph', call, rows: await database.graph(request.request) };
    case 'timeline':
      return { type: 'timeline', call, rows: await database.timeline(request.request) };
    case 'gaps':
      return { type: 'gaps', call, gaps: await database.gaps(request.filter) };
    case 'oldest':
      return { type: 'oldest', call, oldestUs: database.oldestUs() };
    case 'backup':
      await database.backup(request.file);
      return { type: 'done', call };
  }
}
