// What waits for what in the store's thread.
import { expect, test } from 'vitest';
import type { FlowDatabase } from './database.js';
import type { BatchMessage, StoreAnswer, StoreRequest } from './messages.js';
import { StoreServer } from './serving.js';
import { syntheticMessage } from './synthetic.js';

/** A keeper whose database does what it is asked when it is let; knows what was handed over. */
class Held {
  taken = 0;
  readonly under: (() => void)[] = [];
  #chain: Promise<unknown> = Promise.resolve();

  async append(batches: readonly BatchMessage[]): Promise<boolean> {
    this.taken += batches.length;
    return true;
  }

  ask<T>(question: (database: FlowDatabase) => Promise<T>): Promise<T> {
    const seen = () => ({ count: this.taken }) as never;
    const nothing = async () => [] as never;
    const database = { page: async () => seen(), graph: nothing, backup: nothing } as unknown as FlowDatabase;
    const done = this.#chain.then(async () => {
      const answer = await question(database);
      await new Promise<void>((resolve) => this.under.push(resolve));
      return answer;
    });
    this.#chain = done;
    return done;
  }

  async free(): Promise<void> {
    await this.#chain;
  }

  async tick(): Promise<void> {
    await this.#chain;
  }

  async close(): Promise<void> {
    await this.#chain;
  }

  status(): never {
    return {} as never;
  }

  /** Lets the oldest question that has begun be answered. */
  async let(): Promise<void> {
    await expect.poll(() => this.under.length, { timeout: 30_000 }).toBeGreaterThan(0);
    this.under.shift()?.();
  }
}

function start() {
  const keeper = new Held();
  const answers: StoreAnswer[] = [];
  const server = new StoreServer(keeper, (message) => answers.push(message));
  let closed = false;
  const done = server.run(() => {
    closed = true;
  });
  const batch = syntheticMessage({ firstId: 1, sequence: 1n, count: 1, startUs: 1 });
  const append: StoreRequest = { type: 'append', nowMs: 0, batch };
  const types = () => answers.map(({ type }) => type);
  const page = (call: number): StoreRequest => ({
    type: 'page',
    call,
    request: { filter: undefined, afterId: 0, limit: 1 },
  });
  return { keeper, server, answers, append, page, types, done, isClosed: () => closed };
}

test('batches are settled while a backup or a graph is under way, and ticks and pages wait for those', async () => {
  const { keeper, server, append, page, types, done, answers, isClosed } = start();
  server.take({ type: 'backup', call: 1, file: '/x' });
  server.take({ type: 'graph', call: 2, request: { filter: undefined, groupBy: [] } });
  server.take({ type: 'tick', nowMs: 0 });
  server.take(page(3));
  server.take(append);
  await expect.poll(types, { timeout: 30_000 }).toEqual(['settled']);
  server.take(append);
  await expect.poll(types, { timeout: 30_000 }).toEqual(['settled', 'settled']);
  await keeper.let();
  await keeper.let();
  await keeper.let();
  await expect.poll(() => types().includes('page'), { timeout: 30_000 }).toBe(true);
  // It has what was settled before it was answered, though it was asked before.
  expect(answers.find(({ type }) => type === 'page')).toMatchObject({ page: { count: 2 } });
  server.take({ type: 'graph', call: 4, request: { filter: undefined, groupBy: [] } });
  server.take({ type: 'close', call: 5 });
  await expect.poll(isClosed, { timeout: 30_000 }).toBe(true);
  await keeper.let();
  await done;
  expect(types().slice(-2)).toEqual(['graph', 'done']);
});

test('no batch is settled between what a page has seen and its answer', async () => {
  const { keeper, server, append, page, answers, types } = start();
  for (let round = 1; round <= 20; round += 1) {
    server.take(append);
    server.take(page(round));
    await expect.poll(() => keeper.under.length, { timeout: 30_000 }).toBe(1);
    const before = types().filter((type) => type === 'settled').length;
    server.take(append);
    server.take({ type: 'graph', call: 1000 + round, request: { filter: undefined, groupBy: [] } });
    // Turns enough for whatever would not wait.
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    expect(types().filter((type) => type === 'settled')).toHaveLength(before);
    await keeper.let();
    await expect.poll(() => types().filter((type) => type === 'settled').length, { timeout: 30_000 }).toBe(before + 1);
    await keeper.let();
  }
  let settled = 0;
  for (const answer of answers) {
    if (answer.type === 'settled') settled += answer.batches;
    if (answer.type === 'page') expect(answer.page.count).toBe(settled);
  }
});
