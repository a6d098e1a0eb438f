// What the pinned maps of an earlier agent process say about numbers: which content has which one. Reading it back keeps the
// numbers of a restarted agent, so that an unchanged policy is an empty difference.
import { ENDPOINT, GROUP, GROUP_KEY, PORT_KEY, SHARED_KEY } from '@ringfence/bpf';
import type { TableName } from './desired.js';
import { type HighWater, NOTHING_NUMBERED } from './numbers.js';
import { memberOf, readU32, without } from './pack.js';

/** Content to number, for content found in the kernel; and the numbers that must not be given out again. */
export interface RecoveredNumbers {
  /** Port tables by portContent. */
  readonly groups: ReadonlyMap<string, number>;
  /** Policy sets by setContent. */
  readonly sets: ReadonlyMap<string, number>;
  /** Identity lists by sharedContent. */
  readonly shared: ReadonlyMap<string, number>;
  /** Endpoint numbers by key in rf_endpoints. */
  readonly endpoints: ReadonlyMap<string, number>;
  readonly highWater: HighWater;
}

export const NOTHING_RECOVERED: RecoveredNumbers = {
  groups: new Map(),
  sets: new Map(),
  shared: new Map(),
  endpoints: new Map(),
  highWater: NOTHING_NUMBERED,
};

/** Entries of one numbered thing, each without its number, in one text that equal content shares. */
export function contentOf(entries: readonly string[]): string {
  return [...entries].sort().join('');
}

/** One entry of a port table: everything but the group's number. */
export function portContent(key: string, value: string): string {
  return without(PORT_KEY, 'group', key) + value;
}

/** One entry of a policy set: everything but the set's number. */
export function setContent(key: string, value: string): string {
  return without(GROUP_KEY, 'set', key) + value;
}

/** Derives the numbers from the maps' contents (packed key → packed value) and the marks kept beside them. */
export function recoverNumbers(
  tables: Readonly<Record<TableName, ReadonlyMap<string, string>>>,
  marks: HighWater,
): RecoveredNumbers {
  const ports = collect(tables.rf_ports, (key) => memberOf(PORT_KEY, 'group', key), portContent);
  const groups = collect(tables.rf_groups, (key) => memberOf(GROUP_KEY, 'set', key), setContent);
  const lists = new Map<number, number[]>();
  for (const [key, value] of tables.rf_shared) {
    const list = lists.get(memberOf(SHARED_KEY, 'shared', key)) ?? [];
    list[memberOf(SHARED_KEY, 'index', key)] = readU32(value, 0);
    lists.set(memberOf(SHARED_KEY, 'shared', key), list);
  }
  // Groups without ports stand in rf_groups only; sets without groups in rf_endpoints only.
  let { set, group, shared, endpoint } = marks;
  for (const value of tables.rf_groups.values()) group = Math.max(group, memberOf(GROUP, 'group', value) + 1);
  const endpoints = new Map<string, number>();
  for (const [key, value] of tables.rf_endpoints) {
    endpoints.set(key, memberOf(ENDPOINT, 'number', value));
    endpoint = Math.max(endpoint, memberOf(ENDPOINT, 'number', value) + 1);
    set = Math.max(set, memberOf(ENDPOINT, 'setIn', value) + 1, memberOf(ENDPOINT, 'setOut', value) + 1);
  }
  for (const number of ports.keys()) group = Math.max(group, number + 1);
  for (const number of groups.keys()) set = Math.max(set, number + 1);
  for (const number of lists.keys()) shared = Math.max(shared, number + 1);
  const emptyGroup = [...tables.rf_groups.values()]
    .map((value) => memberOf(GROUP, 'group', value))
    .find((number) => !ports.has(number));
  if (emptyGroup !== undefined) ports.set(emptyGroup, []);
  return {
    groups: byContent(ports, contentOf),
    sets: byContent(groups, contentOf),
    shared: byContent(lists, (list) => sharedContent(list)),
    endpoints,
    highWater: { set, group, shared, endpoint },
  };
}

/** Identities behind one address, in their order. */
export function sharedContent(identities: readonly number[]): string {
  return identities.join(',');
}

function collect(
  table: ReadonlyMap<string, string>,
  numberOf: (key: string) => number,
  content: (key: string, value: string) => string,
): Map<number, string[]> {
  const out = new Map<number, string[]>();
  for (const [key, value] of table) {
    const number = numberOf(key);
    const entries = out.get(number);
    if (entries === undefined) out.set(number, [content(key, value)]);
    else entries.push(content(key, value));
  }
  return out;
}

function byContent<T>(byNumber: ReadonlyMap<number, T>, content: (entries: T) => string): Map<string, number> {
  const out = new Map<string, number>();
  for (const [number, entries] of byNumber) out.set(content(entries), number);
  return out;
}
