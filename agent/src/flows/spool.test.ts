import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FlowSpool, type SpooledBatch } from './spool.js';

const base = mkdtempSync(join(tmpdir(), 'rfag-spool-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let made = 0;
const newDirectory = () => join(base, String(++made));

const RUN = '01'.repeat(16);
const NEXT = '02'.repeat(16);

function batch(sequence: number, lane: 'allow' | 'deny' = 'allow', bytes = 200, run = RUN): SpooledBatch {
  return { run, sequence, lane, records: 3, message: Buffer.alloc(bytes, sequence) };
}

function drain(spool: FlowSpool): number[] {
  const sequences: number[] = [];
  for (let b = spool.take(); b; b = spool.take()) sequences.push(b.sequence);
  return sequences;
}

describe('FlowSpool', () => {
  it('gives batches back in the order of their numbers over both lanes, byte for byte', () => {
    const spool = new FlowSpool({ directory: newDirectory(), bytesMax: 1 << 20 }, RUN);
    for (const b of [batch(1), batch(2, 'deny'), batch(3, 'deny'), batch(4), batch(5, 'deny')]) spool.append(b);
    const first = spool.take();
    expect(Buffer.from(first?.message ?? []).equals(Buffer.alloc(200, 1))).toBe(true);
    expect(drain(spool)).toEqual([2, 3, 4, 5]);
    expect(spool.empty).toBe(true);
    spool.append(batch(6));
    expect(drain(spool)).toEqual([6]);
  });

  it('keeps files until they are acknowledged, offers again after rewind, and removes them then', () => {
    const directory = newDirectory();
    const spool = new FlowSpool({ directory, bytesMax: 1 << 20 }, RUN);
    for (const n of [1, 2, 3]) spool.append(batch(n));
    expect([spool.take()?.sequence, spool.take()?.sequence]).toEqual([1, 2]);
    spool.acknowledge(RUN, 1);
    spool.rewind();
    expect(drain(spool)).toEqual([2, 3]);
    spool.acknowledge(RUN, 2);
    expect(readdirSync(directory)).toHaveLength(1);
    spool.acknowledge(RUN, 3);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('reads late older batches first', () => {
    const spool = new FlowSpool({ directory: newDirectory(), bytesMax: 1 << 20 }, RUN);
    for (const n of [5, 6, 1, 2, 7]) spool.append(batch(n));
    expect(drain(spool)).toEqual([1, 2, 5, 6, 7]);
  });

  it('drops oldest allows first to stay inside its bound, and counts them', () => {
    const spool = new FlowSpool({ directory: newDirectory(), bytesMax: 64_000 }, RUN);
    for (let n = 1; n <= 40; n++) spool.append(batch(n, n % 2 ? 'allow' : 'deny', 4000));
    expect(spool.bytes).toBeLessThanOrEqual(64_000);
    const left = drain(spool);
    const denies = left.filter((n) => n % 2 === 0);
    expect(left.filter((n) => n % 2)).toEqual([]); // every allow made way
    expect(spool.dropped.allow).toBe(60);
    expect(spool.dropped.deny).toBe((20 - denies.length) * 3);
    expect(denies.at(-1)).toBe(40);
    expect(denies).toEqual([...denies].sort((a, b) => a - b));
  });

  it('keeps whole batches when a crash cuts a segment at any byte', () => {
    const directory = newDirectory();
    const spool = new FlowSpool({ directory, bytesMax: 1 << 20 }, RUN);
    for (const n of [1, 2, 3]) spool.append(batch(n, 'allow', 30));
    spool.close();
    const name = readdirSync(directory)[0] ?? '';
    const whole = readFileSync(join(directory, name));
    const itemBytes = whole.length / 3;
    for (let length = 0; length <= whole.length; length++) {
      const cut = newDirectory();
      mkdirSync(cut);
      writeFileSync(join(cut, name), whole.subarray(0, length));
      const after = new FlowSpool({ directory: cut, bytesMax: 1 << 20 }, NEXT);
      after.append(batch(1, 'allow', 30, NEXT));
      const wanted = [1, 2, 3].filter((n) => n * itemBytes <= length);
      expect(drain(after)).toEqual([...wanted, 1]);
      after.acknowledge(RUN, 3);
      after.acknowledge(NEXT, 1);
      if (wanted.length > 0) expect(readdirSync(cut)).toEqual([]);
      after.close();
    }
  });

  it('does not trust what stands after a damaged byte', () => {
    const directory = newDirectory();
    const spool = new FlowSpool({ directory, bytesMax: 1 << 20 }, RUN);
    for (const n of [1, 2, 3]) spool.append(batch(n, 'allow', 30));
    spool.close();
    const name = readdirSync(directory)[0] ?? '';
    const whole = readFileSync(join(directory, name));
    for (let at = 0; at < whole.length; at++) {
      const bad = newDirectory();
      mkdirSync(bad);
      copyFileSync(join(directory, name), join(bad, name));
      const bytes = Buffer.from(whole);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x15, at);
      writeFileSync(join(bad, name), bytes);
      const after = new FlowSpool({ directory: bad, bytesMax: 1 << 20 }, NEXT);
      let messages = 0;
      for (let b = after.take(); b; b = after.take()) {
        messages += 1;
        expect(new Set(b.message).size).toBe(1); // never a changed message
      }
      expect(messages).toBeGreaterThanOrEqual(Math.floor(at / (whole.length / 3)));
    }
  });

  it('refuses a directory that cannot be one, with its code', () => {
    writeFileSync(join(base, 'file'), '');
    expect(() => new FlowSpool({ directory: join(base, 'file'), bytesMax: 1 << 20 }, RUN)).toThrow(
      expect.objectContaining({ code: 'RF_SPOOL' }) as Error,
    );
  });

  it('lives without files that somebody else deleted, counts what was in them, and goes on', () => {
    const directory = newDirectory();
    const spool = new FlowSpool({ directory, bytesMax: 1 << 20 }, RUN);
    for (const n of [1, 2]) spool.append(batch(n));
    spool.append(batch(3, 'deny'));
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    expect(drain(spool)).toEqual([]);
    expect(spool.dropped).toEqual({ allow: 6, deny: 3, damagedSegments: 2 });
    expect(spool.bytes).toBe(0);
    spool.append(batch(4));
    expect(spool.take()?.sequence).toBe(4);
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    spool.acknowledge(RUN, 4);
    expect(spool.bytes).toBe(0);
    expect(spool.syncProblem).toBeUndefined();
    spool.close();
  });

  it('makes room also of segments that cannot be read', () => {
    const directory = newDirectory();
    const spool = new FlowSpool({ directory, bytesMax: 64_000 }, RUN);
    for (let n = 1; n <= 14; n++) spool.append(batch(n, 'allow', 4000));
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    for (let n = 15; n <= 40; n++) spool.append(batch(n, 'allow', 4000));
    expect(drain(spool).at(-1)).toBe(40);
    spool.close();
  });

  it('removes a segment in which nothing can be read', () => {
    const directory = newDirectory();
    const spool = new FlowSpool({ directory, bytesMax: 1 << 20 }, RUN);
    spool.append(batch(1));
    spool.close();
    const [name] = readdirSync(directory);
    writeFileSync(join(directory, name ?? ''), 'no batch');
    const after = new FlowSpool({ directory, bytesMax: 1 << 20 }, NEXT);
    expect(drain(after)).toEqual([]);
    expect(after.dropped.damagedSegments).toBe(1);
    expect(readdirSync(directory)).toEqual([]);
  });
});
