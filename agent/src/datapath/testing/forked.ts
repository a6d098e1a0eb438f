// A helper process inside a network namespace, spoken to by messages.
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer } from './driver.js';

/** Compiles what helper processes run. Errors of other parts of the agent are not this test's business. */
export function buildHelpers(): void {
  const cwd = fileURLToPath(new URL('../../../', import.meta.url));
  const { stdout } = spawnSync(process.execPath, ['../node_modules/typescript/bin/tsc', '-b', '.'], {
    cwd,
    encoding: 'utf8',
  });
  const own = stdout.split('\n').filter((line) => /src\/(datapath|desired)\//.test(line));
  if (own.length > 0) throw new Error(`Cannot build helper processes:\n${own.join('\n')}`);
}

export class Forked<R extends object> {
  readonly child: ChildProcess;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  /** script: name in agent/dist/datapath/testing. netns: name of a network namespace. cgroup: directory to run in. */
  static async start<R extends object>(script: string, netns: string, cgroup?: string): Promise<Forked<R>> {
    const path = fileURLToPath(new URL(`../../../dist/datapath/testing/${script}.js`, import.meta.url));
    const enter = ['nsenter', `--net=/run/netns/${netns}`, process.execPath];
    const [first = '', ...rest] =
      cgroup === undefined ? enter : ['sh', '-c', `echo $$ > ${cgroup}/cgroup.procs; exec "$@"`, 'sh', ...enter];
    const child = fork(path, [], {
      execPath: first,
      execArgv: rest,
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const forked = new Forked<R>(child);
    await forked.#next();
    return forked;
  }

  /** Sends a request and gives its answer. Rejects with the error's message, its code in front. */
  ask<T>(request: R): Promise<T> {
    const asked = this.#queue.then(async () => {
      const answer = this.#next();
      this.child.send(request);
      return (await answer) as T;
    });
    this.#queue = asked.catch(() => undefined);
    return asked;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  async #next(): Promise<unknown> {
    const stop = new AbortController();
    try {
      const exit = once(this.child, 'exit', { signal: stop.signal }).then(() => {
        throw new Error('helper process ended');
      });
      const message = once(this.child, 'message', { signal: stop.signal });
      for (const waiting of [exit, message]) waiting.catch(() => undefined);
      const [answer] = (await Promise.race([message, exit])) as [Answer];
      if ('error' in answer) throw new Error(`${answer.error.code} ${answer.error.message}`);
      return answer.value;
    } finally {
      stop.abort();
    }
  }
}
