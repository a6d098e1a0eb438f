// A part of a benchmark that must run inside the host's network namespace, as a process driven over its channel: one request, one answer.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repository } from '@ringfence/lab/paths.js';
import { tool } from '@ringfence/lab/tool.js';
import type { Rig } from './rig.js';

/** The last thing asked of a driven process is to close. */
export type Closing = { readonly do: 'close' };
type Response<Answer> = ({ readonly ok: true } & Answer) | { readonly ok: false; readonly error: string };

/** The driver's end. */
export class Driven<Request, Answer extends object> {
  private constructor(
    private readonly name: string,
    private readonly child: ChildProcess,
  ) {}

  /** Starts bench/dist/<program> in the host's namespace and waits until it serves. */
  static async start<Request, Answer extends object>(
    rig: Rig,
    program: string,
    args: readonly string[],
  ): Promise<Driven<Request, Answer>> {
    // In the lab's cgroup, so that it ends with the lab whatever happens to this process.
    const launcher = ['run', '--cgroup', `${rig.host.cgroupRoot}/system`, '--netns', rig.host.netns.path, '--'];
    const command = [process.execPath, join(repository, 'bench', 'dist', program), ...args];
    const child = spawn(await tool(), [...launcher, ...command], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const driven = new Driven<Request, Answer>(program, child);
    await driven.#answer();
    return driven;
  }

  /** Throws what the process threw, or when it ends without an answer. */
  ask(request: Request | Closing): Promise<Answer> {
    const answer = this.#answer();
    this.child.send(request as object);
    return answer;
  }

  /** Asks it to close and waits for its end. */
  async close(): Promise<void> {
    await this.ask({ do: 'close' });
    if (this.child.exitCode === null) await once(this.child, 'exit');
  }

  #answer(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onExit = () => {
        this.child.off('message', onMessage);
        reject(new Error(`Cannot measure with ${this.name}: its process ended, wanted an answer`));
      };
      const onMessage = (response: Response<Answer>) => {
        this.child.off('exit', onExit);
        if (response.ok) resolve(response);
        else reject(new Error(`Cannot measure with ${this.name}: ${response.error}`));
      };
      this.child.once('exit', onExit);
      this.child.once('message', onMessage);
    });
  }
}

/** The driven end: answers each request by handle, and close by closing and ending the channel. */
export function serveDriven<Request extends { readonly do: string }, Answer extends object>(
  handle: (request: Request) => Promise<Answer>,
  close: () => Promise<void>,
): void {
  process.on('message', (request: Request | Closing) => {
    const closing = request.do === 'close';
    (closing ? close().then(() => ({})) : handle(request as Request))
      .then(
        (answer) => ({ ok: true, ...answer }),
        (error: unknown) => ({ ok: false, error: error instanceof Error ? error.message : String(error) }),
      )
      .then((response) => {
        process.send?.(response);
        if (closing) process.disconnect();
      });
  });
  // Whoever drives it is gone: the lab's sweep removes what is pinned.
  process.once('disconnect', () => process.exit(0));
  process.send?.({ ok: true });
}

/** Number of an interface in this process's namespace; 0: it is gone. */
export function ifindexOf(name: string): number {
  const text = execFileSync('ip', ['-j', 'link', 'show', 'dev', name], { encoding: 'utf8' });
  return (JSON.parse(text) as { ifindex: number }[])[0]?.ifindex ?? 0;
}
