import type { Connection } from './api/connection.js';
import type { Context } from './context/load.js';
import type { Io } from './io.js';
import { formats } from './output/format.js';
import { Printer } from './output/printer.js';
import { chooseStyle } from './text/style.js';

/** Options that every command has. */
export interface GlobalOptions {
  output?: string;
  context?: string;
  /** False with --no-color. */
  color?: boolean;
  wide?: boolean;
  /** Seconds. */
  timeout?: number;
}

/** Default of --timeout, seconds. */
export const timeoutDefaultSeconds = 30;

/** One run of one command: its surroundings, its output, and its connection when it asks for one. */
export class Invocation {
  readonly io: Io;
  readonly printer: Printer;
  readonly timeoutMs: number;
  readonly #contextNamed: string | undefined;
  #connection: Connection | undefined;

  constructor(io: Io, options: GlobalOptions) {
    this.io = io;
    const colour = options.color !== false;
    const format = formats.find((name) => name === options.output) ?? 'table';
    const room = options.wide || !io.stdout.isTTY ? Number.POSITIVE_INFINITY : (io.stdout.columns ?? 80);
    this.printer = new Printer(
      io,
      format,
      chooseStyle(io.stdout.isTTY === true, io.env, colour),
      chooseStyle(io.stderr.isTTY === true, io.env, colour),
      room,
    );
    this.timeoutMs = (options.timeout ?? timeoutDefaultSeconds) * 1000;
    this.#contextNamed = options.context;
  }

  /** The context that this command line, the environment or the usual places name. */
  async context(): Promise<Context> {
    const { loadContext } = await import('./context/load.js');
    return loadContext(this.#contextNamed, this.io.env, this.io.home, this.io.now());
  }

  /** The connection to the controller, opened at first use. */
  async connect(): Promise<Connection> {
    if (this.#connection === undefined) {
      const context = await this.context();
      const { Connection } = await import('./api/connection.js');
      this.#connection = new Connection(context, this.timeoutMs);
    }
    return this.#connection;
  }

  /** Closes what was opened. */
  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }
}
