// One agent per pin path: two would each undo what the other applied. The lock is a file that names its holder by process and
// start time; the kernel frees nothing here, so a lock whose holder is gone is taken over.
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AgentError, codeOf } from '../errors.js';

export class AgentLock {
  readonly #file: string;
  readonly #own: string;

  private constructor(file: string, own: string) {
    this.#file = file;
    this.#own = own;
  }

  /** Takes the lock of a pin path. Throws RF_LOCKED when a living process holds it. directory: where locks lie, on this machine only. */
  static take(pinPath: string, directory = '/run/ringfence'): AgentLock {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const name = createHash('sha256').update(resolve(pinPath)).digest('hex').slice(0, 16);
    const file = join(directory, `agent-${name}.lock`);
    const own = `${process.pid} ${startTimeOf(process.pid) ?? '?'} ${resolve(pinPath)}\n`;
    const candidate = `${file}.${process.pid}`;
    writeFileSync(candidate, own);
    try {
      // link fails when the lock exists, and is the only step that takes it.
      for (let tries = 0; tries < 10; tries++) {
        try {
          linkSync(candidate, file);
          return new AgentLock(file, own);
        } catch (error) {
          if (codeOf(error, '') !== 'EEXIST') throw error;
          removeStale(file, pinPath);
        }
      }
    } finally {
      unlinkSync(candidate);
    }
    throw new AgentError('RF_LOCKED', `Cannot lock ${pinPath}: ${file} keeps changing hands, wanted one agent`);
  }

  /** Gives it back. Idempotent; leaves a lock alone that is another's by now. */
  release(): void {
    if (readText(this.#file) === this.#own) unlinkSync(this.#file);
  }
}

/** Removes a lock whose holder is gone. Throws RF_LOCKED when it lives. */
function removeStale(file: string, pinPath: string): void {
  const text = readText(file);
  if (text === undefined) return;
  const holder = livingHolder(text);
  if (holder !== undefined) {
    throw new AgentError(
      'RF_LOCKED',
      `Cannot start on ${pinPath}: found process ${holder} using it, wanted one agent per pin path`,
    );
  }
  // Between reading and removing, another process may have taken the stale lock over: what was moved away is looked at again.
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (codeOf(error, '') === 'ENOENT') return;
    throw error;
  }
  if (readText(aside) !== text) {
    try {
      linkSync(aside, file);
    } catch {} // a third one has it by now, and checks in turn
  }
  unlinkSync(aside);
}

function livingHolder(text: string): number | undefined {
  const [pid, started] = text.split(' ');
  const now = startTimeOf(Number(pid));
  return now !== undefined && now === started ? Number(pid) : undefined;
}

/** Start time of a process in clock ticks since boot; undefined when there is none. */
function startTimeOf(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The command name, in brackets, may itself hold spaces and brackets.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
