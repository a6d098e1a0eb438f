// How long the draft view holds the controller's event loop: recorded connections of a full store, judged by a big policy, in turns as the
// controller does it (flows/connections.ts). A turn is told in processor time of the main thread, which other work on the machine does not
// make longer. Run by hand: `node bench/dist/draft/main.js [records] [rules]`.
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { judgedRows } from '@ringfence/controller/flows/judged.js';
import { FlowDatabase } from '@ringfence/controller/flows/store/database.js';
import { DuckArchive } from '@ringfence/controller/flows/store/duck-archive.js';
import { syntheticBatch } from '@ringfence/controller/flows/store/synthetic.js';
import { parsePolicy, resolvePolicy } from '@ringfence/controller/policy/parse.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';

const [records = 200_000, rules = 1000] = process.argv.slice(2).map(Number);
const WORKLOADS = 2000;
const BATCH = 50_000;
const MEMORY = 512 * 2 ** 20;
const ROLES = ['web', 'api', 'db', 'cache', 'queue', 'job', 'edge', 'mail'];

const lines = Array.from({ length: rules }, (_, i) => {
  const [by, of] = [ROLES[i % 8], ROLES[(i * 3 + 1) % 8]];
  return `  - { id: r${i}, service: [tcp/${1000 + i}], providedBy: { all: [app=app-${i % 20}, role=${of}] }, usedBy: role=${by} }`;
});
const text = `rules:\n${lines.join('\n')}\nmodes:\n  - { id: all, match: workloads, mode: enforce }\n`;
const { document, problems } = parsePolicy([{ name: 'bench.yaml', text }]);
if (document === undefined) throw new Error(problems[0]?.message);
const numbers = new Map<string, number>();
const policy = resolvePolicy(document, {
  numberOf: (id) => numbers.get(id) ?? numbers.set(id, numbers.size + 1).size,
});

const dir = mkdtempSync(join(tmpdir(), 'rf-bench-draft-'));
const settings = { file: join(dir, 'flows.duckdb'), days: 30, bytes: 2 ** 40, memoryBytes: MEMORY };
try {
  const nowMs = Date.now();
  const database = new FlowDatabase(settings);
  await database.open('bench');
  for (let at = 0, sequence = 1n; at < records; at += BATCH, sequence += 1n) {
    const place = { firstId: 1 + at, sequence, startUs: (nowMs - 1_800_000) * 1000 + at * 100 };
    await database.commit([syntheticBatch({ ...place, count: BATCH, workloads: WORKLOADS, peers: 20 })], nowMs);
  }
  await database.close();
  const archive = await DuckArchive.open({
    ...settings,
    now: Date.now,
    onDeath: (error) => {
      throw error;
    },
  });
  for (const turn of [1, 2, 3]) {
    const held = watchTurns();
    const began = performance.now();
    const { rows } = await judgedRows(archive, {
      filter: FlowFilter.fromPartial({}),
      groupBy: ['app', 'role'],
      policy,
      asEnforced: true,
      nowMs,
      recordsMax: records,
    });
    const took = performance.now() - began;
    const turns = held().sort((a, b) => a - b);
    const at = (part: number) => `${(turns[Math.floor(part * (turns.length - 1))] ?? 0).toFixed(1)} ms`;
    const main = turns.reduce((sum, ms) => sum + ms, 0);
    process.stdout.write(
      `${turn}: ${records} records, ${rules} rules, ${rows.length} rows in ${took.toFixed(0)} ms, ${main.toFixed(0)} ms of the main thread; ` +
        `event loop held p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} (load ${loadavg()[0]?.toFixed(1)})\n`,
    );
  }
  await archive.close();
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** Processor time of the main thread between every two turns of its event loop until the result is called, milliseconds. */
function watchTurns(): () => number[] {
  const turns: number[] = [];
  let before = process.threadCpuUsage();
  let stopped = false;
  const next = () => {
    const { user, system } = process.threadCpuUsage(before);
    before = process.threadCpuUsage();
    turns.push((user + system) / 1000);
    if (!stopped) setImmediate(next);
  };
  setImmediate(next);
  return () => {
    stopped = true;
    // Turns in which the loop only waited are not told.
    return turns.filter((ms) => ms > 0.5);
  };
}
