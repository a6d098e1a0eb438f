// Prometheus metrics of a process in the lab, as a scraper on its machine reads them.
import type { NetNamespace } from './netns.js';

/** One line of the text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What one scrape found. */
export class Metrics {
  private constructor(
    readonly samples: readonly Sample[],
    /** Names that are declared, with or without samples. */
    readonly declared: ReadonlySet<string>,
  ) {}

  /** Reads the text format 0.0.4; throws on a line that is neither a comment nor a sample. */
  static parse(text: string): Metrics {
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const declared = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '');
    return new Metrics(lines.map(sampleOf), new Set(declared));
  }

  /** Scrapes http://<address>/metrics from inside a network namespace. */
  static async scrape(netns: NetNamespace, address: string): Promise<Metrics> {
    const script = `process.stdout.write(await (await fetch('http://${address}/metrics')).text())`;
    return Metrics.parse(await netns.exec(process.execPath, ['--input-type=module', '-e', script]));
  }

  /** Samples of that name that have at least these labels. */
  all(name: string, labels: Readonly<Record<string, string>> = {}): Sample[] {
    const wanted = Object.entries(labels);
    return this.samples.filter((s) => s.name === name && wanted.every(([label, value]) => s.labels[label] === value));
  }

  /** Their sum; undefined when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.all(name, labels);
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }
}

function sampleOf(line: string): Sample {
  const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (name === undefined || value === undefined)
    throw new Error(`Cannot read metrics: found ${JSON.stringify(line)}, wanted name{labels} value`);
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  return { name, labels: Object.fromEntries(pairs.map(([, label, text]) => [label, text])), value: Number(value) };
}
