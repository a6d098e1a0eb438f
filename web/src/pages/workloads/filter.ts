// What one types above the list, as a filter of the API: words separated by blanks.
//
//   role=web  env!=prod  loc=*  loc!=*  host:host-01  nginx
//
// label=* : has some value; label!=* : has none. Every other word is looked for in id, name and image.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { LabelRequirement_Operator as Operator } from '../../gen/ringfence/v1/admin_common_pb.js';
import type { WorkloadFilterSchema } from '../../gen/ringfence/v1/admin_workloads_pb.js';
import { WorkloadKind } from '../../gen/ringfence/v1/common_pb.js';

type FilterInit = Exclude<MessageInitShape<typeof WorkloadFilterSchema>, { $typeName: string }>;

const LABEL = /^([A-Za-z0-9][\w./-]*)(!?=)(.+)$/;

interface Requirement {
  dimension: string;
  operator: Operator;
  values: string[];
}

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
  const requirements: Requirement[] = [];
  const hosts: string[] = [];
  const words: string[] = [];
  for (const word of (query.get('q') ?? '').split(/\s+/)) {
    const [, dimension, sign, value] = LABEL.exec(word) ?? [];
    if (word === '') continue;
    if (word.startsWith('host:') && word.length > 5) hosts.push(word.slice(5));
    else if (dimension !== undefined && value !== undefined) require(requirements, dimension, sign === '!=', value);
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

/** Several wanted values of one dimension: one of them. */
function require(all: Requirement[], dimension: string, not: boolean, value: string): void {
  if (value === '*') {
    all.push({ dimension, operator: not ? Operator.NOT_EXISTS : Operator.EXISTS, values: [] });
    return;
  }
  const operator = not ? Operator.NOT_IN : Operator.IN;
  const known = all.find((each) => each.dimension === dimension && each.operator === operator);
  if (known === undefined) all.push({ dimension, operator, values: [value] });
  else known.values.push(value);
}
