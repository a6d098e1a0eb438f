import { open } from 'node:fs/promises';
import { CliError, ExitCode } from '../errors.js';

/** A new file that only the caller can read, open for writing. `what` names what goes into it. Throws a usage error when it is there already. */
export async function createPrivately(path: string, what: string) {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    throw new CliError({
      code: 'RF_CLI_FILE',
      what: `Cannot write ${what}`,
      found: `found ${(error as NodeJS.ErrnoException).code}`,
      wanted: 'a file that does not exist yet, in a folder that can be written',
      where: path,
      next: 'name another file',
      exit: ExitCode.usage,
      cause: error,
    });
  }
}
