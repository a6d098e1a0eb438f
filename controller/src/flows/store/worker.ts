// The thread in which the store lives: takes requests in order; batches that wait together are made safe together. A question sees
// everything that was handed over before it and nothing that came later.
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { FlowDatabase } from './database.js';
import { FlowKeeper } from './keeper.js';
import type { BatchMessage, StoreAnswer, StoreRequest, StoreSettings } from './messages.js';

/** Records that are made safe at once, about. */
const GROUP_RECORDS = 65_536;
const BEAT_MS = 250;

const port = parentPort;
if (port === null) throw new Error('Cannot run the flow store: found the main thread, wanted a worker');
const { nowMs, ...settings } = workerData as StoreSettings & { readonly nowMs: number };
const keeper = new FlowKeeper(settings);
const answer = (message: StoreAnswer) => port.postMessage(message);
const queue: StoreRequest[] = [];
let wake = () => {};

port.on('message', (request: StoreRequest) => {
  queue.push(request);
  wake();
});
answer({ type: 'opened', opened: await keeper.open(randomUUID(), nowMs) });

// Beside the requests: while rows are written, others are taken.
let beating = false;
const beat = setInterval(async () => {
  if (beating) return;
  beating = true;
  if (await keeper.beat()) answer({ type: 'status', status: keeper.status() });
  beating = false;
}, BEAT_MS);

for (;;) {
  const request = queue.shift();
  if (request === undefined) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    continue;
  }
  if (request.type === 'append') {
    const batches: BatchMessage[] = [request.batch];
    let records = request.batch.count;
    for (let next = queue[0]; next?.type === 'append' && records < GROUP_RECORDS; next = queue[0]) {
      queue.shift();
      batches.push(next.batch);
      records += next.batch.count;
    }
    const stored = await keeper.append(batches, request.nowMs);
    answer({ type: 'settled', batches: batches.length, stored, status: keeper.status() });
  } else if (request.type === 'tick') {
    await keeper.tick(request.nowMs);
    answer({ type: 'status', status: keeper.status() });
  } else if (request.type === 'close') {
    clearInterval(beat);
    await keeper.close();
    answer({ type: 'done', call: request.call });
    port.close();
    break;
  } else {
    await keeper
      .ask((database) => read(database, request))
      .then(answer, (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        answer({ type: 'failed', call: request.call, message });
      });
  }
}

async function read(
  database: FlowDatabase,
  request: Exclude<StoreRequest, { type: 'append' | 'tick' | 'close' }>,
): Promise<StoreAnswer> {
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
