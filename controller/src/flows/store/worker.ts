// The thread in which the store lives: takes requests in order; batches that wait together are made safe together.
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { FlowKeeper } from './keeper.js';
import type { StoreAnswer, StoreRequest, StoreSettings } from './messages.js';
import { StoreServer } from './serving.js';

const BEAT_MS = 250;

const port = parentPort;
if (port === null) throw new Error('Cannot run the flow store: found the main thread, wanted a worker');
const { nowMs, ...settings } = workerData as StoreSettings & { readonly nowMs: number };
const keeper = new FlowKeeper(settings);
const answer = (message: StoreAnswer) => port.postMessage(message);
const server = new StoreServer(keeper, answer);
port.on('message', (request: StoreRequest) => server.take(request));
answer({ type: 'opened', opened: await keeper.open(randomUUID(), nowMs) });

// Beside the requests: while rows are written, others are taken.
let beating = false;
const beat = setInterval(async () => {
  if (beating) return;
  beating = true;
  if (await keeper.beat()) answer({ type: 'status', status: keeper.status() });
  beating = false;
}, BEAT_MS);

await server.run(() => clearInterval(beat));
port.close();
