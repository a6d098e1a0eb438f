// What is read back of runs, and from how much.
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Marks } from './marks.js';
import { syntheticBatch } from './synthetic.js';

let instance: DuckDBInstance;
let connection: DuckDBConnection;
beforeEach(async () => {
  instance = await DuckDBInstance.create(':memory:');
  connection = await instance.connect();
  for (const statement of Marks.ddl) await connection.run(statement);
});
afterEach(() => {
  connection.closeSync();
  instance.closeSync();
});

/** Of one host in the order of the runs; the order of hosts means nothing. */
const byHost = (marks: Marks) => marks.all().sort((a, b) => (a.hostId < b.hostId ? -1 : a.hostId > b.hostId ? 1 : 0));
const lines = async () => Number((await connection.runAndReadAll('SELECT count(*) FROM flow_taken')).getRows()[0]?.[0]);

test('what is loaded is what was known, at random: sequences, counters, and which run was heard of last', async () => {
  let state = 5;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const marks = new Marks();
  for (let step = 0; step < 150; step += 1) {
    const batches = Array.from({ length: 1 + random(8) }, () => {
      const loss = random(3) === 0 ? undefined : Array.from({ length: 7 }, () => BigInt(random(1000)));
      const named = { hostId: `h${random(3)}`, run: `run-${random(16)}`, sequence: BigInt(random(100)), loss };
      return { ...syntheticBatch({ firstId: 1, sequence: 1n, count: 0, startUs: 1 }), ...named };
    });
    await marks.store(connection, batches);
    marks.take(batches);
    if (random(40) === 0) await marks.compact(connection);
    if (step % 10 === 9) expect(byHost(await Marks.load(connection))).toEqual(byHost(marks));
  }
});

test('a transaction of many batches leaves a line for each run, and an hour of lines is read as what counts of it', async () => {
  const many = Array.from({ length: 500 }, (_, i) => ({
    ...syntheticBatch({ firstId: 1, sequence: BigInt(i + 1), count: 0, startUs: 1 }),
    hostId: `h${i % 5}`,
  }));
  const marks = new Marks();
  await marks.store(connection, many);
  expect(await lines()).toBe(5);
  // A thousand hosts with a transaction every two seconds: read one by one they would take gigabytes.
  await connection.run(
    `INSERT INTO flow_taken SELECT 'host-' || (i % 1000), 'run', i, true, i, i, i, i, i, i, i FROM range(2000000) t(i)`,
  );
  const loaded = (await Marks.load(connection)).all();
  expect(loaded).toHaveLength(1005);
  expect(loaded.at(-1)).toMatchObject({ hostId: 'host-999', sequence: 1_999_999n, loss: { recordsSent: 1_999_999n } });
});
