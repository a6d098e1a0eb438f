// Many agents that upload as fast as they are acknowledged, to a controller in a process of its own. Agents send messages that were
// encoded before: what they cost is TLS, HTTP/2 and acknowledgements, and is measured apart from the controller.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AdminClient, call } from '@ringfence/controller/testing/admin-client.js';
import { flowColumns } from '@ringfence/controller/testing/flow-columns.js';
import { enrollAgent } from '@ringfence/controller/testing/simulated-agent.js';
import { repository } from '@ringfence/lab/paths.js';
import { cpuSeconds, residentMib } from './process-cost.js';
import { EncodedUpload } from './upload-stream.js';

export interface IngestOptions {
  readonly agents: number;
  readonly seconds: number;
  /** Records of one batch. */
  readonly batch: number;
  /** Where the controller's processor profiles go; undefined: none is made. */
  readonly profile: string | undefined;
}

/** Batches of one agent that are not acknowledged. */
const WINDOW = 8;
/** Different batches; agents take turns. */
const BATCHES = 20;

export async function ingest({ agents, seconds, batch, profile }: IngestOptions) {
  const dir = mkdtempSync(join(tmpdir(), 'rf-bench-flows-'));
  const ready = join(dir, 'ready.json');
  const listen = ['sync', 'admin', 'enroll'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);
  const args = [join(repository, 'controller/dist/main.js'), '--state-dir', join(dir, 'state'), '--ready-file', ready];
  const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
  const controller = spawn(process.execPath, [...profiling, ...args, '--log-level', 'error', ...listen], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    for (let tries = 0; !existsSync(ready) && tries < 600; tries += 1) await sleep(100);
    const { enroll } = JSON.parse(readFileSync(ready, 'utf8')) as { enroll: string };
    const admin = new AdminClient(join(dir, 'state', 'operator', 'context.json'));
    const batches = Array.from({ length: BATCHES }, (_, seed) => batchColumns(batch, seed));
    const all: EncodedUpload[] = [];
    for (let i = 0; i < agents; i += 1) {
      const { token } = await call(admin.hosts, admin.hosts.createToken, { ttlSeconds: 600, hostId: '', note: '' });
      const own = await enrollAgent(enroll, token, admin.caPem, { hostname: `h${i}` });
      all.push(new EncodedUpload(own, batches[i % BATCHES] ?? batchColumns(batch, i)));
    }
    const pid = controller.pid ?? 0;
    const cpuBefore = cpuSeconds(pid);
    const ownBefore = process.cpuUsage();
    const startedMs = performance.now();
    const until = startedMs + seconds * 1000;
    const acked = await Promise.all(all.map((stream) => stream.run(WINDOW, () => performance.now() < until)));
    const took = (performance.now() - startedMs) / 1000;
    const own = process.cpuUsage(ownBefore);
    const cpu = cpuSeconds(pid) - cpuBefore;
    const { flows } = await call(admin.status, admin.status.get, {});
    const records = acked.reduce((sum, count) => sum + count, 0) * batch;
    const sum = Number(flows?.kept ?? 0n) + Number(flows?.storeLost ?? 0n);
    if (sum !== records) throw new Error(`Cannot account for records: found ${sum} stored and lost, wanted ${records}`);
    for (const stream of all) stream.close();
    admin.close();
    return {
      batch,
      records,
      seconds: took,
      perSecond: records / took,
      lost: Number(flows?.storeLost ?? 0n),
      cpuSecondsPerMillion: (cpu / records) * 1e6,
      agentsCpuSecondsPerMillion: (own.user + own.system) / records,
      residentMib: residentMib(pid),
    };
  } finally {
    const ended = once(controller, 'close');
    controller.kill('SIGTERM');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Batches that differ: addresses, ports and counters do not repeat in an order that a column store could fold away. */
function batchColumns(count: number, seed: number) {
  const nowUs = Date.now() * 1000;
  const random = lcg(seed + 1);
  return flowColumns(
    Array.from({ length: count }, (_, i) => ({
      workload: `container:w${i % 20}`,
      local: `10.0.${seed % 256}.${1 + (i % 20)}`,
      remote: `10.1.${random(32)}.${1 + random(200)}`,
      localPort: 32_768 + random(28_000),
      remotePort: [80, 443, 5432][random(3)] ?? 0,
      process: ['nginx', 'node', 'postgres'][random(3)] ?? '',
      firstSeenUs: nowUs + i * 500 + random(500),
      lastSeenUs: nowUs + i * 500 + random(2_000_000),
      bytesIn: random(100_000),
      bytesOut: random(1_000_000),
    })),
  );
}

/** Numbers below `bound`, the same for the same seed. */
function lcg(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * bound);
  };
}
