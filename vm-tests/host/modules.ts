// Kernel modules out of an unpacked kernel package, in the order in which they can be inserted.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What the guest's network and the agent use. One that is built in, or that a kernel does not have, is left out. */
export const WANTED = ['veth', 'bridge', 'sch_ingress', 'cls_bpf', 'tcp_diag', 'udp_diag'];

export interface KernelModule {
  readonly name: string;
  /** Uncompressed. */
  readonly content: Buffer;
}

/** A kernel's image and modules directory, wherever its package puts them. */
export function findKernel(root: string): { image: string; modules: string; release: string } {
  for (const base of ['usr/lib/modules', 'lib/modules']) {
    const dir = join(root, base);
    const [release] = existsSync(dir) ? readdirSync(dir) : [];
    if (release === undefined) continue;
    const image = [join(root, 'boot', `vmlinuz-${release}`), join(dir, release, 'vmlinuz')].find(existsSync);
    if (image !== undefined) return { image, modules: join(dir, release), release };
  }
  throw new Error(`Cannot find a kernel in ${root}: wanted lib/modules/<release> and an image`);
}

/** The wanted modules with everything they need, dependencies first. */
export function collectModules(modulesDir: string, wanted: readonly string[] = WANTED): KernelModule[] {
  const files = new Map<string, string>();
  for (const entry of readdirSync(join(modulesDir, 'kernel'), { recursive: true, encoding: 'utf8' })) {
    const [name] = basename(entry).split('.ko');
    if (/\.ko(\.xz|\.zst)?$/.test(entry)) files.set(canonical(name ?? ''), join(modulesDir, 'kernel', entry));
  }
  const out = new Map<string, KernelModule>();
  const add = (name: string): void => {
    const file = files.get(canonical(name));
    if (file === undefined || out.has(canonical(name))) return;
    const content = readModule(file);
    for (const needed of dependenciesOf(content)) add(needed);
    out.set(canonical(name), { name: canonical(name), content });
  };
  for (const name of wanted) add(name);
  return [...out.values()];
}

/** Names in the module's own "depends=" (section .modinfo: strings ended by NUL). */
export function dependenciesOf(module: Buffer): string[] {
  const key = Buffer.from('\0depends=');
  const at = module.indexOf(key);
  if (at < 0) return [];
  const start = at + key.length;
  return module.toString('latin1', start, module.indexOf(0, start)).split(',').filter(Boolean);
}

function canonical(name: string): string {
  return name.replaceAll('-', '_');
}

function readModule(file: string): Buffer {
  const tool = file.endsWith('.xz') ? 'xz' : file.endsWith('.zst') ? 'zstd' : undefined;
  return tool === undefined
    ? readFileSync(file)
    : execFileSync(tool, ['-dc', file], { maxBuffer: 256 << 20, stdio: ['ignore', 'pipe', 'inherit'] });
}
