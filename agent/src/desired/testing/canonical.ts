// The content of rendered tables with every agent-local number replaced by what it stands for, so that two renderings of one
// state compare equal whatever order their numbers came in.
import { ENDPOINT_KEY, GROUP_KEY, PEER_KEY, PeerFlag, PORT_KEY, SHARED_KEY } from '@ringfence/bpf';
import type { TableName } from '../desired.js';
import { bytesOf, endpointOf, memberOf, peerOf, readU32, without } from '../pack.js';

type Tables = Readonly<Record<TableName, { entries(): IterableIterator<[string, string]> }>>;

const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

/** Sorted lines by table. */
export function canonical(tables: Tables): Record<string, string[]> {
  const ports = grouped(
    tables.rf_ports,
    (key) => memberOf(PORT_KEY, 'group', key),
    (key, value) => hex(without(PORT_KEY, 'group', key) + value),
  );
  const portsOf = (group: number) => `{${(ports.get(group) ?? []).sort().join(' ')}}`;
  const sets = grouped(
    tables.rf_groups,
    (key) => memberOf(GROUP_KEY, 'set', key),
    (key, value) => `${hex(without(GROUP_KEY, 'set', key))}${portsOf(readU32(value, 0))}`,
  );
  const setOf = (set: number) => (set === 0 ? '-' : (sets.get(set) ?? ['?']).sort().join(' '));
  const lists = grouped(
    tables.rf_shared,
    (key) => memberOf(SHARED_KEY, 'shared', key),
    (key, value) => `${memberOf(SHARED_KEY, 'index', key)}:${readU32(value, 0)}`,
  );
  const usedGroups = new Set([...tables.rf_groups.entries()].map(([, value]) => readU32(value, 0)));
  return {
    ports: [...ports].filter(([group]) => !usedGroups.has(group)).map(([group]) => `unused group ${group}`),
    sets: [...sets.keys()].map(setOf).sort(),
    lists: [...lists.values()].map((list) => list.sort().join(',')).sort(),
    peers: [...tables.rf_peers.entries()]
      .map(([key, value]) => {
        const { identity, flags } = peerOf(value);
        const who =
          (flags & PeerFlag.SHARED) === 0 ? `${identity}` : `[${(lists.get(identity) ?? []).sort().join(',')}]`;
        return `${hex(key.slice(PEER_KEY.fields.addr.offset))} ${flags} ${who}`;
      })
      .sort(),
    endpoints: [...tables.rf_endpoints.entries()]
      .map(([key, value]) => {
        const { setIn, setOut, number, generation, ...rest } = endpointOf(value);
        const at = ENDPOINT_KEY.decode(bytesOf(key));
        return `${at.kind}/${at.id} ${JSON.stringify(rest)} in ${setOf(setIn)} out ${setOf(setOut)}`;
      })
      .sort(),
    plain: (['rf_cidrs', 'rf_nat', 'rf_failsafe'] as const)
      .flatMap((table) => [...tables[table].entries()].map(([key, value]) => `${table} ${hex(key)}=${hex(value)}`))
      .sort(),
  };
}

function grouped(
  table: Tables[TableName],
  numberOf: (key: string) => number,
  line: (key: string, value: string) => string,
): Map<number, string[]> {
  const out = new Map<number, string[]>();
  for (const [key, value] of table.entries()) {
    const number = numberOf(key);
    out.set(number, [...(out.get(number) ?? []), line(key, value)]);
  }
  return out;
}
