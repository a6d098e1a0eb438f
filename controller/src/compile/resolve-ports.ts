// The rules that hold between two ends to one port table: disjoint ranges, each with the one rule that decides it. A range says
// all: it has taken in the rules for its whole protocol and for any protocol, so the most specific entry alone decides.
import { type PortEntry, PROTOCOL_ANY } from '@ringfence/proto/policy-set.js';
import type { PortRange, Rule } from '../policy/model.js';

const WHOLE = 0xffff;

/** The table, sorted by protocol and port. Entries that the next wider one already says are left out. */
export function resolvePorts(rules: readonly Rule[]): PortEntry[] {
  const claims = rules.flatMap((rule) => rule.ports.map((range) => ({ rule, range })));
  const anyRules = claims.filter(({ range }) => range.protocol === PROTOCOL_ANY).map(({ rule }) => rule);
  const anyBest = deciding(anyRules);
  const table: PortEntry[] = [];
  const protocols = [...new Set(claims.map(({ range }) => range.protocol))].sort((a, b) => a - b);
  for (const protocol of protocols) {
    if (protocol === PROTOCOL_ANY) continue;
    const own = claims.filter(({ range }) => range.protocol === protocol);
    const whole = [...anyRules, ...own.filter(({ range }) => isWhole(range)).map(({ rule }) => rule)];
    const wholeBest = deciding(whole);
    if (wholeBest !== undefined && wholeBest !== anyBest) table.push(entryOf(protocol, 0, WHOLE, wholeBest));
    const parts = own.filter(({ range }) => !isWhole(range));
    table.push(...resolveRanges(protocol, parts, whole, wholeBest));
  }
  if (anyBest !== undefined) table.push(entryOf(PROTOCOL_ANY, 0, WHOLE, anyBest));
  return table;
}

/** Deny over allow, then the lowest number. */
export function deciding(rules: readonly Rule[]): Rule | undefined {
  let best: Rule | undefined;
  for (const rule of rules) {
    if (best === undefined) best = rule;
    else if (rule.action !== best.action) best = rule.action === 'deny' ? rule : best;
    else if (rule.number < best.number) best = rule;
  }
  return best;
}

function resolveRanges(
  protocol: number,
  parts: readonly { readonly rule: Rule; readonly range: PortRange }[],
  whole: readonly Rule[],
  wholeBest: Rule | undefined,
): PortEntry[] {
  const cuts = [...new Set(parts.flatMap(({ range }) => [range.low, range.high + 1]))].sort((a, b) => a - b);
  const found: PortEntry[] = [];
  let last: { low: number; high: number; rule: Rule } | undefined;
  const close = () => {
    if (last !== undefined) found.push(entryOf(protocol, last.low, last.high, last.rule));
    last = undefined;
  };
  cuts.slice(0, -1).forEach((low, index) => {
    const high = (cuts[index + 1] ?? low + 1) - 1;
    const here = parts.filter(({ range }) => range.low <= low && high <= range.high).map(({ rule }) => rule);
    const best = here.length === 0 ? undefined : deciding([...whole, ...here]);
    if (best === undefined || best === wholeBest) close();
    else if (last?.rule === best && last.high + 1 === low) last.high = high;
    else {
      close();
      last = { low, high, rule: best };
    }
  });
  close();
  // A joined range that spans everything would read as the whole protocol: split so that ranges stay ranges.
  return found.flatMap((entry) =>
    entry.portLow === 0 && entry.portHigh === WHOLE
      ? [
          { ...entry, portHigh: 0x7fff },
          { ...entry, portLow: 0x8000 },
        ]
      : [entry],
  );
}

function isWhole(range: PortRange): boolean {
  return range.low === 0 && range.high === WHOLE;
}

function entryOf(protocol: number, portLow: number, portHigh: number, rule: Rule): PortEntry {
  const { number, action, constraints } = rule;
  return { protocol, portLow, portHigh, rule: number, allow: action === 'allow', constraints };
}
