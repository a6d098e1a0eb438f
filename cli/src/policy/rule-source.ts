/** The lines of one rule: from its line to the next one that is indented no deeper. Empty when the file has no such line. */
export function ruleSource(content: string, line: number): string[] {
  const lines = content.split(/\r?\n/);
  const first = lines[line - 1];
  if (first === undefined) return [];
  const depth = indentOf(first);
  const taken = [first];
  for (const next of lines.slice(line)) {
    if (next.trim() !== '' && indentOf(next) <= depth) break;
    taken.push(next);
  }
  while (taken.at(-1)?.trim() === '') taken.pop();
  return taken.map((text) => text.slice(Math.min(depth, indentOf(text))));
}

function indentOf(text: string): number {
  return text.length - text.trimStart().length;
}
