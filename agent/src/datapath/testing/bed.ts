// A host with two containers in throw-away namespaces: rfdph (bridge, agent, host processes) and rfdpa, rfdpb behind a veth each.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { objectPath } from '@ringfence/bpf';
import { cgroupId, queryTcx } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import { Mode, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { LocalWorkload } from '../../desired/local.js';

export const HOST = 'rfdph';
export const A = 'rfdpa';
export const B = 'rfdpb';
export const PIN_PATH = '/sys/fs/bpf/rfdp';
export const ADDRESS = {
  host4: '10.78.0.1',
  host6: 'fd78::1',
  a4: '10.78.0.2',
  a6: 'fd78::2',
  b4: '10.78.0.3',
  b6: 'fd78::3',
};
export { Mode };

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export function inNetns(netns: string, ...command: string[]): string {
  return run('nsenter', `--net=/run/netns/${netns}`, ...command);
}

/** Whether a ping comes back within a second. */
export function pings(netns: string, address: string): boolean {
  try {
    inNetns(netns, 'ping', '-c', '1', '-W', '1', address);
    return true;
  } catch {
    return false;
  }
}

/** cgroup v2 directory for this test's host. */
export const CGROUP_ROOT = `${cgroup2Mount()}/rfdp`;

function cgroup2Mount(): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((l) => l.split(' ')[2] === 'cgroup2');
  if (line === undefined) throw new Error('no cgroup2 mount');
  return line.split(' ')[1] ?? '';
}

let held: Server | undefined;

/** One bed per machine: waits for another run's. An abstract socket is let go by the kernel, however its holder ends. */
async function takeBed(): Promise<void> {
  for (;;) {
    const server = createServer();
    const listening = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ path: '\0rfdp-bed' }, () => resolve(true));
    });
    if (listening) {
      server.unref();
      held = server;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export async function makeBed(): Promise<void> {
  await takeBed();
  clear();
  for (const netns of [HOST, A, B]) run('ip', 'netns', 'add', netns);
  const host = (...args: string[]) => inNetns(HOST, 'ip', ...args);
  host('link', 'set', 'lo', 'up');
  host('link', 'add', 'br0', 'type', 'bridge');
  host('addr', 'add', `${ADDRESS.host4}/24`, 'dev', 'br0');
  host('addr', 'add', `${ADDRESS.host6}/64`, 'dev', 'br0', 'nodad');
  host('link', 'set', 'br0', 'up');
  for (const [netns, v4, v6] of [
    [A, ADDRESS.a4, ADDRESS.a6],
    [B, ADDRESS.b4, ADDRESS.b6],
  ] as const) {
    host('link', 'add', `v${netns}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `/run/netns/${netns}`);
    host('link', 'set', `v${netns}`, 'master', 'br0', 'up');
    inNetns(netns, 'ip', 'link', 'set', 'lo', 'up');
    inNetns(netns, 'ip', 'addr', 'add', `${v4}/24`, 'dev', 'eth0');
    inNetns(netns, 'ip', 'addr', 'add', `${v6}/64`, 'dev', 'eth0', 'nodad');
    inNetns(netns, 'ip', 'link', 'set', 'eth0', 'up');
  }
  for (const dir of [CGROUP_ROOT, `${CGROUP_ROOT}/svc`]) mkdirSync(dir, { recursive: true });
}

export function removeBed(): void {
  clear();
  for (const dir of copies) rmSync(dir, { recursive: true, force: true });
  held?.close();
}

const copies: string[] = [];

/** A copy of the object files: a build that runs beside the test must not look like an upgrade. Removed with the bed. */
export function copyObjects(): string {
  const dir = mkdtempSync(join(tmpdir(), 'rfdp-'));
  copies.push(dir);
  cpSync(dirname(objectPath('tc_ingress')), dir, { recursive: true });
  return dir;
}

/** Also what a crashed run left. */
function clear(): void {
  for (const version of existsSync(PIN_PATH) ? readdirSync(PIN_PATH) : []) {
    for (const kind of ['links', 'progs', 'maps']) {
      const dir = `${PIN_PATH}/${version}/${kind}`;
      for (const pin of existsSync(dir) ? readdirSync(dir) : []) run('rm', '-f', `${dir}/${pin}`);
      if (existsSync(dir)) rmdirSync(dir);
    }
    rmdirSync(`${PIN_PATH}/${version}`);
  }
  if (existsSync(PIN_PATH)) rmdirSync(PIN_PATH);
  const known = run('ip', 'netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0]);
  for (const netns of [A, B, HOST]) if (known.includes(netns)) run('ip', 'netns', 'del', netns);
  for (const dir of [`${CGROUP_ROOT}/svc`, CGROUP_ROOT]) {
    if (!existsSync(dir)) continue;
    for (const pid of readFileSync(`${dir}/cgroup.procs`, 'utf8').split('\n').filter(Boolean)) {
      writeFileSync(`${cgroup2Mount()}/cgroup.procs`, pid);
    }
    rmdirSync(dir);
  }
}

export function ifindexOf(name: string): number {
  const [link] = JSON.parse(inNetns(HOST, 'ip', '-j', 'link', 'show', name)) as { ifindex: number }[];
  return link?.ifindex ?? 0;
}

/** Ids of the programs that the kernel runs at a host-side interface, ingress then egress. */
export function programIds(name: string): number[] {
  const at = { ifindex: ifindexOf(name), netns: `/run/netns/${HOST}` };
  return (['ingress', 'egress'] as const).flatMap((direction) =>
    queryTcx({ ...at, direction }).programs.map((program) => program.progId),
  );
}

export function bytes(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

/** The two containers, as the workloads part would report them. */
export function containers(): LocalWorkload[] {
  return [A, B].map((netns) => ({
    localId: `container:${netns}`,
    kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
    interfaces: [{ name: `v${netns}`, ifindex: ifindexOf(`v${netns}`) }],
    cgroup: undefined,
    addresses: [],
    netns: `/run/netns/${netns}`,
  }));
}

/** The host and one service in a cgroup of it. */
export function hostWorkloads(): LocalWorkload[] {
  const at = (path: string) => ({ path, id: cgroupId(path) });
  return [
    {
      localId: 'host',
      kind: WorkloadKind.WORKLOAD_KIND_HOST,
      interfaces: [],
      cgroup: at(CGROUP_ROOT),
      addresses: [bytes(ADDRESS.host4), bytes(ADDRESS.host6)],
      netns: undefined,
    },
    {
      localId: 'cgroup:svc',
      kind: WorkloadKind.WORKLOAD_KIND_CGROUP,
      interfaces: [],
      cgroup: at(`${CGROUP_ROOT}/svc`),
      addresses: [],
      netns: undefined,
    },
  ];
}
