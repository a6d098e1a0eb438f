import { LabelsService } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import type { Action } from '../app.js';
import { dimensionColumns, dimensionJson, identityColumns, identityJson } from '../views/label-space.js';

/** `identity list`. */
export const listIdentities: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const answer = await connection.call('list identities', LabelsService.listIdentities, {});
  await invocation.printer.list({
    name: 'identities',
    rows: answer.identities,
    columns: identityColumns,
    json: identityJson,
    extra: { total: answer.total },
    empty: 'No identities yet: they come with workloads.',
  });
  if (answer.identities.length < answer.total && !invocation.printer.forPrograms) {
    await invocation.printer.note(`${answer.identities.length} of ${answer.total} shown.`);
  }
};

/** `dimension list`. */
export const listDimensions: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const { dimensions } = await connection.call('list dimensions', LabelsService.listDimensions, {});
  await invocation.printer.list({
    name: 'dimensions',
    rows: dimensions,
    columns: dimensionColumns,
    json: dimensionJson,
    empty: 'No dimensions yet: policy files declare them.',
  });
};
