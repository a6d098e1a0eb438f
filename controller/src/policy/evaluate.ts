// The meaning of policy, in one short file: what happens to one connection at one local workload. Explain, replay, tests in
// policy files, the compiler's and the kernel's tests all hold themselves to this.
//
// 1. Who is the peer: the caller names the candidates behind the remote address (none: unknown; several: a shared address).
// 2. For each candidate, ascending, the rules that match it are gathered: deny over allow, then the lowest number.
// 3. Of several candidates the first that is allowed wins; else the lowest explicit deny; else no rule speaks.
// 4. The mode changes the last line only: what is decided is decided in every mode.
import { type AddressPrefix, prefixCovers } from '@ringfence/proto/address.js';
import { Direction, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { End, IpList, ModeRule, Policy, PolicyWorkload, PortRange, Rule } from './model.js';
import { labelOf, selectorMatches } from './selector.js';

/** The local workload whose end of the connection is decided. */
export interface Subject extends PolicyWorkload {
  /** Unpaired, denied or quarantined: blocked whatever policy and mode say. */
  readonly isolated?: boolean;
}

/** What policy is asked about. */
export interface Tuple {
  /** IANA protocol number. */
  readonly protocol: number;
  /** The service's port: inbound the local one, outbound the remote (or mapped) one; ICMP type * 256 + code; else 0. */
  readonly port: number;
  /** The remote address as observed, mapped bytes: IP lists match this, whoever has it. Empty: not known, in no list. */
  readonly remote: Uint8Array;
}

/** The outcome at one end. */
export interface Decision {
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Number of the deciding rule; 0: implicit deny or isolation. */
  readonly rule: number;
  /** Mode in force for this workload and direction. */
  readonly mode: Mode;
}

/** Why a rule does not match, in the order in which it is asked; undefined: it matches. */
export type Mismatch = 'disabled' | 'expired' | 'direction' | 'service' | 'subject' | 'peer' | 'relation' | undefined;

/** Decides one connection at one end. `candidates`: ascending by identity; empty when nobody is known behind the address. */
export function evaluate(
  policy: Policy,
  subject: Subject,
  candidates: readonly PolicyWorkload[],
  tuple: Tuple,
  direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND,
  nowMs: number,
): Decision {
  const { mode } = effectiveMode(policy, subject, direction);
  if (subject.isolated) return { verdict: Verdict.VERDICT_BLOCKED, reason: Reason.REASON_ISOLATED, rule: 0, mode };
  const rule = decidingRule(policy, subject, candidates, tuple, direction, nowMs);
  if (rule?.action === 'allow') {
    return { verdict: Verdict.VERDICT_ALLOWED, reason: Reason.REASON_RULE_ALLOW, rule: rule.number, mode };
  }
  const reason = rule === undefined ? Reason.REASON_IMPLICIT_DENY : Reason.REASON_RULE_DENY;
  return { verdict: forbiddenIn(mode), reason, rule: rule?.number ?? 0, mode };
}

/** The rule that decides, over all candidates; undefined: no rule speaks. */
export function decidingRule(
  policy: Policy,
  subject: PolicyWorkload,
  candidates: readonly PolicyWorkload[],
  tuple: Tuple,
  direction: Direction,
  nowMs: number,
): Rule | undefined {
  let deny: Rule | undefined;
  for (const peer of candidates.length === 0 ? [undefined] : candidates) {
    const matching = policy.rules.filter(
      (rule) => mismatch(policy, rule, subject, peer, tuple, direction, nowMs) === undefined,
    );
    const decides = matching.find((rule) => rule.action === 'deny') ?? matching[0];
    if (decides?.action === 'allow') return decides;
    if (decides !== undefined && (deny === undefined || decides.number < deny.number)) deny = decides;
  }
  return deny;
}

/** Why this rule does not speak about this connection with this peer (undefined: nobody known), or undefined when it does. */
export function mismatch(
  policy: Policy,
  rule: Rule,
  subject: PolicyWorkload,
  peer: PolicyWorkload | undefined,
  tuple: Tuple,
  direction: Direction,
  nowMs: number,
): Mismatch {
  if (!rule.enabled) return 'disabled';
  if (rule.expiresMs !== undefined && rule.expiresMs <= nowMs) return 'expired';
  if (!(direction === Direction.DIRECTION_INBOUND ? rule.inbound : rule.outbound)) return 'direction';
  if (!rule.ports.some((range) => portMatches(range, tuple))) return 'service';
  return endsMismatch(policy, rule, subject, peer, tuple.remote, direction);
}

/** The same as far as the ends go: whatever the service, the time, and whether the rule is enabled. */
export function endsMismatch(
  policy: Policy,
  rule: Rule,
  subject: PolicyWorkload,
  peer: PolicyWorkload | undefined,
  remote: Uint8Array,
  direction: Direction,
): Mismatch {
  const inbound = direction === Direction.DIRECTION_INBOUND;
  const [own, other] = inbound ? [rule.providedBy, rule.usedBy] : [rule.usedBy, rule.providedBy];
  const subjectSelected = own.selector !== undefined && selectorMatches(own.selector, subject);
  if (!own.anyone && !subjectSelected) return 'subject';
  if (other.anyone || listsContain(policy, other, remote)) return undefined;
  if (peer === undefined || other.selector === undefined || !selectorMatches(other.selector, peer)) return 'peer';
  // A relation holds between two selected workloads; an end that is `anyone` lies outside it.
  return own.anyone || related(rule, subject, peer) ? undefined : 'relation';
}

/** True when both have every dimension of `same` with one value, and every dimension of `differs` with two. */
export function related(rule: Rule, a: PolicyWorkload, b: PolicyWorkload): boolean {
  const both = (dimension: string) => [labelOf(a.labels, dimension), labelOf(b.labels, dimension)];
  const known = (values: readonly unknown[]) => values[0] !== undefined && values[1] !== undefined;
  return (
    rule.same.map(both).every((values) => known(values) && values[0] === values[1]) &&
    rule.differs.map(both).every((values) => known(values) && values[0] !== values[1])
  );
}

/** The mode of a workload in one direction: the highest priority, then the strictest. Without any: visibility. */
export function effectiveMode(
  policy: Policy,
  workload: PolicyWorkload,
  direction: Direction,
): { readonly mode: Mode; readonly decidedBy: ModeRule | undefined; readonly considered: readonly ModeRule[] } {
  const inbound = direction === Direction.DIRECTION_INBOUND;
  const considered = policy.modes
    .filter((rule) => (inbound ? rule.inbound : rule.outbound) && selectorMatches(rule.selector, workload))
    .sort((a, b) => b.priority - a.priority || b.mode - a.mode || (a.id < b.id ? -1 : 1));
  const decidedBy = considered[0];
  return { mode: decidedBy?.mode ?? Mode.MODE_VISIBILITY, decidedBy, considered };
}

/** True when the list holds there: inside an included prefix and inside no excluded one. ::/0 is all IPv6, and no IPv4. */
export function listContains(list: IpList, address: Uint8Array): boolean {
  const inside = (prefix: AddressPrefix) => prefixCovers(prefix, address);
  return address.length > 0 && list.include.some(inside) && !list.exclude.some(inside);
}

function listsContain(policy: Policy, end: End, address: Uint8Array): boolean {
  return end.ipLists.some((name) => {
    const list = policy.ipLists.get(name);
    return list !== undefined && listContains(list, address);
  });
}

function portMatches(range: PortRange, tuple: Tuple): boolean {
  if (range.protocol === 256) return true;
  return range.protocol === tuple.protocol && range.low <= tuple.port && tuple.port <= range.high;
}

/** What becomes of a connection that policy forbids. */
function forbiddenIn(mode: Mode): Verdict {
  if (mode === Mode.MODE_ENFORCE) return Verdict.VERDICT_BLOCKED;
  return mode === Mode.MODE_TEST ? Verdict.VERDICT_WOULD_BLOCK : Verdict.VERDICT_ALLOWED;
}
