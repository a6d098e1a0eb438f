import type { Problem } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { plural } from '../text/plural.js';
import { sanitize } from '../text/sanitize.js';
import type { Style } from '../text/style.js';
import { displayWidth } from '../text/width.js';
import type { SourceFile } from './files.js';

/** Columns of source text shown around a problem at most. */
const excerptMax = 120;

/** Problems with the line they speak of and a caret below the offending text, as far as the file is at hand. Ends with a newline. */
export function renderProblems(
  problems: readonly Problem[],
  files: readonly SourceFile[],
  style: Style,
  room: number,
): string {
  const byName = new Map(files.map((file) => [file.name, file]));
  return problems.map((problem) => `${renderProblem(problem, byName.get(problem.file), style, room)}\n`).join('');
}

/** One line each, as compilers do: for editors and grep. */
export function compactProblems(problems: readonly Problem[], files: readonly SourceFile[]): string {
  const byName = new Map(files.map((file) => [file.name, file]));
  return problems
    .map(
      (problem) =>
        `${placeOf(problem, byName.get(problem.file))}${severityOf(problem)}: ${sanitize(problem.message)} [${problem.code}]\n`,
    )
    .join('');
}

/** "2 errors, 1 warning". */
export function countProblems(problems: readonly Problem[]): string {
  const warnings = problems.filter(({ warning }) => warning).length;
  const errors = problems.length - warnings;
  const some = (count: number, noun: string) => (count === 0 ? [] : [plural(count, noun)]);
  return [...some(errors, 'error'), ...some(warnings, 'warning')].join(', ') || 'no problems';
}

function severityOf(problem: Problem): 'warning' | 'error' {
  return problem.warning ? 'warning' : 'error';
}

/** "path:line:column: ", as far as it is known; empty for a problem without a place. */
function placeOf(problem: Problem, file: SourceFile | undefined): string {
  const path = file?.path ?? problem.file;
  if (path === '') return '';
  const line = problem.line > 0 ? `:${problem.line}` : '';
  const column = problem.line > 0 && problem.column > 0 ? `:${problem.column}` : '';
  return `${sanitize(path)}${line}${column}: `;
}

function renderProblem(problem: Problem, file: SourceFile | undefined, style: Style, room: number): string {
  const severity = severityOf(problem);
  const tone = problem.warning ? 'warn' : 'bad';
  const head = `${style('strong', placeOf(problem, file))}${style(tone, `${severity}:`)} ${sanitize(problem.message)} ${style('dim', `[${problem.code}]`)}`;
  const source = file === undefined || problem.line < 1 ? undefined : file.content.split(/\r?\n/)[problem.line - 1];
  if (source === undefined) return head;
  const number = String(problem.line);
  const gutter = ' '.repeat(number.length);
  const { text, before, marked } = excerpt(source, problem, Math.min(excerptMax, room - number.length - 4));
  const lines = [head, ` ${style('dim', `${number} |`)} ${text}`];
  if (problem.column > 0)
    lines.push(` ${style('dim', `${gutter} |`)} ${' '.repeat(before)}${style(tone, '^'.repeat(marked))}`);
  return lines.join('\n');
}

/** The part of a line around the problem, cut to `width`; columns before the caret and columns it covers. */
function excerpt(source: string, problem: Problem, width: number): { text: string; before: number; marked: number } {
  const at = Math.min(Math.max(0, problem.column - 1), source.length);
  const found = problem.found !== '' && source.startsWith(problem.found, at) ? problem.found : source.slice(at, at + 1);
  // A long line is shown from a little before the problem on.
  const start = displayWidth(shown(source)) > width && at > width / 2 ? at - Math.floor(width / 3) : 0;
  const lead = start > 0 ? '…' : '';
  let text = lead;
  for (const character of source.slice(start)) {
    if (displayWidth(text) + displayWidth(shown(character)) >= width) {
      text += '…';
      break;
    }
    text += shown(character);
  }
  const before = displayWidth(lead + shown(source.slice(start, at)));
  const marked = Math.max(1, Math.min(displayWidth(shown(found)), width - before));
  return { text, before, marked };
}

/** Source text on one line of a terminal: tabs take one column, control characters are made visible. */
function shown(text: string): string {
  return sanitize(text.replaceAll('\t', ' '));
}
