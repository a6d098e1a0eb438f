// Filters of the Flows service as SQL over a table of records. Says the same as api/flow-filter.ts; one test runs both over the same cases.
import { mappedAddress, maskAddress, parsePrefix } from '@ringfence/proto/address.js';
import type { PortRange } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import type { FlowEndFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { endInfoPredicate, viewBits } from '../../api/flow-filter.js';
import type { FlowEndInfo } from '../block.js';
import type { ResolvedFilter } from './archive.js';
import { addressHalves } from './columns.js';

/** What a filter needs to know of the dictionary. */
export interface FilterDictionary {
  /** Ids of the ends for which this holds. */
  endsThat(matches: (info: FlowEndInfo) => boolean): number[];
  /** Ids of these texts, as far as they were ever stored. */
  stringIds(texts: readonly string[]): number[];
}

/** FlowBlock.views where both ends reported. */
const BOTH = viewBits([Direction.DIRECTION_INBOUND, Direction.DIRECTION_OUTBOUND]);

/** Columns that a rollup does not keep: a filter on these needs the records. */
export const RAW_ONLY = /\b(local_ip|remote_ip|local_port|remote_port|kind|first_us|last_us)/;

/** The condition without the times of a filter; 'true' for none. */
export function sqlCondition(filter: ResolvedFilter, dictionary: FilterDictionary): string {
  if (filter === undefined) return 'true';
  const parts: string[] = [];
  const listed = (column: string, values: readonly number[]) => {
    if (values.length > 0) parts.push(inList(column, values));
  };
  // Where both ends reported, the other one's view counts as well.
  const eitherListed = (column: string, others: string, values: readonly number[] | undefined) => {
    if (values === undefined) return;
    parts.push(`(${inList(column, values)} OR (views = ${BOTH} AND ${inList(others, values)}))`);
  };
  const some = (values: readonly number[]) => (values.length > 0 ? values : undefined);
  listed('verdict', filter.verdicts);
  eitherListed('reason', 'other_reason', some(filter.reasons));
  if (filter.directions.length > 0) parts.push(`(views & ${viewBits(filter.directions)}) != 0`);
  listed('protocol', filter.protocols);
  eitherListed('mode', 'other_mode', some(filter.modes));
  listed('kind', filter.kinds);
  eitherListed('rule', 'other_rule', some(filter.rules.map(Number)));
  if (filter.ports.length > 0) parts.push(portCondition('service_port', filter.ports));
  const texts = (wanted: readonly string[]) => (wanted.length > 0 ? dictionary.stringIds(wanted) : undefined);
  eitherListed('reporter', 'far_reporter', texts(filter.reporters));
  eitherListed('process', 'far_process', texts(filter.processes));
  const inbound = `direction = ${Direction.DIRECTION_INBOUND}`;
  const source = endConditions(filter.source, dictionary);
  if (source !== undefined) parts.push(`CASE WHEN ${inbound} THEN ${source.remote} ELSE ${source.local} END`);
  const destination = endConditions(filter.destination, dictionary);
  if (destination !== undefined) {
    parts.push(`CASE WHEN ${inbound} THEN ${destination.local} ELSE ${destination.remote} END`);
  }
  const either = endConditions(filter.either, dictionary);
  if (either !== undefined) parts.push(`(${either.local} OR ${either.remote})`);
  return parts.length === 0 ? 'true' : parts.join(' AND ');
}

/** The condition of a filter's times; 'true' for none. */
export function timeCondition(filter: ResolvedFilter): string {
  const parts: string[] = [];
  if (filter !== undefined && filter.sinceUs > 0n) parts.push(`last_us >= ${filter.sinceUs}`);
  if (filter !== undefined && filter.untilUs > 0n) parts.push(`first_us < ${filter.untilUs}`);
  return parts.length === 0 ? 'true' : parts.join(' AND ');
}

function endConditions(
  filter: FlowEndFilter | undefined,
  dictionary: FilterDictionary,
): { local: string; remote: string } | undefined {
  if (filter === undefined) return undefined;
  const matches = endInfoPredicate(filter, new Set(filter.hosts));
  const ends = matches === undefined ? undefined : dictionary.endsThat(matches);
  const masks = filter.addresses.map(prefixMask);
  const condition = (side: 'local' | 'remote') => {
    const parts: string[] = [];
    const isAt = (port: string, ip: string) => {
      const conditions: string[] = [];
      if (filter.ports.length > 0) conditions.push(portCondition(port, filter.ports));
      if (masks.length > 0) {
        const each = masks.map(
          ({ value: [a, b], mask: [maskA, maskB] }) =>
            `((${ip}_a & ${wide(maskA)}) = ${wide(a)} AND (${ip}_b & ${wide(maskB)}) = ${wide(b)})`,
        );
        conditions.push(`(${each.join(' OR ')})`);
      }
      return conditions.join(' AND ');
    };
    const near = isAt(`${side}_port`, `${side}_ip`);
    if (near !== '') {
      // The same end as the other one saw it.
      const seen = side === 'local' ? 'far_remote' : 'far_local';
      parts.push(`((${near}) OR (views = ${BOTH} AND ${isAt(`${seen}_port`, `${seen}_ip`)}))`);
    }
    if (ends !== undefined) parts.push(inList(`${side}_end`, ends));
    return parts.length === 0 ? 'true' : `(${parts.join(' AND ')})`;
  };
  return { local: condition('local'), remote: condition('remote') };
}

function prefixMask(text: string): { value: [bigint, bigint]; mask: [bigint, bigint] } {
  const prefix = parsePrefix(text);
  if ('problem' in prefix) throw new RangeError(`Cannot read address ${text}: ${prefix.problem}`);
  const ones = new Uint8Array(16).fill(0xff);
  return {
    value: addressHalves(mappedAddress(prefix.address)),
    mask: addressHalves(maskAddress(ones, prefix.length)),
  };
}

function wide(value: bigint): string {
  return `${value}::UBIGINT`;
}

function inList(column: string, values: readonly number[]): string {
  return values.length === 0 ? 'false' : `${column} IN (${values.join(',')})`;
}

function portCondition(column: string, ranges: readonly PortRange[]): string {
  return `(${ranges.map(({ low, high }) => `${column} BETWEEN ${low} AND ${high}`).join(' OR ')})`;
}
