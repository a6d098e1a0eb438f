import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterEach, describe, expect, it } from 'vitest';
import type { Epoch } from './epochs.js';
import { TagKeyFile } from './key-file.js';
import { TAG_TIMES, TagDesk } from './tag-desk.js';

const START = 1_800_000_000_000;

function bed(stored: readonly Epoch[] = []) {
  const state = { now: START, mode: TagMode.TAG_MODE_PEERS, stored, made: 0, fails: false };
  const told: number[] = [];
  const errors: unknown[] = [];
  let timer: { at: number; fn: () => void } | undefined;
  const desk = new TagDesk({
    mode: () => state.mode,
    file: {
      read: () => state.stored,
      write: (epochs) => {
        if (state.fails) throw new Error('no space');
        state.stored = epochs;
      },
    },
    nowMs: () => state.now,
    randomKey: () => new Uint8Array(16).fill(++state.made),
    after: (delayMs, fn) => {
      timer = { at: state.now + delayMs, fn };
      return () => {
        timer = undefined;
      };
    },
    onError: (error) => void errors.push(error),
  });
  desk.onChange(() => void told.push(state.now - START));
  /** Runs timers until then. */
  const pass = (ms: number) => {
    const end = state.now + ms;
    while (timer !== undefined && timer.at <= end) {
      state.now = timer.at;
      timer.fn();
    }
    state.now = end;
  };
  return { desk, state, told, errors, pass };
}

describe('TagDesk', () => {
  it('a new fleet, has a key now and one to come, on disk before anyone hears of them', () => {
    const { desk, state } = bed();
    const { mode, nowMs, keys } = desk.message();
    expect([mode, nowMs, keys.length]).toEqual([TagMode.TAG_MODE_PEERS, BigInt(START), 2]);
    expect(state.stored.map(({ epoch }) => epoch)).toEqual(keys.map(({ epoch }) => epoch));
    expect(keys[0]).toMatchObject({
      fromMs: BigInt(START),
      untilMs: BigInt(START + TAG_TIMES.periodMs + TAG_TIMES.overlapMs),
    });
    expect(keys[1]).toMatchObject({ untilMs: 0n });
  });

  it('a restart, finds the same keys', () => {
    const { desk, state } = bed();
    expect(bed(state.stored).desk.message()).toEqual(desk.message());
  });

  it('a day, tells hosts at each begin and at each end of an overlap', () => {
    const { desk, told, pass, state } = bed();
    pass(24 * TAG_TIMES.periodMs);
    const begins = Array.from({ length: 24 }, (_, i) => (i + 1) * TAG_TIMES.periodMs);
    expect(told).toEqual(begins.flatMap((at) => [at, at + TAG_TIMES.overlapMs]).slice(0, -1));
    expect(state.made).toBe(26);
    expect(desk.standing).toEqual({ epoch: START / 1000 + 24, nextFromMs: START + 25 * TAG_TIMES.periodMs });
  });

  it('off, gives no key away', () => {
    const { desk, state, told } = bed();
    state.mode = TagMode.TAG_MODE_OFF;
    desk.modeChanged();
    expect(desk.message()).toEqual({ mode: TagMode.TAG_MODE_OFF, nowMs: BigInt(START), keys: [] });
    expect(told).toEqual([0]);
  });

  it('rotate, tells a new key at once and begins it after the notice', () => {
    const { desk, told, pass } = bed();
    const before = desk.message().keys[1];
    desk.rotate();
    const next = desk.message().keys[1];
    expect(next?.epoch).toBe(before?.epoch);
    expect(next?.key).not.toEqual(before?.key);
    expect(next?.fromMs).toBe(BigInt(START + TAG_TIMES.noticeMs));
    pass(TAG_TIMES.noticeMs);
    expect(told).toEqual([0, TAG_TIMES.noticeMs]);
    expect(desk.standing.epoch).toBe(next?.epoch);
  });

  it('a disk that takes nothing, leaves the epochs as they are until it does', () => {
    const { desk, state, told, errors, pass } = bed();
    state.fails = true;
    pass(TAG_TIMES.periodMs + 5000);
    expect(told).toEqual([]);
    expect(errors.length).toBeGreaterThan(1);
    expect(desk.message().keys).toHaveLength(2);
    state.fails = false;
    pass(2000);
    expect(told).toHaveLength(1);
    expect(desk.message().keys).toHaveLength(3);
  });
});

describe('TagKeyFile', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rf-tag-'));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('what was written, is read; nobody else may read it', () => {
    const file = new TagKeyFile(directory);
    expect(file.read()).toEqual([]);
    const epochs = [{ epoch: 7, key: Buffer.alloc(16, 9), fromMs: START }];
    file.write(epochs);
    expect(new TagKeyFile(directory).read()).toEqual(epochs);
    expect(statSync(join(directory, 'tags')).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'tags', 'keys.json')).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['cut short', (text: string) => text.slice(0, -9)],
    ['with a short key', (text: string) => text.replace(/"key":"../, '"key":"')],
    ['of another format', (text: string) => text.replace('"format":1', '"format":2')],
  ])('%s, is refused without telling the key', (_, damage) => {
    const file = new TagKeyFile(directory);
    file.write([{ epoch: 7, key: Buffer.alloc(16, 0xab), fromMs: START }]);
    const path = join(directory, 'tags', 'keys.json');
    writeFileSync(path, damage(readFileSync(path, 'utf8')));
    expect(() => file.read()).toThrow(/Cannot use .*keys\.json: found another content/);
    expect(() => file.read()).not.toThrow(/abab/);
  });
});
