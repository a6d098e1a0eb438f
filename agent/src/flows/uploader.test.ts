import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FlowSpool } from './spool.js';
import { FlowUploader } from './uploader.js';

const RUN = 'ab'.repeat(16);
const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rfag-upload-'));
  directories.push(directory);
  return directory;
}

/** A controller that keeps what it gets by sequence, as FlowUpload promises, and acknowledges when told to. */
class Controller {
  taken: number[] = [];
  received: number[] = [];
  full = false;

  readonly stream = {
    write: (message: Uint8Array) => {
      const sequence = Buffer.from(message).readUInt32LE(0);
      this.received.push(sequence);
      if (sequence > (this.taken.at(-1) ?? 0)) this.taken.push(sequence);
      return !this.full;
    },
  };
}

function rig(options: { window?: number; memoryBatches?: number; directory?: string; bytesMax?: number } = {}) {
  const directory = options.directory ?? newDirectory();
  const spool = new FlowSpool({ directory, bytesMax: options.bytesMax ?? 1 << 20 }, RUN);
  const uploader = new FlowUploader(
    { run: RUN, window: options.window ?? 4, memoryBatches: options.memoryBatches ?? 4 },
    spool,
  );
  const offer = (count = 1) => {
    for (let i = 0; i < count; i++) {
      uploader.offer('allow', 10, (sequence) => {
        const message = Buffer.alloc(64);
        message.writeUInt32LE(sequence);
        return message;
      });
    }
  };
  return { uploader, spool, offer, directory };
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe('FlowUploader', () => {
  it('sends at most a window ahead of the acknowledgement, in order', () => {
    const { uploader, offer } = rig();
    const controller = new Controller();
    uploader.attach(controller.stream);
    offer(20);
    expect(controller.received).toEqual([1, 2, 3, 4]);
    uploader.onAck(RUN, 2);
    expect(controller.received).toEqual(upTo(6));
    for (let i = 0; i < 20; i++) uploader.onAck(RUN, controller.received.at(-1) ?? 0);
    expect(controller.received).toEqual(upTo(20));
    expect(uploader.counters).toMatchObject({ acknowledged: 20, resent: 0, lost: 0 });
  });

  it('stops when the stream is full and goes on when it drains', () => {
    const { uploader, offer } = rig({ window: 100, memoryBatches: 100 });
    const controller = new Controller();
    controller.full = true;
    uploader.attach(controller.stream);
    offer(5);
    expect(controller.received).toEqual([1]);
    controller.full = false;
    uploader.onDrain();
    expect(controller.received).toEqual(upTo(5));
  });

  it('sends again what was not acknowledged, under the same numbers, before anything newer', () => {
    const { uploader, offer } = rig();
    const first = new Controller();
    uploader.attach(first.stream);
    offer(10);
    uploader.onAck(RUN, 2);
    uploader.detach();
    offer(3);
    const second = new Controller();
    uploader.attach(second.stream);
    for (let i = 0; i < 10; i++) uploader.onAck(RUN, second.received.at(-1) ?? 0);
    expect(second.received).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    expect(uploader.counters.resent).toBe(4);
  });

  it('ignores acknowledgements of another run', () => {
    const { uploader, offer } = rig();
    const controller = new Controller();
    uploader.attach(controller.stream);
    offer(10);
    uploader.onAck('cd'.repeat(16), 10);
    expect(controller.received).toEqual(upTo(4));
  });

  it('delivers what a former process left in the spool, and its own after it', () => {
    const directory = newDirectory();
    const former = rig({ directory });
    former.offer(5); // away: all on disk; the process ends without another word
    const spool = new FlowSpool({ directory, bytesMax: 1 << 20 }, 'cd'.repeat(16));
    const uploader = new FlowUploader({ run: 'cd'.repeat(16), window: 100, memoryBatches: 4 }, spool);
    uploader.offer('deny', 1, () => Buffer.from([99, 0, 0, 0]));
    const controller = new Controller();
    uploader.attach(controller.stream);
    expect(controller.received).toEqual([1, 2, 3, 4, 5, 99]);
    uploader.onAck(RUN, 5);
    uploader.onAck('cd'.repeat(16), 1);
    expect(spool.bytes).toBe(0);
  });

  it('keeps what was sent and not acknowledged when its segment had to make room', () => {
    const { uploader, spool, offer } = rig({ bytesMax: 4096 });
    offer(3); // away: on disk
    const first = new Controller();
    uploader.attach(first.stream);
    expect(first.received).toEqual([1, 2, 3]);
    first.full = true;
    offer(60); // displaces the segment of the first three
    const displaced = spool.dropped.allow;
    uploader.detach();
    const second = new Controller();
    uploader.attach(second.stream);
    for (let i = 0; i < 100; i++) uploader.onAck(RUN, second.received.at(-1) ?? 0);
    const lost = (spool.dropped.allow + uploader.counters.lost) / 10;
    expect(displaced).toBeGreaterThan(0);
    expect(new Set([...second.received]).size + lost).toBe(63);
  });

  it('survives that somebody deletes the spool under it', () => {
    const { uploader, offer, directory } = rig({ window: 2 });
    const empty = () => {
      for (const name of readdirSync(directory)) rmSync(join(directory, name));
    };
    offer(3);
    const first = new Controller();
    uploader.attach(first.stream);
    empty();
    uploader.detach();
    empty();
    const second = new Controller();
    uploader.attach(second.stream);
    offer(2);
    for (let i = 0; i < 10; i++) uploader.onAck(RUN, second.received.at(-1) ?? 0);
    expect(second.received.slice(-2)).toEqual([4, 5]);
    expect(uploader.inMemory).toBe(0);
  });

  it('takes every batch to the controller exactly once under any script of drops, acks and pauses', () => {
    const step = fc.constantFrom('offer', 'offer', 'offer', 'drop', 'connect', 'ack', 'partial', 'full', 'drain');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { uploader, spool, offer } = rig({ window: 3, memoryBatches: 2 });
        const taken: number[] = [];
        let controller: Controller | undefined;
        let offered = 0;
        const connect = () => {
          controller = new Controller();
          controller.taken = taken; // the controller remembers over reconnects
          uploader.attach(controller.stream);
        };
        for (const what of steps) {
          if (what === 'offer') {
            offer();
            offered += 1;
          } else if (what === 'drop' && controller) {
            uploader.detach();
            controller = undefined;
          } else if (what === 'connect' && !controller) connect();
          else if (what === 'ack' && controller) uploader.onAck(RUN, taken.at(-1) ?? 0);
          else if (what === 'partial' && controller) uploader.onAck(RUN, Math.max(0, (taken.at(-1) ?? 0) - 1));
          else if (what === 'full' && controller) controller.full = true;
          else if (what === 'drain' && controller) {
            controller.full = false;
            uploader.onDrain();
          }
        }
        if (controller) uploader.detach();
        connect();
        for (let i = 0; i <= offered; i++) uploader.onAck(RUN, taken.at(-1) ?? 0);
        expect(taken).toEqual(upTo(offered));
        expect(spool.bytes).toBe(0);
        expect(uploader.inMemory).toBe(0);
        expect(uploader.counters.lost).toBe(0);
        spool.close();
      }),
      { numRuns: 200 },
    );
  });
});
