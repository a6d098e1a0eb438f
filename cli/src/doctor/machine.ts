import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { release } from 'node:os';
import type { Check, Finding } from './check.js';

/** Capabilities that the agent needs, by bit number. */
const capabilities: readonly (readonly [number, string])[] = [
  [39, 'CAP_BPF'],
  [12, 'CAP_NET_ADMIN'],
  [38, 'CAP_PERFMON'],
];

/** Checks of the kernel and what is mounted: could an agent run here? `root` is put before every path, for tests. */
export function machineChecks(root = ''): Check[] {
  const area = 'machine';
  return [
    { area, name: 'node', run: async () => [nodeFinding(process.versions.node)] },
    { area, name: 'kernel', run: async () => [kernelFinding(release())] },
    { area, name: 'BTF', run: async () => [await btf(root)] },
    { area, name: 'cgroup v2', run: async () => [cgroupFinding(await readFile(`${root}/proc/mounts`, 'utf8'))] },
    { area, name: 'bpffs', run: async () => [bpffsFinding(await readFile(`${root}/proc/mounts`, 'utf8'))] },
    {
      area,
      name: 'capabilities',
      run: async () => [capabilityFinding(await readFile(`${root}/proc/self/status`, 'utf8'))],
    },
    { area, name: 'docker', run: async () => [await docker(root)] },
  ];
}

/** Node's own version against what the programs need. */
export function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return { state: 'ok', found: version };
  return { state: 'fail', found: `${version}, wanted 22.19 or later`, fix: 'make setup, or install a newer Node.js' };
}

/** A kernel release against the oldest that the programs can load on; docs/kernels.md says what was tried. */
export function kernelFinding(kernel: string): Finding {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  if (major < 5 || (major === 5 && minor < 12)) {
    return {
      state: 'fail',
      found: `${kernel}, wanted 5.12 or later`,
      fix: 'install a newer kernel package and reboot',
    };
  }
  const old = major < 6 || (major === 6 && minor < 6);
  return { state: 'ok', found: old ? `${kernel} (before 6.6: programs attach by clsact instead of tcx)` : kernel };
}

/** The line of /proc/mounts with a file system type. */
function mountOf(mounts: string, type: string): string | undefined {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .find((parts) => parts[2] === type)?.[1];
}

/** Where cgroup v2 is mounted, from the text of /proc/mounts. */
export function cgroupFinding(mounts: string): Finding {
  const at = mountOf(mounts, 'cgroup2');
  if (at !== undefined) return { state: 'ok', found: at };
  const fix = 'mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1';
  return { state: 'fail', found: 'not mounted', fix };
}

/** Where the BPF file system is mounted, from the text of /proc/mounts. */
export function bpffsFinding(mounts: string): Finding {
  const at = mountOf(mounts, 'bpf');
  if (at !== undefined) return { state: 'ok', found: at };
  return {
    state: 'warn',
    found: 'not mounted',
    fix: 'mount -t bpf bpf /sys/fs/bpf (the agent does so itself where it may)',
  };
}

/** Effective capabilities of this process, from the text of /proc/self/status. */
export function capabilityFinding(statusText: string): Finding {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-fA-F]+)/m.exec(statusText)?.[1] ?? '0'}`);
  const missing = capabilities.filter(([bit]) => ((effective >> BigInt(bit)) & 1n) === 0n).map(([, name]) => name);
  if (missing.length === 0) return { state: 'ok', found: capabilities.map(([, name]) => name).join(' ') };
  return { state: 'info', found: `this shell lacks ${missing.join(' ')}: the agent needs them, this command does not` };
}

async function btf(root: string): Promise<Finding> {
  const path = `${root}/sys/kernel/btf/vmlinux`;
  const there = await access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
  if (there) return { state: 'ok', found: path };
  return {
    state: 'fail',
    found: `no ${path}`,
    fix: 'use a kernel built with CONFIG_DEBUG_INFO_BTF=y (those of Debian are)',
  };
}

async function docker(root: string): Promise<Finding> {
  const path = `${root}/var/run/docker.sock`;
  const info = await stat(path).catch(() => undefined);
  if (info?.isSocket()) return { state: 'ok', found: path };
  return { state: 'info', found: `no ${path}: no containers are seen unless the agent's config names another socket` };
}
