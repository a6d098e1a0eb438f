// Filters of the Flows service as predicates over columns: cheap columns first, names and labels once per distinct end.
import { mappedAddress, parsePrefix, prefixContains } from '@ringfence/proto/address.js';
import type { PortRange } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import type { FlowEndFilter, FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowBlock, FlowEndInfo } from '../flows/block.js';
import type { FlowPredicate } from '../flows/history.js';
import { quote } from './convert.js';
import { invalid } from './errors.js';
import { labelPredicate } from './selector.js';

/** Names that a filter may use instead of ids. */
export interface FilterNames {
  /** Ids of the hosts that have this id or name. */
  hostIds(text: string): readonly string[];
  /** Number of the rule with this id; undefined when none ever had it. */
  ruleNumber(id: string): number | undefined;
}

const VALUES_MAX = 1000;

/** The filter with names of hosts as ids and rules as numbers: what needs no FilterNames any more. Checks all of it: throws ApiError. */
export function resolveFilter(filter: FlowFilter | undefined, names: FilterNames): FlowFilter | undefined {
  flowPredicate(filter, names);
  if (filter === undefined) return undefined;
  const resolved = (end: FlowEndFilter | undefined) =>
    end === undefined ? undefined : { ...end, hosts: hostIds(end.hosts, names) };
  return {
    ...filter,
    rules: ruleNumbers(filter.rules, names).map(String),
    reporters: hostIds(filter.reporters, names),
    source: resolved(filter.source),
    destination: resolved(filter.destination),
    either: resolved(filter.either),
  };
}

/** Reads a filter that resolveFilter made. */
export const RESOLVED_NAMES: FilterNames = { hostIds: (text) => [text], ruleNumber: (text) => Number(text) };

/** Which end of a record opened the connection. */
type Side = 'local' | 'remote';

/** Throws ApiError RF_FILTER. */
export function flowPredicate(filter: FlowFilter | undefined, names: FilterNames): FlowPredicate {
  if (filter === undefined) return () => true;
  for (const [name, value] of Object.entries(filter)) {
    if (Array.isArray(value) && value.length > VALUES_MAX)
      throw bad(`${value.length} ${name}`, `at most ${VALUES_MAX}`);
  }
  const parts: FlowPredicate[] = [];
  numbers(parts, filter.verdicts, (block) => block.verdict);
  numbers(
    parts,
    filter.reasons,
    (block) => block.reason,
    (block) => block.otherReason,
  );
  if (filter.directions.length > 0) {
    const wanted = viewBits(filter.directions);
    parts.push((block, i) => ((block.views[i] ?? 0) & wanted) !== 0);
  }
  numbers(parts, filter.protocols, (block) => block.protocol);
  numbers(
    parts,
    filter.modes,
    (block) => block.mode,
    (block) => block.otherMode,
  );
  numbers(parts, filter.kinds, (block) => block.kind);
  numbers(
    parts,
    ruleNumbers(filter.rules, names),
    (block) => block.rule,
    (block) => block.otherRule,
  );
  const { sinceUs, untilUs } = { sinceUs: Number(filter.sinceUs), untilUs: Number(filter.untilUs) };
  if (sinceUs > 0) parts.push((block, i) => (block.lastSeenUs[i] ?? 0) >= sinceUs);
  if (untilUs > 0) parts.push((block, i) => (block.firstSeenUs[i] ?? 0) < untilUs);
  if (filter.ports.length > 0) {
    const inRange = portPredicate(filter.ports);
    parts.push((block, i) => inRange(block.servicePort[i] ?? 0));
  }
  strings(
    parts,
    hostIds(filter.reporters, names),
    (block) => block.reporter,
    (block) => block.farReporter,
  );
  strings(
    parts,
    filter.processes,
    (block) => block.process,
    (block) => block.farProcess,
  );
  const [source, destination, either] = [filter.source, filter.destination, filter.either].map((end) =>
    endPredicate(end, names),
  );
  if (source !== undefined) parts.push((block, i) => source(block, i, opener(block, i)));
  if (destination !== undefined) parts.push((block, i) => destination(block, i, other(opener(block, i))));
  if (either !== undefined) parts.push((block, i) => either(block, i, 'local') || either(block, i, 'remote'));
  return (block, i) => parts.every((part) => part(block, i));
}

/** The end that opened the connection: inbound, the remote one. */
export function opener(block: FlowBlock, index: number): Side {
  return block.direction[index] === Direction.DIRECTION_INBOUND ? 'remote' : 'local';
}

export function other(side: Side): Side {
  return side === 'local' ? 'remote' : 'local';
}

/** Both ends reported: the record holds a second view. */
export function ofBothEnds(block: FlowBlock, index: number): boolean {
  return block.views[index] === BOTH;
}

/** Bits of FlowBlock.views for these directions. */
export function viewBits(directions: readonly number[]): number {
  return directions.reduce((bits, direction) => bits | (1 << (direction - 1)), 0);
}

const BOTH = viewBits([Direction.DIRECTION_INBOUND, Direction.DIRECTION_OUTBOUND]);

type EndPredicate = (block: FlowBlock, index: number, side: Side) => boolean;

/**
 * What a filter says of an end's workload, labels and host; undefined: nothing. `hosts` are the ids that filter.hosts stands for.
 * Asked once per distinct end. Throws ApiError RF_SELECTOR.
 */
export function endInfoPredicate(
  filter: FlowEndFilter,
  hosts: ReadonlySet<string>,
): ((info: FlowEndInfo) => boolean) | undefined {
  const labels = labelPredicate(filter.selector);
  const workloads = new Set(filter.workloads);
  if ((filter.selector?.requirements.length ?? 0) + workloads.size + filter.hosts.length === 0) return undefined;
  const known = new WeakMap<FlowEndInfo, boolean>();
  return (info) => {
    const before = known.get(info);
    if (before !== undefined) return before;
    const ids = [info.workloadId, info.workloadName, `${info.hostId}/${info.workloadName}`];
    const result =
      labels(info.labels) &&
      (workloads.size === 0 || ids.some((id) => workloads.has(id))) &&
      (filter.hosts.length === 0 || hosts.has(info.hostId));
    known.set(info, result);
    return result;
  };
}

function endPredicate(filter: FlowEndFilter | undefined, names: FilterNames): EndPredicate | undefined {
  if (filter === undefined) return undefined;
  for (const [name, value] of Object.entries(filter)) {
    if (Array.isArray(value) && value.length > VALUES_MAX)
      throw bad(`${value.length} ${name}`, `at most ${VALUES_MAX}`);
  }
  const matchesInfo = endInfoPredicate(filter, new Set(hostIds(filter.hosts, names)));
  const prefixes = filter.addresses.map((text) => {
    const prefix = parsePrefix(text);
    if ('problem' in prefix) throw bad(`address ${quote(text)}: ${prefix.problem}`, 'an address or a CIDR');
    return prefix;
  });
  const inRange = portPredicate(filter.ports);
  const isAt = (port: number, ip: Uint8Array, i: number) =>
    (filter.ports.length === 0 || inRange(port)) &&
    (prefixes.length === 0 ||
      prefixes.some((prefix) => prefixContains(prefix, mappedAddress(ip.subarray(16 * i, 16 * i + 16)))));
  const anywhere = filter.ports.length + prefixes.length === 0;
  return (block, i, side) => {
    if (!anywhere) {
      const local = side === 'local';
      const near = isAt(
        (local ? block.localPort : block.remotePort)[i] ?? 0,
        local ? block.localIp : block.remoteIp,
        i,
      );
      // The same end as the other one saw it.
      const far =
        !near &&
        ofBothEnds(block, i) &&
        isAt(
          (local ? block.farRemotePort : block.farLocalPort)[i] ?? 0,
          local ? block.farRemoteIp : block.farLocalIp,
          i,
        );
      if (!near && !far) return false;
    }
    if (matchesInfo === undefined) return true;
    const info = block.ends[(side === 'local' ? block.local : block.remote)[i] ?? 0];
    return info !== undefined && matchesInfo(info);
  };
}

/** One of the wanted values in the column, or, where both ends reported, in that of the other one. */
function numbers(
  parts: FlowPredicate[],
  wanted: readonly number[],
  column: (block: FlowBlock) => ArrayLike<number>,
  others?: (block: FlowBlock) => ArrayLike<number>,
): void {
  if (wanted.length === 0) return;
  const set = new Set(wanted);
  parts.push(
    (block, i) =>
      set.has(column(block)[i] ?? 0) ||
      (others !== undefined && ofBothEnds(block, i) && set.has(others(block)[i] ?? 0)),
  );
}

function strings(
  parts: FlowPredicate[],
  wanted: readonly string[] | undefined,
  column: (block: FlowBlock) => ArrayLike<number>,
  others: (block: FlowBlock) => ArrayLike<number>,
): void {
  if (wanted === undefined || wanted.length === 0) return;
  const set = new Set(wanted);
  const text = (block: FlowBlock, refs: ArrayLike<number>, i: number) => block.strings[refs[i] ?? 0] ?? '';
  parts.push(
    (block, i) =>
      set.has(text(block, column(block), i)) || (ofBothEnds(block, i) && set.has(text(block, others(block), i))),
  );
}

function portPredicate(ranges: readonly PortRange[]): (port: number) => boolean {
  for (const { low, high } of ranges) {
    if (low > high || high > 65_535) throw bad(`ports ${low}-${high}`, 'a range within 0 to 65535');
  }
  return (port) => ranges.some(({ low, high }) => low <= port && port <= high);
}

function ruleNumbers(rules: readonly string[], names: FilterNames): number[] {
  return rules.map((text) => {
    const number = names.ruleNumber(text) ?? (/^\d{1,10}$/.test(text) ? Number(text) : undefined);
    if (number === undefined)
      throw bad(`rule ${quote(text)}, which no policy ever had`, 'the id or number of a rule, or 0 for none');
    return number;
  });
}

/** Undefined and empty: any. A name that no host has is refused, so that a typing error is not taken for silence. */
function hostIds(texts: readonly string[], names: FilterNames): string[] {
  return texts.flatMap((text) => {
    const ids = names.hostIds(text);
    if (ids.length === 0) throw bad(`host ${quote(text)}, which is not enrolled`, 'the id or name of a host');
    return ids;
  });
}

function bad(found: string, wanted: string): Error {
  return invalid('RF_FILTER', `Cannot read filter: found ${found}, wanted ${wanted}`);
}
