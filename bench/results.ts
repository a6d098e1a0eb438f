// bench/RESULTS.md holds one section per benchmark, each under a level-1 heading of its own; a run replaces only its own.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '@ringfence/lab/paths.js';

export const RESULTS = join(repository, 'bench', 'RESULTS.md');

/** The page with this section in place of the one with the same heading, or at its end. `section` begins with `# `. */
export function withSection(page: string, section: string): string {
  const heading = headingOf(section);
  const sections = page === '' ? [] : page.split(/^(?=# )/m);
  const at = sections.findIndex((each) => headingOf(each) === heading);
  const own = `${section.trimEnd()}\n`;
  if (at < 0) sections.push(own);
  else sections[at] = own;
  return `${sections.map((each) => each.trimEnd()).join('\n\n')}\n`;
}

/** Puts a section into the page on disk. */
export function writeSection(section: string, file = RESULTS): void {
  writeFileSync(file, withSection(existsSync(file) ? readFileSync(file, 'utf8') : '', section));
}

function headingOf(section: string): string {
  return section.slice(0, section.indexOf('\n')).trim();
}
