import { type Workload, WorkloadsService } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import type { Action } from '../app.js';
import { parseWhole } from '../filter/numbers.js';
import { parseLabelChanges, parseSelector } from '../filter/selector.js';
import { parseWords } from '../filter/words.js';
import { workloadKindWords } from '../views/words.js';
import { workloadColumns, workloadFields, workloadJson } from '../views/workload.js';

interface ListOptions {
  label?: string[];
  host?: string[];
  kind?: string[];
  source?: string;
  gone?: boolean;
  limit?: string;
}

/** Entries asked for at once. */
const pageSize = 1000;

/** `workload list`: all pages, or as many as --limit says. */
export const listWorkloads: Action<[string | undefined], ListOptions> = async (invocation, options, text) => {
  const filter = {
    selector: parseSelector(options.label ?? [], '--label'),
    hosts: options.host ?? [],
    kinds: parseWords(options.kind ?? [], workloadKindWords, '--kind'),
    includeGone: options.gone ?? false,
    source: options.source ?? '',
    text: text ?? '',
  };
  const most = options.limit === undefined ? Number.POSITIVE_INFINITY : parseWhole(options.limit, '--limit', 1, 1e9);
  const connection = await invocation.connect();
  const rows: Workload[] = [];
  let token = '';
  let total = 0;
  do {
    const page = { limit: Math.min(pageSize, most - rows.length), token };
    const answer = await connection.call('list workloads', WorkloadsService.list, { filter, page });
    rows.push(...answer.workloads);
    token = answer.nextToken;
    total = answer.total;
  } while (token !== '' && rows.length < most);
  await invocation.printer.list({
    name: 'workloads',
    rows,
    columns: workloadColumns,
    json: workloadJson,
    extra: { total },
    empty: 'No workloads match.',
  });
  if (rows.length < total && !invocation.printer.forPrograms)
    await invocation.printer.note(`${rows.length} of ${total} shown.`);
};

/** `workload show`. */
export const showWorkload: Action<[string], object> = async (invocation, _options, name) => {
  const connection = await invocation.connect();
  const found = await connection.call(`show workload ${name}`, WorkloadsService.get, { workload: name });
  await invocation.printer.object({ json: workloadJson(found), fields: workloadFields(found, invocation.io.now()) });
};

interface LabelOptions {
  replace?: boolean;
  sticky?: boolean;
  expectedVersion?: string;
}

/** `workload label`. */
export const labelWorkload: Action<[string, string[]], LabelOptions> = async (invocation, options, name, changes) => {
  const { set, remove } = parseLabelChanges(changes, 'arguments after the workload');
  const request = {
    workload: name,
    set,
    remove,
    replace: options.replace ?? false,
    expectedVersion: expectedVersionOf(options.expectedVersion),
    sticky: options.sticky ?? false,
  };
  const connection = await invocation.connect();
  const changed = await connection.call(`label workload ${name}`, WorkloadsService.setLabels, request);
  await invocation.printer.list({
    name: 'workloads',
    rows: [changed],
    columns: workloadColumns,
    json: workloadJson,
    empty: '',
  });
};

/** The version a change insists on; 0 for whatever it is. */
export function expectedVersionOf(text: string | undefined): bigint {
  return text === undefined ? 0n : BigInt(parseWhole(text, '--expected-version', 1, Number.MAX_SAFE_INTEGER));
}
