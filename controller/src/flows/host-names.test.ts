// A host that makes up names.
import { expect, test } from 'vitest';
import { type FlowRow, flowColumns } from '../testing/flow-columns.js';
import { EndResolver } from './ends.js';
import { Followers } from './followers.js';
import { MemoryHistory } from './history.js';
import { HostNames, NAMES_MAX, OTHER_PROCESS } from './host-names.js';
import { FlowIngest } from './ingest.js';

test('a host has so many names in a day, used again they are one; others have their own', () => {
  let nowMs = 5;
  const names = new HostNames(() => nowMs);
  for (let time = 0; time < 2; time += 1) {
    for (let i = 0; i < NAMES_MAX; i += 1) expect(names.admits('a', `n${i}`)).toBe(true);
  }
  expect(names.admits('a', 'more')).toBe(false);
  expect(names.admits('a', 'n7')).toBe(true);
  expect(names.admits('b', 'more')).toBe(true);
  nowMs += 24 * 3_600_000;
  expect(names.admits('a', 'more')).toBe(true);
});

test('processes, workloads and identities that a host makes up leave a bounded number of names, and every record', () => {
  const history = new MemoryHistory(100_000);
  const nobody = {
    workload: () => undefined,
    at: () => [],
    ofHost: () => [],
    identityOf: () => 0,
    workloadsOf: () => [],
  };
  const ingest = new FlowIngest({ history, followers: new Followers(), ends: new EndResolver(nobody) });
  const send = (hostId: string, sequence: number, rows: readonly FlowRow[]) => {
    const message = { run: Buffer.alloc(16, 1), sequence: BigInt(sequence), flows: flowColumns(rows) };
    expect(ingest.take(hostId, { ...message, loss: undefined, translations: undefined })).toMatchObject({
      taken: true,
    });
  };
  const perBatch = 1000;
  for (let batch = 0; batch < 10; batch += 1) {
    const rows = Array.from({ length: perBatch }, (_, i): FlowRow => {
      const n = batch * perBatch + i;
      const made = { workload: `bad/w${n}`, process: `p${n}`, localIdentity: n, remoteIdentity: 1_000_000 + n };
      return { ...made, local: '10.0.0.1', remote: `10.1.${n >> 8}.${n & 255}`, localPort: n };
    });
    send('bad', batch + 1, rows);
  }
  send('good', 1, [{ workload: 'good/w', process: 'nginx', local: '10.0.0.3', remote: '10.0.0.4' }]);
  const records = history.newest(() => true, 100_000);
  expect(records).toHaveLength(10 * perBatch + 1);
  const texts = records.map(({ block, index }) => block.strings[block.process[index] ?? 0] ?? '');
  const ends = records.flatMap(({ block, index }) => [
    block.ends[block.local[index] ?? 0],
    block.ends[block.remote[index] ?? 0],
  ]);
  expect(new Set(texts).size).toBe(NAMES_MAX + 2);
  expect(texts.filter((text) => text === OTHER_PROCESS)).toHaveLength(10 * perBatch - NAMES_MAX);
  expect(new Set(ends.map((end) => `${end?.workloadId} ${end?.identity}`)).size).toBeLessThanOrEqual(NAMES_MAX + 3);
  expect(texts.at(-1)).toBe('nginx');
  expect(ends.at(-2)).toMatchObject({ workloadId: 'good/w', hostId: 'good' });
});
