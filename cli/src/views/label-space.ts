import type { Dimension, IdentityInfo } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import type { Column } from '../text/table.js';
import { labelsJson, labelsText } from './labels.js';

/** An identity in JSON. */
export function identityJson(identity: IdentityInfo): object {
  return { identity: identity.identity, labels: labelsJson(identity.labels), workloads: identity.workloads };
}

/** Columns of `identity list`. */
export const identityColumns: readonly Column<IdentityInfo>[] = [
  { title: 'IDENTITY', cell: (i) => String(i.identity), tone: () => 'strong', align: 'right' },
  { title: 'WORKLOADS', cell: (i) => String(i.workloads), align: 'right' },
  { title: 'LABELS', cell: (i) => labelsText(i.labels) || '(none that a rule mentions)', shrinkTo: 16 },
];

/** A dimension in JSON. */
export function dimensionJson(dimension: Dimension): object {
  return {
    name: dimension.name,
    inPolicy: dimension.inPolicy,
    permitted: dimension.permitted,
    used: dimension.used.map(({ value, workloads }) => ({ value, workloads })),
  };
}

/** Columns of `dimension list`. */
export const dimensionColumns: readonly Column<Dimension>[] = [
  { title: 'DIMENSION', cell: (d) => d.name, tone: () => 'strong' },
  { title: 'IN POLICY', cell: (d) => (d.inPolicy ? 'yes' : 'no') },
  {
    title: 'USED',
    cell: (d) => d.used.map(({ value, workloads }) => `${value} (${workloads})`).join(' ') || '-',
    shrinkTo: 16,
  },
  { title: 'PERMITTED', cell: (d) => d.permitted.join(' ') || 'any', shrinkTo: 12 },
];
