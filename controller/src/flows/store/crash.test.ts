// The process as it is run, killed while agents upload: what was acknowledged is there once, what was not comes again and is there once.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterAll, expect, test } from 'vitest';
import { AdminClient, call, Tail } from '../../testing/admin-client.js';
import { flowColumns } from '../../testing/flow-columns.js';
import { sourceArguments } from '../../testing/run-source.js';
import { type AgentCredentials, enrollAgent, SimulatedAgent } from '../../testing/simulated-agent.js';

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'rf-flow-crash-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

const BATCH = 400;
const BATCHES = 120;
/** Every record is told from every other by its ports. */
const batch = (sequence: number) =>
  flowColumns(
    Array.from({ length: BATCH }, (_, i) => ({
      workload: 'h/w',
      local: '10.0.0.1',
      remote: '10.0.0.2',
      localPort: sequence,
      remotePort: i,
      process: `p${sequence % 7}`,
    })),
  );

async function serve(port: string): Promise<{ child: ChildProcess; sync: string; enroll: string; admin: AdminClient }> {
  const ready = join(dir, 'ready.json');
  rmSync(ready, { force: true });
  const listen = [
    '--listen-sync',
    `127.0.0.1:${port}`,
    '--listen-admin',
    '127.0.0.1:0',
    '--listen-enroll',
    '127.0.0.1:0',
  ];
  const state = join(dir, 'state');
  const child = spawn(
    process.execPath,
    sourceArguments(MAIN, ['--state-dir', state, '--ready-file', ready, ...listen]),
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  children.push(child);
  let text = '';
  child.stderr?.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await expect.poll(() => existsSync(ready) || child.exitCode !== null, { timeout: 60_000 }).toBe(true);
  expect(child.exitCode, text).toBe(null);
  const addresses = JSON.parse(readFileSync(ready, 'utf8')) as { sync: string; enroll: string };
  return { child, ...addresses, admin: new AdminClient(join(state, 'operator', 'context.json')) };
}

test('kill -9 in the middle, three times: each record is there exactly once, in order, and tails join over the restart', {
  timeout: 180_000,
}, async () => {
  let controller = await serve('0');
  const port = controller.sync.split(':').at(-1) ?? '';
  const { hosts, caPem } = controller.admin;
  const { token } = await call(hosts, hosts.createToken, { ttlSeconds: 600, hostId: '', note: '' });
  const own: AgentCredentials = await enrollAgent(controller.enroll, token, caPem, { hostname: 'h' });
  const run = Buffer.alloc(16, 9);
  let acked = 0;
  for (const killAt of [20, 55, 90, undefined]) {
    const agent = new SimulatedAgent(own);
    const stream = agent.openFlows(run);
    // As a spool does: from the first that was not acknowledged, several under way.
    for (let sequence = acked + 1; sequence <= BATCHES && stream.ended === undefined; sequence += 1) {
      stream.send(BigInt(sequence), batch(sequence));
      if (sequence - Number(stream.acked) >= 8) await stream.untilAcked(BigInt(sequence - 7));
      if (killAt !== undefined && Number(stream.acked) >= killAt) {
        const ended = once(controller.child, 'close');
        controller.child.kill('SIGKILL');
        await ended;
        break;
      }
    }
    if (killAt === undefined) await stream.untilAcked(BigInt(BATCHES));
    acked = Math.max(acked, Number(stream.acked));
    stream.close();
    agent.close();
    if (killAt === undefined) break;
    controller.admin.close();
    controller = await serve(port);
    // What was acknowledged is there before anything is sent again.
    const tail = new Tail(controller.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true })));
    await tail.until(() => tail.synced, 'synced');
    const found = new Set(tail.rows.map(({ source }) => source?.port));
    for (let sequence = 1; sequence <= acked; sequence += 1) expect(found).toContain(sequence);
    expect(tail.rows.length % BATCH).toBe(0);
    tail.close();
  }
  expect(acked).toBe(BATCHES);
  const tail = new Tail(controller.admin.flows.follow(FollowFlowsRequest.fromPartial({ history: true })));
  await tail.until(() => tail.synced, 'synced');
  const places = tail.rows.map(({ source, servicePort }) => (source?.port ?? 0) * BATCH + servicePort);
  expect(places).toHaveLength(BATCH * BATCHES);
  expect(places).toEqual(Array.from(places, (_, i) => BATCH + i));
  const ids = tail.rows.map(({ id }) => Number(id));
  expect(ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? 0))).toBe(true);
  tail.close();
  const status = await call(controller.admin.status, controller.admin.status.get, {});
  expect(status.flows).toMatchObject({ kept: BigInt(BATCH * BATCHES), storeLost: 0n });
  controller.admin.close();
});
