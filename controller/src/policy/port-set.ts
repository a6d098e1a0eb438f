// Sets of ports over all protocols: what reach and diff compute with.
import { lookupPorts, type PortEntry, PROTOCOL_ANY } from '@ringfence/proto/policy-set.js';
import type { PortRange } from './model.js';
import { formatPorts, normalisePorts } from './ports.js';

const WHOLE = 0xffff;

/** `by` says exactly which ports of a protocol; protocols that are not in it: all of each, or none. */
export interface PortSet {
  readonly others: boolean;
  /** Ranges sorted, disjoint, not adjoining; an empty list is none of that protocol. */
  readonly by: ReadonlyMap<number, readonly PortRange[]>;
}

export const NO_PORTS: PortSet = { others: false, by: new Map() };
export const ALL_PORTS: PortSet = { others: true, by: new Map() };

/** The ports that a port table allows. */
export function allowedBy(table: readonly PortEntry[]): PortSet {
  const by = new Map<number, readonly PortRange[]>();
  for (const protocol of new Set(table.map((entry) => entry.protocol))) {
    if (protocol === PROTOCOL_ANY) continue;
    const own = table.filter((entry) => entry.protocol === protocol);
    by.set(
      protocol,
      segments(own.map(({ portLow, portHigh }) => [portLow, portHigh]))
        .filter(({ low }) => lookupPorts(table, protocol, low)?.allow === true)
        .map(({ low, high }) => ({ protocol, low, high })),
    );
  }
  return normalise({ others: table.some((entry) => entry.protocol === PROTOCOL_ANY && entry.allow), by });
}

/** The ports of a list of ranges. */
export function portSetOf(ranges: readonly PortRange[]): PortSet {
  if (ranges.some((range) => range.protocol === PROTOCOL_ANY)) return ALL_PORTS;
  const by = new Map<number, readonly PortRange[]>();
  for (const range of ranges) by.set(range.protocol, [...(by.get(range.protocol) ?? []), range]);
  return normalise({ others: false, by });
}

export function intersect(a: PortSet, b: PortSet): PortSet {
  return combine(a, b, (inA, inB) => inA && inB);
}

export function unite(a: PortSet, b: PortSet): PortSet {
  return combine(a, b, (inA, inB) => inA || inB);
}

/** What is in a and not in b. */
export function subtract(a: PortSet, b: PortSet): PortSet {
  return combine(a, b, (inA, inB) => inA && !inB);
}

export function isEmptySet(set: PortSet): boolean {
  return !set.others && [...set.by.values()].every((ranges) => ranges.length === 0);
}

/** True when b is part of a. */
export function includes(a: PortSet, b: PortSet): boolean {
  return isEmptySet(subtract(b, a));
}

/** As rules write it: `tcp/80, tcp/443`, `any`, `any except tcp/22`, `nothing`. */
export function formatPortSet(set: PortSet): string {
  if (!set.others) {
    const texts = [...set.by].sort(([a], [b]) => a - b).flatMap(([, ranges]) => ranges.map(formatPorts));
    return texts.length === 0 ? 'nothing' : texts.join(', ');
  }
  const missing = subtract(ALL_PORTS, set);
  return isEmptySet(missing) ? 'any' : `any except ${formatPortSet(missing)}`;
}

function combine(a: PortSet, b: PortSet, keep: (inA: boolean, inB: boolean) => boolean): PortSet {
  const by = new Map<number, readonly PortRange[]>();
  for (const protocol of new Set([...a.by.keys(), ...b.by.keys()])) {
    const [inA, inB] = [rangesOf(a, protocol), rangesOf(b, protocol)];
    const holds = (ranges: readonly PortRange[], port: number) =>
      ranges.some(({ low, high }) => low <= port && port <= high);
    by.set(
      protocol,
      segments([...inA, ...inB].map(({ low, high }) => [low, high]))
        .filter(({ low }) => keep(holds(inA, low), holds(inB, low)))
        .map(({ low, high }) => ({ protocol, low, high })),
    );
  }
  return normalise({ others: keep(a.others, b.others), by });
}

function rangesOf(set: PortSet, protocol: number): readonly PortRange[] {
  return set.by.get(protocol) ?? (set.others ? [{ protocol, low: 0, high: WHOLE }] : []);
}

/** Joins ranges, and drops protocols that say what the others say. */
function normalise(set: PortSet): PortSet {
  const by = new Map<number, readonly PortRange[]>();
  for (const [protocol, ranges] of [...set.by].sort(([a], [b]) => a - b)) {
    const joined = normalisePorts(ranges);
    const [first] = joined;
    const all = joined.length === 1 && first?.low === 0 && first.high === WHOLE;
    if (set.others ? !all : joined.length > 0) by.set(protocol, joined);
  }
  return { others: set.others, by };
}

/** The whole port space cut wherever a range begins or ends. */
function segments(ranges: readonly (readonly [low: number, high: number])[]): { low: number; high: number }[] {
  const cuts = new Set([0, WHOLE + 1]);
  for (const [low, high] of ranges) cuts.add(low).add(high + 1);
  const sorted = [...cuts].sort((a, b) => a - b);
  return sorted.slice(0, -1).map((low, index) => ({ low, high: (sorted[index + 1] ?? WHOLE + 1) - 1 }));
}
