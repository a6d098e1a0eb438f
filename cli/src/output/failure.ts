import { CliError, ExitCode } from '../errors.js';
import { sanitize } from '../text/sanitize.js';
import type { Style } from '../text/style.js';

/** An error in the shape operators learn to read: what was found and wanted, where, next step. Ends with a newline. */
export function renderFailure(error: CliError, style: Style): string {
  const { where, next, code } = error.failure;
  const lines = [`${style('bad', 'error:')} ${sanitize(error.message)} ${style('dim', `[${code}]`)}`];
  if (where !== undefined) lines.push(`  ${style('dim', 'where:')} ${sanitize(where)}`);
  if (next !== undefined) lines.push(`  ${style('dim', 'next: ')} ${sanitize(next)}`);
  return `${lines.join('\n')}\n`;
}

/** The same for programs: what `-o json` writes to standard error. */
export function failureJson(error: CliError): object {
  const { code, where, next } = error.failure;
  return { error: { code, message: error.message, where: where ?? null, next: next ?? null, exit: error.exit } };
}

/** Anything thrown, as a failure to tell. What nobody expected is a fault of this program, with the place in `where`. */
export function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const place = error instanceof Error ? error.stack?.split('\n')[1]?.trim() : undefined;
  return new CliError({
    code: 'RF_CLI_FAULT',
    what: 'Cannot finish the command',
    found: error instanceof Error ? error.message : String(error),
    where: place,
    next: 'report this as a bug with the command line that led here',
    exit: ExitCode.fault,
    cause: error,
  });
}
