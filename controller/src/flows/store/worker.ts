// The thread in which the store lives: takes requests in order; batches that wait together are stored in one transaction.
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { FlowEndInfo } from '../block.js';
import { FlowDatabase } from './database.js';
import type { BatchMessage, StoreAnswer, StoreBatch, StoreRequest, StoreSettings } from './messages.js';
import { unpackColumns } from './packed-batch.js';

/** Records of one transaction, about. */
const GROUP_RECORDS = 262_144;

const port = parentPort;
if (port === null) throw new Error('Cannot run the flow store: found the main thread, wanted a worker');
const database = new FlowDatabase(workerData as StoreSettings);
const answer = (message: StoreAnswer) => port.postMessage(message);
const queue: StoreRequest[] = [];
/** Every end that the main thread has numbered. */
const ends: FlowEndInfo[] = [];
let wake = () => {};

port.on('message', (request: StoreRequest) => {
  queue.push(request);
  wake();
});
answer({ type: 'opened', opened: await database.open(randomUUID()) });

for (;;) {
  const request = queue.shift();
  if (request === undefined) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    continue;
  }
  if (request.type === 'append') {
    const batches: StoreBatch[] = [unpack(request.batch)];
    let records = request.batch.count;
    for (let next = queue[0]; next?.type === 'append' && records < GROUP_RECORDS; next = queue[0]) {
      queue.shift();
      batches.push(unpack(next.batch));
      records += next.batch.count;
    }
    const stored = await database.commit(batches, request.nowMs);
    answer({ type: 'settled', batches: batches.length, stored, status: database.status() });
  } else if (request.type === 'tick') {
    await database.tick(request.nowMs);
    answer({ type: 'status', status: database.status() });
  } else if (request.type === 'close') {
    database.close();
    answer({ type: 'done', call: request.call });
    port.close();
    break;
  } else {
    await read(request).then(answer, (error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      answer({ type: 'failed', call: request.call, message });
    });
  }
}

function unpack({ bytes, freshEnds, ...head }: BatchMessage): StoreBatch {
  for (const end of freshEnds) ends.push(end);
  return { ...head, columns: unpackColumns(bytes, head.count), ends };
}

async function read(request: Exclude<StoreRequest, { type: 'append' | 'tick' | 'close' }>): Promise<StoreAnswer> {
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
