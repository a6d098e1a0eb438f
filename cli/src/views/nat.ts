import type { NatMapping } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import type { Column } from '../text/table.js';
import { addressText, ipText } from './labels.js';
import { protocolText } from './protocol.js';

/** A mapping in JSON. */
export function natJson(mapping: NatMapping): object {
  return {
    address: mapping.address === undefined ? null : ipText(mapping.address.ip),
    space: mapping.address?.space ?? '',
    protocol: protocolText(mapping.protocol),
    port: mapping.port,
    workloadId: mapping.workloadId,
    workloadPort: mapping.workloadPort,
    source: mapping.source,
    effective: mapping.effective,
  };
}

/** Columns of `nat list`. */
export const natColumns: readonly Column<NatMapping>[] = [
  { title: 'ADDRESS', cell: (m) => (m.address === undefined ? '?' : addressText(m.address)), tone: () => 'strong' },
  { title: 'PORT', cell: (m) => `${protocolText(m.protocol)}/${m.port}` },
  { title: 'WORKLOAD', cell: (m) => m.workloadId, shrinkTo: 14 },
  { title: 'TO PORT', cell: (m) => String(m.workloadPort), align: 'right' },
  { title: 'SOURCE', cell: (m) => m.source, shrinkTo: 10 },
  {
    title: 'STATE',
    cell: (m) => (m.effective ? 'in effect' : 'waits for workload'),
    tone: (m) => (m.effective ? 'good' : 'warn'),
  },
];
