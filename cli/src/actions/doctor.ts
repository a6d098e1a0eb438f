import type { Action } from '../app.js';
import { agentChecks } from '../doctor/agent.js';
import { type Check, type Result, runChecks } from '../doctor/check.js';
import { controllerChecks } from '../doctor/controller.js';
import { machineChecks } from '../doctor/machine.js';
import { ExitCode, usageError } from '../errors.js';
import { sanitize } from '../text/sanitize.js';
import type { Style, Tone } from '../text/style.js';
import type { Column } from '../text/table.js';
import { pad } from '../text/width.js';

interface Options {
  local?: boolean;
  remote?: boolean;
  stateDir: string;
  pinPath: string;
}

const tones: Readonly<Record<Result['state'], Tone>> = { ok: 'good', info: 'dim', warn: 'warn', fail: 'bad' };

/** `doctor`: every check runs; exit code 1 when one failed. */
export const doctor: Action<[], Options> = async (invocation, options) => {
  if (options.local && options.remote)
    throw usageError('Cannot choose the checks', 'found --local and --remote', 'one of them, or neither');
  const checks: Check[] = [];
  if (!options.remote)
    checks.push(...machineChecks(), ...agentChecks(options.stateDir, options.pinPath, invocation.io.now()));
  if (!options.local) checks.push(...controllerChecks(invocation));
  const results = await runChecks(checks);
  const failed = results.filter(({ state }) => state === 'fail').length;
  const { printer } = invocation;
  if (printer.format === 'table') await printer.out(report(results, failed, printer.style));
  else await printer.list({ name: 'checks', rows: results, columns, json: resultJson, extra: { failed }, empty: '' });
  return failed > 0 ? ExitCode.refused : ExitCode.ok;
};

const columns: readonly Column<Result>[] = [
  { title: 'STATE', cell: ({ state }) => state },
  { title: 'AREA', cell: ({ area }) => area },
  { title: 'CHECK', cell: ({ name }) => name },
  { title: 'FOUND', cell: ({ found }) => found },
  { title: 'FIX', cell: fixOf },
];

function fixOf(result: Result): string {
  return 'fix' in result ? result.fix : '';
}

function resultJson(result: Result): object {
  const { area, name, state, found } = result;
  return { area, check: name, state, found, fix: fixOf(result) || null };
}

/** One line for each finding, the fix below what needs one; nothing is cut, since fixes are there to be copied. */
function report(results: readonly Result[], failed: number, style: Style): string {
  const width = Math.max(...results.map(({ area, name }) => area.length + name.length + 1));
  const lines = results.flatMap((result) => {
    const name = pad(`${result.area} ${result.name}`, width);
    const line = `${style(tones[result.state], pad(result.state, 4))}  ${name}  ${sanitize(result.found)}`;
    const fix = fixOf(result);
    return fix === '' ? [line] : [line, `${' '.repeat(width + 8)}${style('strong', 'fix:')} ${sanitize(fix)}`];
  });
  const end = failed === 0 ? 'Nothing failed.' : `${failed} failed.`;
  return `${lines.join('\n')}\n${end}\n`;
}
