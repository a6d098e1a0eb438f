// The filter as one types it, as a filter of the API: words of the form key:value, label=value and service, separated by blanks.
//
//   role=db  "env=a b"  loc=*  from:app=web  to:role!=db  tcp/5432  udp  port:443  host:h1  process:nginx  rule:web-db  address:10.0.0.0/8  workload:x
//
// label=* : has some value; label!=* : has none. Quotes hold blanks together. Every other word is searched for in the names of what is shown.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { LabelRequirement_Operator } from '../../gen/ringfence/v1/admin_common_pb.js';
import type { FlowEndFilterSchema, FlowFilterSchema } from '../../gen/ringfence/v1/admin_flows_pb.js';
import { splitWords } from '../../ui/selector.js';

export type EndInit = Exclude<MessageInitShape<typeof FlowEndFilterSchema>, { $typeName: string }>;
type Init = Exclude<MessageInitShape<typeof FlowFilterSchema>, { $typeName: string }>;
/** A filter of the API as it is being made. */
export type FilterInit = Omit<Init, 'either' | 'source' | 'destination'> & {
  either?: EndInit;
  source?: EndInit;
  destination?: EndInit;
};

export interface FilterText {
  readonly filter: FilterInit;
  /** Lower case; every one must be found. */
  readonly words: readonly string[];
  /** Words that look like a filter and are none. */
  readonly problems: readonly string[];
}

interface Requirement {
  dimension: string;
  operator: LabelRequirement_Operator;
  values: string[];
}

interface End {
  requirements: Requirement[];
  workloads: string[];
  addresses: string[];
  hosts: string[];
}

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };
const SERVICE = /^(icmp|tcp|udp|icmpv6|sctp)(?:\/(\d{1,5})(?:-(\d{1,5}))?)?$/;
const LABEL = /^([A-Za-z][\w./-]*)(!?=)(.+)$/;

export function readFilterText(text: string): FilterText {
  const ends: Record<'either' | 'from' | 'to', End> = { either: newEnd(), from: newEnd(), to: newEnd() };
  const lists = {
    protocols: [] as number[],
    ports: [] as { low: number; high: number }[],
    processes: [] as string[],
    rules: [] as string[],
  };
  const words: string[] = [];
  const problems: string[] = [];
  for (const word of splitWords(text)) {
    const side = /^(from|to):(.+)$/.exec(word);
    const end = side === null ? ends.either : side[1] === 'from' ? ends.from : ends.to;
    const rest = side?.[2] ?? word;
    const service = SERVICE.exec(rest);
    const pair = /^([a-z]+):(.+)$/.exec(rest);
    const label = LABEL.exec(rest);
    if (service !== null) {
      lists.protocols.push(PROTOCOLS[service[1] ?? ''] ?? 0);
      if (service[2] !== undefined)
        lists.ports.push({ low: Number(service[2]), high: Number(service[3] ?? service[2]) });
    } else if (pair !== null && readPair(pair[1] ?? '', pair[2] ?? '', end, lists)) {
      // Read.
    } else if (label !== null) addLabel(end, label[1] ?? '', label[2] === '!=', label[3] ?? '');
    else if (pair !== null || side !== null) problems.push(word);
    else words.push(word.toLowerCase());
  }
  const filter: FilterInit = {};
  if (lists.protocols.length > 0) filter.protocols = lists.protocols;
  if (lists.ports.length > 0) filter.ports = lists.ports;
  if (lists.processes.length > 0) filter.processes = lists.processes;
  if (lists.rules.length > 0) filter.rules = lists.rules;
  const [either, source, destination] = [ends.either, ends.from, ends.to].map(endFilter);
  if (either) filter.either = either;
  if (source) filter.source = source;
  if (destination) filter.destination = destination;
  return { filter, words, problems };
}

function readPair(
  key: string,
  value: string,
  end: End,
  lists: { ports: { low: number; high: number }[]; processes: string[]; rules: string[] },
): boolean {
  if (key === 'port') {
    const [, low, high = low] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(value) ?? [];
    if (low === undefined) return false;
    lists.ports.push({ low: Number(low), high: Number(high) });
  } else if (key === 'process') lists.processes.push(value);
  else if (key === 'rule') lists.rules.push(value);
  else if (key === 'host') end.hosts.push(value);
  else if (key === 'workload') end.workloads.push(value);
  else if (key === 'address') end.addresses.push(value);
  else return false;
  return true;
}

/** Several values of one dimension: one of them. */
function addLabel(end: End, dimension: string, not: boolean, value: string): void {
  if (value === '*') {
    const { EXISTS, NOT_EXISTS } = LabelRequirement_Operator;
    end.requirements.push({ dimension, operator: not ? NOT_EXISTS : EXISTS, values: [] });
    return;
  }
  const operator = not ? LabelRequirement_Operator.NOT_IN : LabelRequirement_Operator.IN;
  const known = end.requirements.find((each) => each.dimension === dimension && each.operator === operator);
  if (known === undefined) end.requirements.push({ dimension, operator, values: [value] });
  else known.values.push(value);
}

function newEnd(): End {
  return { requirements: [], workloads: [], addresses: [], hosts: [] };
}

function endFilter({ requirements, workloads, addresses, hosts }: End): EndInit | undefined {
  if (requirements.length + workloads.length + addresses.length + hosts.length === 0) return undefined;
  return { selector: { requirements }, workloads, addresses, hosts };
}
