// The guest's file system: busybox, ip, nsenter and Node with the libraries they are linked to, the addon, the BPF objects, the
// agent's datapath and the checks. The same for every kernel but for its modules, which are a second image behind the first.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { CpioArchive } from './cpio.js';
import type { KernelModule } from './modules.js';

/** Compiled code and data that the guest's checks import, relative to the repository. */
const TREES = [
  'agent/dist/datapath',
  'agent/dist/desired',
  'bpf/build',
  'bpf/dist',
  'native/dist',
  'proto/dist',
  'vm-tests/dist/guest',
];
const FILES = ['agent', 'bpf', 'native', 'proto', 'vm-tests'].map((part) => `${part}/package.json`);
const ADDON = 'native/build/Release/ringfence.node';
/** npm packages that this code imports at run time. */
const PACKAGES = ['@bufbuild/protobuf', 'ipaddr.js'];
const APPLETS = 'sh mount mkdir insmod poweroff rm cat ls echo dmesg'.split(' ');
const NODE = '/usr/bin/node';

/** The part that all kernels share, compressed. repository: absolute path. Throws when something was not built. */
export function baseImage(repository: string): Buffer {
  const archive = new CpioArchive();
  for (const dir of ['proc', 'sys', 'dev', 'tmp', 'run', 'usr/bin', 'modules', 'etc']) archive.directory(dir);
  archive.link('bin', 'usr/bin');
  archive.link('sbin', 'usr/bin');
  archive.characterDevice('dev/console', 5, 1);
  archive.file('init', readFileSync(join(repository, 'vm-tests/guest/init.sh')), 0o755);
  archive.file('usr/bin/busybox', readFileSync(which('busybox')), 0o755);
  for (const applet of APPLETS) archive.link(`usr/bin/${applet}`, 'busybox');
  addProgram(archive, which('ip'), '/usr/bin/ip');
  addProgram(archive, which('nsenter'), '/usr/bin/nsenter');
  addProgram(archive, process.execPath, NODE);
  for (const path of TREES) addTree(archive, repository, path);
  for (const path of FILES) archive.file(`rf/${path}`, readFileSync(join(repository, path)));
  archive.file(`rf/${ADDON}`, readFileSync(join(repository, ADDON)), 0o755);
  addLibraries(archive, join(repository, ADDON));
  for (const name of PACKAGES) addTree(archive, repository, `node_modules/${name}`);
  for (const part of ['agent', 'bpf', 'native', 'proto'])
    archive.link(`rf/node_modules/@ringfence/${part}`, `../../${part}`);
  return zstdCompressSync(archive.toBuffer());
}

/** A kernel's own part: its modules and the order to insert them in. */
export function modulesImage(modules: readonly KernelModule[]): Buffer {
  const archive = new CpioArchive();
  for (const { name, content } of modules) archive.file(`modules/${name}.ko`, content);
  archive.file('modules/order', Buffer.from(modules.map(({ name }) => `${name}\n`).join('')));
  return archive.toBuffer();
}

function which(command: string): string {
  return execFileSync('sh', ['-c', `PATH="$PATH:/usr/sbin:/sbin" command -v ${command}`], { encoding: 'utf8' }).trim();
}

function addProgram(archive: CpioArchive, path: string, to: string): void {
  archive.file(to.slice(1), readFileSync(path), 0o755);
  addLibraries(archive, path);
}

/** The shared libraries a binary is linked to, at the paths where its loader looks for them. */
function addLibraries(archive: CpioArchive, binary: string): void {
  const listed = execFileSync('ldd', [binary], { encoding: 'utf8' });
  for (const [, path] of listed.matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
    if (path !== undefined) archive.file(path.slice(1), readFileSync(realpathSync(path)), 0o755);
  }
}

function addTree(archive: CpioArchive, repository: string, path: string): void {
  const root = join(repository, path);
  if (!existsSync(root))
    throw new Error(`Cannot put ${path} into the guest: found nothing there, wanted it built (make build)`);
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const file = join(root, entry);
    if (!statSync(file).isFile() || /\.(map|d\.[cm]?ts|o\.tmp)$|\.tsbuildinfo$/.test(basename(file))) continue;
    archive.file(join('rf', relative(repository, dirname(file)), basename(file)), readFileSync(file));
  }
}
