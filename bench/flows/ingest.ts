// Many agents that upload as fast as they are acknowledged, to a controller in a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AdminClient, call } from '@ringfence/controller/testing/admin-client.js';
import { flowColumns } from '@ringfence/controller/testing/flow-columns.js';
import { enrollAgent, SimulatedAgent } from '@ringfence/controller/testing/simulated-agent.js';
import { repository } from '@ringfence/lab/paths.js';

const BATCH = 1000;
/** Batches of one agent that are not acknowledged. */
const WINDOW = 8;
const TICKS_PER_SECOND = 100;

export async function ingest(agents: number, seconds: number) {
  const dir = mkdtempSync(join(tmpdir(), 'rf-bench-flows-'));
  const ready = join(dir, 'ready.json');
  const listen = ['sync', 'admin', 'enroll'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);
  const args = [join(repository, 'controller/dist/main.js'), '--state-dir', join(dir, 'state'), '--ready-file', ready];
  const controller = spawn(process.execPath, [...args, '--log-level', 'error', ...listen], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    for (let tries = 0; !existsSync(ready) && tries < 300; tries += 1) await sleep(100);
    const { enroll } = JSON.parse(readFileSync(ready, 'utf8')) as { enroll: string };
    const admin = new AdminClient(join(dir, 'state', 'operator', 'context.json'));
    const columns = batchColumns();
    const all: SimulatedAgent[] = [];
    for (let i = 0; i < agents; i += 1) {
      const { token } = await call(admin.hosts, admin.hosts.createToken, { ttlSeconds: 600, hostId: '', note: '' });
      all.push(new SimulatedAgent(await enrollAgent(enroll, token, admin.caPem, { hostname: `h${i}` })));
    }
    const pid = controller.pid ?? 0;
    const cpuBefore = cpuSeconds(pid);
    const startedMs = performance.now();
    const until = startedMs + seconds * 1000;
    let acked = 0;
    await Promise.all(
      all.map(async (agent) => {
        const stream = agent.openFlows();
        let sequence = 0;
        while (performance.now() < until && stream.ended === undefined) {
          sequence += 1;
          stream.send(BigInt(sequence), columns);
          if (sequence >= WINDOW) await stream.untilAcked(BigInt(sequence - WINDOW + 1));
        }
        await stream.untilAcked(BigInt(sequence));
        acked += Number(stream.acked);
        stream.close();
      }),
    );
    const took = (performance.now() - startedMs) / 1000;
    const cpu = cpuSeconds(pid) - cpuBefore;
    const { flows } = await call(admin.status, admin.status.get, {});
    const records = acked * BATCH;
    const sum = Number(flows?.kept ?? 0n) + Number(flows?.storeLost ?? 0n);
    if (sum !== records) throw new Error(`Cannot account for records: found ${sum} stored and lost, wanted ${records}`);
    for (const agent of all) agent.close();
    admin.close();
    const residentMib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
    return {
      batch: BATCH,
      records,
      perSecond: records / took,
      lost: Number(flows?.storeLost ?? 0n),
      cpuSecondsPerMillion: (cpu / records) * 1e6,
      residentMib,
    };
  } finally {
    const ended = once(controller, 'close');
    controller.kill('SIGTERM');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
}

function batchColumns() {
  const nowUs = Date.now() * 1000;
  return flowColumns(
    Array.from({ length: BATCH }, (_, i) => ({
      workload: `container:w${i % 20}`,
      local: `10.0.0.${1 + (i % 20)}`,
      remote: `10.1.${i % 8}.${1 + (i % 200)}`,
      localPort: 32_768 + i,
      remotePort: [80, 443, 5432][i % 3] ?? 0,
      process: ['nginx', 'node', 'postgres'][i % 3] ?? '',
      firstSeenUs: nowUs + i,
      lastSeenUs: nowUs + i + 5000,
      bytesIn: i * 100,
      bytesOut: i * 900,
    })),
  );
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
