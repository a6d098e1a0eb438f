// Where epochs outlive the controller: one private file. Backups of the database hold no key.
import { join } from 'node:path';
import { z } from 'zod';
import { makePrivateDirectory, readIfThere, writePrivateFile } from '../ca/files.js';
import type { Epoch } from './epochs.js';

const content = z.object({
  format: z.literal(1),
  epochs: z.array(
    z.object({
      epoch: z.number().int().min(1).max(0xffffffff),
      key: z.string().regex(/^[0-9a-f]{32}$/),
      fromMs: z.number().int().nonnegative(),
    }),
  ),
});

export class TagKeyFile {
  readonly #path: string;

  /** Makes the directory, mode 0700. */
  constructor(stateDir: string) {
    const directory = join(stateDir, 'tags');
    makePrivateDirectory(directory);
    this.#path = join(directory, 'keys.json');
  }

  /** Empty when there is none yet. Throws when it cannot be read or is damaged; the message holds no key. */
  read(): readonly Epoch[] {
    const text = readIfThere(this.#path);
    if (text === undefined) return [];
    const wanted = `Cannot use ${this.#path}: found another content than tag keys, wanted what was written; remove it to begin with new keys`;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new Error(wanted);
    }
    const parsed = content.safeParse(value);
    if (!parsed.success) throw new Error(wanted);
    return parsed.data.epochs.map(({ epoch, key, fromMs }) => ({ epoch, key: Buffer.from(key, 'hex'), fromMs }));
  }

  /** Durable when it returns. */
  write(epochs: readonly Epoch[]): void {
    const readable = epochs.map(({ epoch, key, fromMs }) => ({ epoch, key: Buffer.from(key).toString('hex'), fromMs }));
    writePrivateFile(this.#path, `${JSON.stringify({ format: 1, epochs: readable })}\n`);
  }
}
