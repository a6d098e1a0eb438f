// What a new policy file begins with.

/** A file with one rule as an example; its id, from the file's name, is none of `taken`. */
export function firstText(file: string, taken: ReadonlySet<string>): string {
  const base =
    file
      .replace(/\.ya?ml$/, '')
      .replace(/[^A-Za-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 48) || 'example';
  let id = base;
  for (let n = 2; taken.has(id); n += 1) id = `${base}-${n}`;
  // A name of digits, or one such as "on", is something else to YAML.
  return `rules:
  - id: ${JSON.stringify(id)}
    service: [tcp/5432]
    providedBy: role=db
    usedBy: role=web
`;
}
