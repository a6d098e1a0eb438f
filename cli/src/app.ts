import type { Command } from 'commander';
import { ExitCode } from './errors.js';
import { type GlobalOptions, Invocation } from './invocation.js';
import type { Io } from './io.js';

/** Does one command. Arguments as commander gives them; what it returns is the exit code, ok unless said. */
export type Action<A extends unknown[], O> = (
  invocation: Invocation,
  options: O,
  ...args: A
  // biome-ignore lint/suspicious/noConfusingVoidType: most actions have nothing to say beyond "done"
) => Promise<ExitCode | void>;

/** Carries one command line from definitions to its exit code. */
export class App {
  readonly io: Io;
  exit: ExitCode = ExitCode.ok;
  /** The program with the definitions of all commands loaded: for completion and documentation. Set by buildProgram. */
  definitions: () => Promise<Command> = () => Promise.reject(new Error('no program was built'));

  constructor(io: Io) {
    this.io = io;
  }

  /** A commander action that loads its implementation only when it runs. */
  action<A extends unknown[], O>(load: () => Promise<Action<A, O>>): (...raw: unknown[]) => Promise<void> {
    return async (...raw) => {
      const command = raw.at(-1) as Command;
      const args = raw.slice(0, -2) as A;
      const invocation = new Invocation(this.io, command.optsWithGlobals<GlobalOptions>());
      try {
        const run = await load();
        this.exit = (await run(invocation, command.opts() as O, ...args)) ?? ExitCode.ok;
      } finally {
        invocation.close();
      }
    };
  }
}
