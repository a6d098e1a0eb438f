import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './exec.js';
import { repository } from './paths.js';

const source = join(repository, 'lab', 'clock', 'shim.c');
const build = join(repository, 'lab', 'build');

async function shim(): Promise<string> {
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const file = join(build, `clock-${digest}.so`);
  if (existsSync(file)) return file;
  await mkdir(build, { recursive: true });
  const part = `${file}.${process.pid}`;
  await run('gcc', [
    '-std=gnu17',
    '-O2',
    '-shared',
    '-fPIC',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-D_GNU_SOURCE',
    '-o',
    part,
    source,
  ]);
  await rename(part, file);
  return file;
}

/**
 * A wall clock for the processes that get its environment: theirs is ahead of the machine's by as much as was asked for, from one moment
 * to the next. Nothing in the programs knows of it; what they verify, they verify by this clock. Timers run on the machine's.
 */
export class MovedClock {
  private constructor(
    /** To be given to processes when they start. */
    readonly environment: Readonly<Record<string, string>>,
    private readonly file: string,
  ) {}

  /** `file` holds the offset; it must outlive the processes. */
  static async create(file: string): Promise<MovedClock> {
    const clock = new MovedClock({ LD_PRELOAD: await shim(), RF_CLOCK_FILE: file }, file);
    clock.set(0);
    return clock;
  }

  /** Days ahead of the machine from now on. */
  set(days: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.round(days * 86_400)));
    writeFileSync(this.file, bytes, { flag: existsSync(this.file) ? 'r+' : 'w' });
  }
}
