import { Flow, FlowEnd } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { CliError, ExitCode } from '../errors.js';
import { sanitize } from '../text/sanitize.js';
import { flowJson } from '../views/flow.js';

/** Names of fields as `-o json` has them, those of an end with a dot: "verdict", "source.workload". */
export type FieldPath = readonly [string] | readonly [string, string];

/** Reads `--fields`; values may stand between commas. Fails with RF_CLI_FIELD for a name that flows do not have. */
export function parseFields(texts: readonly string[]): readonly FieldPath[] {
  const names = texts.flatMap((text) => text.split(',')).map((text) => text.trim());
  const known = fieldNames();
  return names.map((name): FieldPath => {
    if (!known.includes(name)) {
      throw new CliError({
        code: 'RF_CLI_FIELD',
        what: 'Cannot show a field of flows',
        found: JSON.stringify(name),
        wanted: `some of ${known.join(', ')}`,
        next: 'ringfence flows tail -o json shows them all',
        exit: ExitCode.usage,
      });
    }
    const [first = '', second] = name.split('.');
    return second === undefined ? [first] : [first, second];
  });
}

/** Every name that may be asked for, in the order of JSON output. */
export function fieldNames(): readonly string[] {
  const ends = { source: FlowEnd.fromPartial({}), destination: FlowEnd.fromPartial({}) };
  return Object.entries(flowJson(Flow.fromPartial(ends))).flatMap(([name, value]: [string, unknown]) => {
    if (Array.isArray(value)) return [];
    return name in ends ? Object.keys(value as object).map((inner) => `${name}.${inner}`) : name;
  });
}

/** The fields alone, ends as objects again. */
export function pickFields(flow: Flow, paths: readonly FieldPath[]): object {
  const picked: Record<string, unknown> = {};
  for (const [first, second] of paths) {
    const value = valueAt(flow, [first]);
    if (second === undefined) picked[first] = value;
    else picked[first] = { ...(picked[first] as object | undefined), [second]: valueAt(flow, [first, second]) };
  }
  return picked;
}

/** The fields in one line, between tabs; what is not known is "-". */
export function fieldsLine(flow: Flow, paths: readonly FieldPath[]): string {
  return paths.map((path) => textOf(valueAt(flow, path))).join('\t');
}

function valueAt(flow: Flow, [first, second]: FieldPath | readonly [string]): unknown {
  const value = (flowJson(flow) as Record<string, unknown>)[first];
  return second === undefined ? value : (value as Record<string, unknown> | null)?.[second];
}

function textOf(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (typeof value !== 'object') return sanitize(String(value));
  const labels = Object.entries(value).map(([dimension, text]) => `${dimension}=${text}`);
  return labels.length === 0 ? '-' : sanitize(labels.join(','));
}
