// A real dockerd inside an AgentRig's machine: its network namespace, its cgroup subtree, a mount namespace of its own, so that
// nothing it mounts outlives it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentRig } from './agent-rig.js';

export class DockerRig {
  readonly socket: string;
  readonly #directory: string;
  readonly #daemon: ChildProcess;
  #log = '';

  /** Starts the daemon; wait with ready(). Container addresses are 172.31.<number>.0/24. */
  constructor(rig: AgentRig, number: number) {
    // Not on a tmpfs: overlay storage lives here.
    this.#directory = mkdtempSync(join('/var/tmp', `${rig.name}-docker-`));
    this.socket = join(this.#directory, 'docker.sock');
    const at = (name: string) => join(this.#directory, name);
    writeFileSync(at('none.json'), '{}'); // not the machine's own
    const options = [
      `--data-root=${at('data')}`,
      `--exec-root=${at('exec')}`,
      `--pidfile=${at('pid')}`,
      `--config-file=${at('none.json')}`,
      `--host=unix://${this.socket}`,
      `--bip=172.31.${number}.1/24`,
      `--cgroup-parent=/${rig.name}/docker`,
      '--exec-opt=native.cgroupdriver=cgroupfs',
      '--iptables=true',
      '--userland-proxy=false',
    ];
    const script = 'echo $$ > "$0/system/cgroup.procs"; exec unshare -m --propagation private "$@"';
    this.#daemon = spawn('nsenter', [`--net=${rig.netns}`, 'sh', '-c', script, rig.cgroupRoot, 'dockerd', ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#daemon.stdout, this.#daemon.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-20_000);
      });
    }
  }

  get log(): string {
    return this.#log;
  }

  /** The docker client against this daemon; throws when it fails. */
  docker(...args: string[]): string {
    return execFileSync('docker', ['-H', `unix://${this.socket}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
      .toString()
      .trim();
  }

  /** Throws until the daemon answers. */
  ready(): void {
    this.docker('version');
  }

  /** Makes the image rfag: a static busybox. */
  importImage(): void {
    const root = join(this.#directory, 'root');
    mkdirSync(join(root, 'bin'), { recursive: true });
    copyFileSync('/usr/bin/busybox', join(root, 'bin/busybox'));
    const tar = join(this.#directory, 'root.tar');
    execFileSync('tar', ['-C', root, '-cf', tar, '.']);
    this.docker('import', tar, 'rfag');
  }

  /** Ends the daemon and its containers, and removes its files. */
  async close(): Promise<void> {
    if (this.#daemon.exitCode === null && this.#daemon.signalCode === null) {
      const ended = new Promise((resolve) => this.#daemon.once('exit', resolve));
      this.#daemon.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
