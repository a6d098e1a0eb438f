import { type Workload, WorkloadsService } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import type { Column } from '../text/table.js';
import { ago } from '../text/time.js';
import { membershipsFields, membershipsJson } from '../views/memberships.js';
import { labelReasonJson, workloadColumns, workloadJson } from '../views/workload.js';

const pageSize = 1000;

/** `workload match`: all pages. */
export const matchWorkloads: Action<[string], { draft?: boolean }> = async (invocation, options, selector) => {
  const connection = await invocation.connect();
  const rows: Workload[] = [];
  let [token, understood] = ['', ''];
  do {
    const request = { selector, draft: options.draft ?? false, page: { limit: pageSize, token } };
    const answer = await connection.call('match workloads', WorkloadsService.match, request);
    rows.push(...answer.workloads);
    [token, understood] = [answer.nextToken, answer.understood];
  } while (token !== '');
  await invocation.printer.list({
    name: 'workloads',
    rows,
    columns: workloadColumns,
    json: workloadJson,
    extra: { understood, total: rows.length },
    empty: `No workloads match: ${understood}.`,
  });
};

/** `workload groups`. */
export const workloadGroups: Action<[string], object> = async (invocation, _options, name) => {
  const connection = await invocation.connect();
  const found = await connection.call(`show groups of ${name}`, WorkloadsService.memberships, { workload: name });
  await invocation.printer.object({ json: membershipsJson(found), fields: membershipsFields(found) });
};

interface Reason {
  readonly label: string;
  readonly reason: Workload['labelReasons'][number];
}

/** `workload why`. */
export const whyLabels: Action<[string, string | undefined], object> = async (
  invocation,
  _options,
  name,
  dimension,
) => {
  const connection = await invocation.connect();
  const found = await connection.call(`show workload ${name}`, WorkloadsService.get, { workload: name });
  const rows = found.labels.flatMap(({ dimension: own, value }): Reason[] => {
    const reason = found.labelReasons.find((one) => one.dimension === own);
    if (reason === undefined || (dimension !== undefined && own !== dimension)) return [];
    return [{ label: `${own}=${value}`, reason }];
  });
  if (dimension !== undefined && rows.length === 0) {
    const known = found.labels.map((label) => label.dimension).join(', ') || 'no label at all';
    throw usageError(
      'Cannot tell why',
      `found no label of dimension ${dimension} on ${found.id}`,
      `one that it has: ${known}`,
    );
  }
  await invocation.printer.list({
    name: 'reasons',
    rows,
    columns: reasonColumns(invocation.io.now()),
    json: ({ label, reason }) => ({ label, ...labelReasonJson(reason) }),
    extra: { workloadId: found.id },
    empty: `${found.id} has no labels.`,
  });
};

const reasonColumns = (now: number): readonly Column<Reason>[] => [
  { title: 'LABEL', cell: ({ label }) => label, tone: () => 'accent' },
  { title: 'BY', cell: ({ reason }) => reason.source },
  { title: 'WHO', cell: ({ reason }) => reason.by || '-', shrinkTo: 20 },
  { title: 'HOW', cell: ({ reason }) => reason.how || '-' },
  { title: 'SINCE', cell: ({ reason }) => (reason.atMs === 0n ? '-' : ago(reason.atMs, now)) },
];
