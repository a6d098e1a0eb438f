// One item of a YAML list, as it stands in its file.

/** The lines of the item that holds line `line` (1-based), without what follows it. Empty when there is no such line. */
export function excerpt(text: string, line: number): string {
  const lines = text.split('\n');
  const at = line - 1;
  if (lines[at] === undefined) return '';
  const indent = (each: string) => each.length - each.trimStart().length;
  let first = at;
  // An id that stands on a later line than the item's dash.
  while (first > 0 && !(lines[first] ?? '').trimStart().startsWith('-') && at - first < 40) first -= 1;
  if (!(lines[first] ?? '').trimStart().startsWith('-')) first = at;
  const depth = indent(lines[first] ?? '');
  let last = first + 1;
  while (last < lines.length && ((lines[last] ?? '').trim() === '' || indent(lines[last] ?? '') > depth)) last += 1;
  const part = lines.slice(first, last);
  while (part.length > 1 && (part.at(-1) ?? '').trim() === '') part.pop();
  return part.map((each) => each.slice(depth)).join('\n');
}
