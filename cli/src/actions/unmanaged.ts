import { type WorkloadSpec, WorkloadsService } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import { parseSpaceAddress } from '../filter/address.js';
import { parseLabel } from '../filter/selector.js';
import { textOf, YamlInput } from '../input/yaml-input.js';
import { field } from '../output/fields.js';
import { workloadColumns, workloadJson } from '../views/workload.js';
import { expectedVersionOf } from './workload.js';

interface CreateOptions {
  address: string[];
  label?: string[];
  metadata?: string[];
  id?: string;
  source?: string;
}

/** `workload create`. */
export const createWorkload: Action<[string], CreateOptions> = async (invocation, options, name) => {
  const workload: WorkloadSpec = {
    id: options.id ?? '',
    name,
    addresses: options.address.map((text) => parseSpaceAddress(text, '--address')),
    labels: (options.label ?? []).map((text) => parseLabel(text, '--label')),
    metadata: Object.fromEntries((options.metadata ?? []).map(keyValue)),
  };
  const request = { workload, source: options.source ?? '' };
  const connection = await invocation.connect();
  const made = await connection.call(`create workload ${name}`, WorkloadsService.create, request);
  await invocation.printer.list({
    name: 'workloads',
    rows: [made],
    columns: workloadColumns,
    json: workloadJson,
    empty: '',
  });
};

function keyValue(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw usageError('Cannot read --metadata', `found ${JSON.stringify(text)}`, 'key=value');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** `workload delete`: by id, <host>/<name> or unique name. */
export const deleteWorkload: Action<[string], { expectedVersion?: string }> = async (invocation, options, name) => {
  const expectedVersion = expectedVersionOf(options.expectedVersion);
  const connection = await invocation.connect();
  const { id } = await connection.call(`find workload ${name}`, WorkloadsService.get, { workload: name });
  await connection.call(`delete workload ${id}`, WorkloadsService.delete, { id, expectedVersion });
  await invocation.printer.object({ json: { deleted: id }, fields: [field('deleted', id)] });
};

/** `workload push`: a file with `source` and `workloads`, each with id, name, addresses, labels, metadata. */
export const pushWorkloads: Action<[string], { source?: string; prune?: boolean }> = async (
  invocation,
  options,
  file,
) => {
  const root = (await YamlInput.read(invocation.io, file)).map(['source', 'workloads']);
  const source = options.source ?? root.optional('source', textOf) ?? root.missing('source');
  const workloads = root.list('workloads', (entry): WorkloadSpec => {
    const item = entry.map(['id', 'name', 'addresses', 'labels', 'metadata']);
    const id = item.required('id', textOf);
    return {
      id,
      name: item.optional('name', textOf) ?? id,
      addresses: item.list('addresses', (node) => node.check((text) => parseSpaceAddress(text, 'addresses'))),
      labels: Object.entries(item.texts('labels')).map(([dimension, value]) => ({ dimension, value })),
      metadata: item.texts('metadata'),
    };
  });
  const request = { source, workloads, prune: options.prune ?? false };
  const connection = await invocation.connect();
  const done = await connection.call(`push workloads of ${source}`, WorkloadsService.push, request);
  const { created, updated, removed, unchanged } = done;
  await invocation.printer.object({
    json: { source, created, updated, removed, unchanged },
    fields: [field(source, `${created} created, ${updated} updated, ${removed} removed, ${unchanged} unchanged`)],
  });
};
