import { PassThrough, Readable, Writable } from 'node:stream';
import type { Io, TextInput, TextOutput } from '../io.js';
import { run } from '../run.js';

/** Standard output or error that keeps what was written. */
class Capture extends Writable {
  text = '';

  /** What came since the last take. */
  take(): string {
    const { text } = this;
    this.text = '';
    return text;
  }
  isTTY = false;
  columns: number | undefined;
  readonly #onText: () => void;

  constructor(onText: () => void) {
    super({ decodeStrings: false });
    this.#onText = onText;
  }

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    this.#onText();
    done();
  }
}

/** Settings of a test's terminal. */
export interface TerminalSettings {
  env?: Record<string, string>;
  /** Columns of a terminal; undefined: no terminal. */
  columns?: number;
  stdin?: string;
  home?: string;
  now?: number;
}

/** The surroundings of a command in a test: captured output, a fixed clock, an interrupt to pull. */
export class TestTerminal {
  readonly stdout: Capture;
  readonly stderr: Capture;
  readonly interrupt = new AbortController();
  readonly io: Io;
  #waiting: (() => void)[] = [];

  constructor(settings: TerminalSettings = {}) {
    const wake = () => {
      for (const check of [...this.#waiting]) check();
    };
    this.stdout = new Capture(wake);
    this.stderr = new Capture(wake);
    for (const stream of [this.stdout, this.stderr]) {
      stream.isTTY = settings.columns !== undefined;
      stream.columns = settings.columns;
    }
    const stdin = settings.stdin === undefined ? new PassThrough().end() : Readable.from([settings.stdin]);
    this.io = {
      stdin: stdin as TextInput,
      stdout: this.stdout as TextOutput,
      stderr: this.stderr as TextOutput,
      env: settings.env ?? {},
      home: settings.home ?? '',
      now: () => settings.now ?? Date.now(),
      interruption: () => this.interrupt.signal,
    };
  }

  /** Runs one command line; gives its exit code. */
  run(...args: string[]): Promise<number> {
    return run(args, this.io);
  }

  /** Resolves when what was written (either stream) satisfies the condition. */
  until(condition: (stdout: string, stderr: string) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition(this.stdout.text, this.stderr.text)) return;
        this.#waiting = this.#waiting.filter((waiting) => waiting !== check);
        resolve();
      };
      this.#waiting.push(check);
      check();
    });
  }
}
