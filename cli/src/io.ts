import type { Readable, Writable } from 'node:stream';

/** A stream for text, which may be a terminal. */
export type TextOutput = Writable & { isTTY?: boolean; columns?: number };

/** A stream for input, which may be a terminal. */
export type TextInput = Readable & { isTTY?: boolean };

/** Reason of an interruption when a reader closed its pipe: it wants to hear no more, on standard error neither. */
export const readerGone = 'reader gone';

/** Everything of the process that commands may touch: tests pass their own. */
export interface Io {
  stdin: TextInput;
  stdout: TextOutput;
  stderr: TextOutput;
  env: Readonly<Record<string, string | undefined>>;
  /** Home directory; empty when there is none. */
  home: string;
  /** Unix milliseconds. */
  now(): number;
  /**
   * Aborted by Ctrl-C, SIGTERM, or a reader that closed its pipe. Whoever asks for it promises to end cleanly then; as long as nobody
   * has, Ctrl-C ends the process at once.
   */
  interruption(): AbortSignal;
}

/** Writes, and waits for a slow reader. Resolves false when the reader is gone (a closed pipe). */
export async function write(output: TextOutput, text: string): Promise<boolean> {
  if (output.destroyed || output.writableEnded) return false;
  if (output.write(text)) return true;
  if (!output.writableNeedDrain) return !output.destroyed;
  return await new Promise<boolean>((resolve) => {
    const settle = (open: boolean) => () => {
      output.off('drain', onDrain);
      output.off('close', onClose);
      output.off('error', onClose);
      resolve(open);
    };
    const onDrain = settle(true);
    const onClose = settle(false);
    output.once('drain', onDrain);
    output.once('close', onClose);
    output.once('error', onClose);
  });
}

/** Reads all of an input as UTF-8 text, at most `bytesMax`; undefined when there is more. */
export async function readAll(input: TextInput, bytesMax: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of input) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    length += bytes.length;
    if (length > bytesMax) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}
