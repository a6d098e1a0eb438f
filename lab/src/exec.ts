import { execFile } from 'node:child_process';

/** A command that ended with a status other than 0. The message holds command, status and the tail of its standard error. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  constructor(
    readonly command: string,
    readonly status: number | string,
    readonly stderr: string,
  ) {
    super(`Cannot run ${command}: it ended with ${status}, wanted 0: ${stderr.trim().slice(-600)}`);
  }
}

/** Runs a command to its end and returns its standard output. `input` goes to its standard input. Throws CommandError. */
export function run(
  command: string,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number; env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      [...args],
      { timeout: options.timeoutMs ?? 60_000, maxBuffer: 64 << 20, env: options.env ?? process.env, cwd: options.cwd },
      (error, stdout, stderr) => {
        if (error)
          reject(new CommandError([command, ...args].join(' '), error.code ?? error.signal ?? 'an error', stderr));
        else resolve(stdout);
      },
    );
    // A command that ends without reading its input is judged by its status alone.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}
