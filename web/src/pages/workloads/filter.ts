// What one types above the list, as a filter of the API: words separated by blanks.
//
//   role=web  env!=prod  loc=*  loc!=*  host:host-01  nginx
//
// Labels as ui/selector.ts reads them. Every other word is looked for in id, name and image.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { WorkloadFilterSchema } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { WorkloadKind } from '../../gen/ringfence/v1/common_pb.js';
import { readSelector } from '../../ui/selector.js';

type FilterInit = Exclude<MessageInitShape<typeof WorkloadFilterSchema>, { $typeName: string }>;

export const KINDS = [
  ['', 'Every kind'],
  ['host', 'Hosts'],
  ['container', 'Containers'],
  ['cgroup', 'Services (cgroups)'],
  ['unmanaged', 'Without an agent'],
] as const;

export type KindName = (typeof KINDS)[number][0];

const KIND_NUMBERS: Readonly<Record<Exclude<KindName, ''>, WorkloadKind>> = {
  host: WorkloadKind.HOST,
  container: WorkloadKind.CONTAINER,
  cgroup: WorkloadKind.CGROUP,
  unmanaged: WorkloadKind.UNMANAGED,
};

export function kindWord(kind: WorkloadKind): string {
  return (WorkloadKind[kind] ?? 'unknown').toLowerCase();
}

/** `query`: of the page's address: q, kind, gone. */
export function filterOf(query: URLSearchParams): FilterInit {
  const { requirements, others } = readSelector(query.get('q') ?? '');
  const hosts: string[] = [];
  const words: string[] = [];
  for (const word of others) {
    if (word.startsWith('host:') && word.length > 5) hosts.push(word.slice(5));
    else words.push(word);
  }
  const kind = KINDS.find(([name]) => name !== '' && name === query.get('kind'))?.[0] ?? '';
  return {
    selector: { requirements },
    hosts,
    text: words.join(' '),
    kinds: kind === '' ? [] : [KIND_NUMBERS[kind]],
    includeGone: query.get('gone') === '1',
  };
}
