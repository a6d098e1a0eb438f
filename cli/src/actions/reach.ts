import type { ReachReport } from '@ringfence/controller/policy/import/reach.js';
import type { Action } from '../app.js';
import { ExitCode } from '../errors.js';
import type { Invocation } from '../invocation.js';
import { type FileKind, readPolicyFiles, type SourceFile } from '../policy/files.js';
import { compactProblems, countProblems, renderProblems } from '../policy/problems.js';
import { sanitize } from '../text/sanitize.js';
import { problemJson } from '../views/policy.js';

const manifests: FileKind = { noun: 'manifests', pattern: /\.(ya?ml|json)$/, wanted: '.yaml, .yml or .json' };

/**
 * `reach`: rows on standard output, `src => dst : connections` or, for programs, {src, dst, conn}; notes and problems on standard
 * error. With an error among the problems there is no row: half an answer would be a wrong one.
 */
export const reach: Action<[string[]], object> = async (invocation, _options, paths) => {
  const { printer, io } = invocation;
  const files = await readAll(invocation, paths);
  const { formatRow, reachReport } = await import('@ringfence/controller/policy/import/reach.js');
  const report = reachReport(
    files.map(({ name, content }) => ({ name, text: content })),
    io.now(),
  );
  await tellProblems(invocation, report, files);
  if (report.problems.some(({ warning }) => !warning)) return ExitCode.usage;
  const { rows } = report;
  if (printer.format === 'json') await printer.out(`${JSON.stringify(rows, undefined, 2)}\n`);
  else if (printer.format === 'jsonl') await printer.out(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  else {
    await printer.out(rows.map((row) => `${sanitize(formatRow(row))}\n`).join(''));
    if (rows.length === 0) await printer.note('No pair may talk.');
  }
  return ExitCode.ok;
};

/** Files under the paths that the operator knows them by; one that is named twice is read once. */
async function readAll({ io }: Invocation, paths: readonly string[]): Promise<SourceFile[]> {
  const files = new Map<string, SourceFile>();
  for (const path of paths) {
    for (const file of (await readPolicyFiles(io, [path], undefined, manifests)).files) {
      files.set(file.path, { ...file, name: file.path });
    }
  }
  return [...files.values()];
}

async function tellProblems({ printer }: Invocation, report: ReachReport, files: readonly SourceFile[]): Promise<void> {
  const { notes } = report;
  const problems = [...report.problems];
  if (printer.forPrograms) {
    for (const problem of problems) await printer.note(JSON.stringify(problemJson(problem)));
    return;
  }
  for (const note of notes) await printer.note(`note: ${sanitize(note)}`);
  if (problems.length === 0) return;
  const text =
    printer.format === 'compact'
      ? compactProblems(problems, files)
      : renderProblems(problems, files, printer.errorStyle, printer.room);
  await printer.note(`${text}${countProblems(problems)}`);
}
