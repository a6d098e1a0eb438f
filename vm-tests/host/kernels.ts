// The list of kernels: kernels.txt.

export interface KernelLine {
  /** For example "5.10"; also the name of its column. */
  readonly series: string;
  readonly suite: string;
  /** Package names with `*`; together they hold the kernel and its modules. */
  readonly packages: readonly string[];
}

/** Throws an Error that names the line when one has no package. */
export function parseKernels(text: string): KernelLine[] {
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  return lines.flatMap((line, i) => {
    if (line === '') return [];
    const [series, suite, ...packages] = line.split(/\s+/);
    if (series === undefined || suite === undefined || packages.length === 0)
      throw new Error(`Cannot read kernels.txt line ${i + 1}: found "${line}", wanted series, suite, packages`);
    return [{ series, suite, packages }];
  });
}

/** The newest of these package names that matches a pattern, by the numbers in it; undefined when none does. */
export function newest(pattern: string, names: readonly string[]): string | undefined {
  const wanted = new RegExp(`^${pattern.split('*').map(literal).join('.*')}$`);
  return names.filter((name) => wanted.test(name)).sort((a, b) => compareVersions(b, a))[0];
}

function literal(text: string): string {
  return text.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
}

function compareVersions(a: string, b: string): number {
  const numbers = (text: string) => (text.match(/\d+/g) ?? []).map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const order = (left[i] ?? -1) - (right[i] ?? -1);
    if (order !== 0) return order;
  }
  return a < b ? -1 : 1;
}
