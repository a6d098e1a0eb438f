// Why a workload has a label, in one sentence.
import type { Workload_LabelReason } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { time } from '../../ui/format.js';

/** What the controller calls the source of a label, as people read it. */
export function reasonText(reason: Workload_LabelReason | undefined): string {
  if (reason === undefined) return 'why is not known';
  const since = reason.atMs > 0n ? `, ${time(Number(reason.atMs))}` : '';
  switch (reason.source) {
    case 'operator':
      return `set by ${reason.by}${since}`;
    case 'pairing':
      return `paired by profile ${reason.profile}, key ${reason.keyId}: ${HOW[reason.how] ?? reason.how}${since}`;
    case 'login': {
      const group = reason.group === '' ? '' : `, who is in ${reason.group}`;
      return `${reason.user}${group}, is logged in: rule ${reason.rule}${since}`;
    }
    case 'sticky':
      return `kept from an earlier workload of this name${since}`;
    default:
      return 'older than the record of reasons';
  }
}

const HOW: Readonly<Record<string, string>> = {
  locked: 'locked by the profile',
  default: 'the profile’s default',
  requested: 'asked for, and permitted',
};
