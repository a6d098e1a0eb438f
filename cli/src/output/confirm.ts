import { createInterface } from 'node:readline/promises';
import { usageError } from '../errors.js';
import type { Invocation } from '../invocation.js';

/**
 * Asks before what cannot be undone. `yes` is the command's --yes. Without a terminal to ask on, --yes is needed: a script that did
 * not say it meant it gets a usage error. Anything but "y" or "yes" is a no, and a no is a usage error too.
 */
export async function confirm(invocation: Invocation, yes: boolean | undefined, question: string): Promise<void> {
  if (yes) return;
  const { stdin, stderr } = invocation.io;
  if (!stdin.isTTY || !stderr.isTTY) {
    throw usageError('Cannot go on without asking', 'found no terminal to ask on', '--yes', {
      next: 'add --yes if you mean it',
    });
  }
  const asking = createInterface({ input: stdin, output: stderr });
  try {
    const answer = await asking.question(`${question} [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    asking.close();
  }
  throw usageError('Cannot go on', 'found no consent; nothing was changed', '"y" or --yes');
}
