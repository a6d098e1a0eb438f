// Many agents that upload as fast as they are acknowledged, to a controller in a process of its own. Agents send messages that were
// encoded before: what they cost is TLS, HTTP/2 and acknowledgements, and is measured apart from the controller.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AdminClient, call } from '@ringfence/controller/testing/admin-client.js';
import { type AgentCredentials, enrollAgent, SimulatedAgent } from '@ringfence/controller/testing/simulated-agent.js';
import { repository } from '@ringfence/lab/paths.js';
import { until } from '@ringfence/lab/until.js';
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { fleetBatches, WORKLOADS, workloadsOf } from './fleet-batches.js';
import { cpuSeconds, peakMib, threadSeconds } from './process-cost.js';
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
    const hosts: AgentCredentials[] = [];
    for (let i = 0; i < agents; i += 1) {
      const { token } = await call(admin.hosts, admin.hosts.createToken, { ttlSeconds: 600, hostId: '', note: '' });
      hosts.push(await enrollAgent(enroll, token, admin.caPem, { hostname: `h${i}` }));
    }
    const present = hosts.map((credentials, host) => {
      const agent = new SimulatedAgent(credentials);
      agent.sendInventory(workloadsOf(host));
      return agent;
    });
    const batches = fleetBatches(
      hosts.map(({ hostId }) => hostId),
      batch,
    );
    const all = hosts.map((credentials, host) => new EncodedUpload(credentials, batches[host] as FlowColumns));
    await until('every workload to be known', async () => {
      const { workloads } = await call(admin.status, admin.status.get, {});
      return workloads >= agents * WORKLOADS;
    });
    const pid = controller.pid ?? 0;
    const cpuBefore = cpuSeconds(pid);
    const threadsBefore = threadSeconds(pid);
    const ownBefore = process.cpuUsage();
    const startedMs = performance.now();
    const end = startedMs + seconds * 1000;
    const acked = await Promise.all(all.map((stream) => stream.run(WINDOW, () => performance.now() < end)));
    const took = (performance.now() - startedMs) / 1000;
    const used = process.cpuUsage(ownBefore);
    const cpu = cpuSeconds(pid) - cpuBefore;
    const threads = [...threadSeconds(pid)].map(([name, all]) => [name, all - (threadsBefore.get(name) ?? 0)] as const);
    const { flows } = await call(admin.status, admin.status.get, {});
    const records = acked.reduce((sum, count, host) => sum + count * (all[host]?.count ?? 0), 0);
    const [stitched, lost] = [flows?.stitching?.stitched ?? 0n, flows?.storeLost ?? 0n].map(Number) as [number, number];
    if (Number(flows?.stitching?.records ?? 0n) !== records)
      throw new Error(`Cannot account for records: found ${flows?.stitching?.records} taken, wanted ${records}`);
    const kept = Number(flows?.kept ?? 0n);
    for (const agent of present) agent.close();
    for (const stream of all) stream.close();
    admin.close();
    return {
      batch,
      records,
      seconds: took,
      perSecond: records / took,
      kept,
      stitched,
      lost,
      threads: threads.sort(([, a], [, b]) => b - a),
      cpuSecondsPerMillion: (cpu / records) * 1e6,
      agentsCpuSecondsPerMillion: (used.user + used.system) / records,
      peakMib: peakMib(pid),
    };
  } finally {
    const ended = once(controller, 'close');
    controller.kill('SIGTERM');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
}
