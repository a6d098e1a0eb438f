// One whole connection: the decision at both ends, and why. Explain, tests in policy files, replay and reach are built on this.
import { formatAddress, parseAddress } from '@ringfence/proto/address.js';
import { Direction, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import {
  type Decision,
  decidingRule,
  effectiveMode,
  evaluate,
  type Mismatch,
  mismatch,
  type Subject,
} from './evaluate.js';
import type { ModeRule, Policy, PolicyWorkload, Rule, TestEndSpec } from './model.js';

/** The address of an end that has none known: in no IP list. */
export const NOWHERE = new Uint8Array(0);

/** One end of a connection. */
export interface ConnectionEnd {
  /** Who it is; undefined: nobody known. */
  readonly workload: Subject | undefined;
  /** An agent decides here; false for unmanaged workloads and unknown addresses. */
  readonly managed: boolean;
  /** As the other end observes it; NOWHERE when not known. */
  readonly address: Uint8Array;
  /** Everybody else who may be behind the address, ascending by identity, this workload included; default: it alone. */
  readonly candidates?: readonly PolicyWorkload[];
}

/** A rule that was looked at, with why it did not match (undefined: it did). */
export interface Considered {
  readonly rule: Rule;
  /** The peer it was asked about; undefined: nobody known. */
  readonly peer: PolicyWorkload | undefined;
  readonly mismatch: Mismatch;
}

/** The decision at one end with its reasons. */
export interface EndExplanation {
  readonly direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND;
  readonly subject: Subject;
  readonly decision: Decision;
  readonly deciding: Rule | undefined;
  /** By rule number, for each candidate; rules of the other direction and about other workloads are left out. */
  readonly considered: readonly Considered[];
  /** The mode rule in force; undefined: the default, visibility. */
  readonly modeRule: ModeRule | undefined;
}

/** Both ends. An end without an agent has no explanation. */
export interface ConnectionExplanation {
  readonly outbound: EndExplanation | undefined;
  readonly inbound: EndExplanation | undefined;
  /** The rules at every end that decides allow it, whatever the modes. */
  readonly allowed: boolean;
  /** It goes through today: no end blocks it. */
  readonly passes: boolean;
}

/** Decides a connection from one end to the other. `port`: the service's, ICMP type * 256 + code. */
export function explainConnection(
  policy: Policy,
  from: ConnectionEnd,
  to: ConnectionEnd,
  service: { readonly protocol: number; readonly port: number },
  nowMs: number,
): ConnectionExplanation {
  const outbound = explainEnd(policy, from, to, service, Direction.DIRECTION_OUTBOUND, nowMs);
  const inbound = explainEnd(policy, to, from, service, Direction.DIRECTION_INBOUND, nowMs);
  const ends = [outbound, inbound].filter((end) => end !== undefined);
  return {
    outbound,
    inbound,
    allowed: ends.every((end) => end.decision.reason === Reason.REASON_RULE_ALLOW),
    passes: ends.every((end) => end.decision.verdict !== Verdict.VERDICT_BLOCKED),
  };
}

/** The decision at one end; undefined when no agent decides there. */
export function explainEnd(
  policy: Policy,
  own: ConnectionEnd,
  other: ConnectionEnd,
  service: { readonly protocol: number; readonly port: number },
  direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND,
  nowMs: number,
): EndExplanation | undefined {
  const subject = own.workload;
  if (subject === undefined || !own.managed) return undefined;
  const candidates = other.candidates ?? (other.workload === undefined ? [] : [other.workload]);
  const tuple = { ...service, remote: other.address };
  const peers = candidates.length === 0 ? [undefined] : candidates;
  const considered = policy.rules.flatMap((rule) =>
    peers.map((peer) => ({ rule, peer, mismatch: mismatch(policy, rule, subject, peer, tuple, direction, nowMs) })),
  );
  return {
    direction,
    subject,
    decision: evaluate(policy, subject, candidates, tuple, direction, nowMs),
    deciding: subject.isolated ? undefined : decidingRule(policy, subject, candidates, tuple, direction, nowMs),
    considered: considered.filter((each) => each.mismatch !== 'direction' && each.mismatch !== 'subject'),
    modeRule: effectiveMode(policy, subject, direction).decidedBy,
  };
}

/** A workload by its id, as policy tests name it. */
export type WorkloadLookup = (
  id: string,
) => (Subject & { readonly managed: boolean; readonly address: Uint8Array }) | undefined;

/** The outcome of one test of a policy file. */
export interface TestResult {
  readonly name: string;
  readonly passed: boolean;
  /** Undefined when a workload that the test names does not exist. */
  readonly explanation: ConnectionExplanation | undefined;
  /** What was found and what was wanted, one sentence. */
  readonly message: string;
}

/** Runs the tests of a policy. A test that names a workload which does not exist fails. */
export function runTests(policy: Policy, lookup: WorkloadLookup, nowMs: number): TestResult[] {
  return policy.tests.map((test) => {
    const from = resolveTestEnd(test.from, lookup);
    const to = resolveTestEnd(test.to, lookup);
    const wanted = test.expectAllowed ? 'allowed' : 'blocked';
    if (typeof from === 'string' || typeof to === 'string') {
      const missing = typeof from === 'string' ? from : to;
      const message = `Cannot run test ${test.name}: found no workload ${missing}, wanted one`;
      return { name: test.name, passed: false, explanation: undefined, message };
    }
    const explanation = explainConnection(policy, from, to, { protocol: test.protocol, port: test.port }, nowMs);
    const found = explanation.allowed ? 'allowed' : 'blocked';
    const message = `test ${test.name}: found ${found} (${summarise(explanation)}), wanted ${wanted}`;
    return { name: test.name, passed: found === wanted, explanation, message };
  });
}

/** Both ends in a few words: `out by rule web-db, in by no rule`. */
export function summarise(explanation: ConnectionExplanation): string {
  const words = (end: EndExplanation | undefined, name: string) => {
    if (end === undefined) return [];
    if (end.decision.reason === Reason.REASON_ISOLATED) return [`${name} isolated`];
    return [
      end.deciding === undefined ? `${name} by no rule` : `${name} ${end.deciding.action} by rule ${end.deciding.id}`,
    ];
  };
  return (
    [...words(explanation.outbound, 'out'), ...words(explanation.inbound, 'in')].join(', ') || 'no agent at either end'
  );
}

/** A mode in one word. */
export function modeName(mode: Mode): 'visibility' | 'test' | 'enforce' {
  if (mode === Mode.MODE_ENFORCE) return 'enforce';
  return mode === Mode.MODE_TEST ? 'test' : 'visibility';
}

function resolveTestEnd(end: TestEndSpec, lookup: WorkloadLookup): ConnectionEnd | string {
  if ('labels' in end) return { workload: { id: '', labels: end.labels }, managed: true, address: NOWHERE };
  if ('address' in end) return { workload: undefined, managed: false, address: parseAddress(end.address) ?? NOWHERE };
  const found = lookup(end.workload);
  return found === undefined ? end.workload : { workload: found, managed: found.managed, address: found.address };
}

/** An end in words. */
export function formatEnd(end: ConnectionEnd): string {
  if (end.workload !== undefined && end.workload.id !== '') return end.workload.id;
  if (end.workload !== undefined)
    return (
      Object.entries(end.workload.labels)
        .map(([d, v]) => `${d}=${v}`)
        .join(' ') || 'no labels'
    );
  return end.address.length === 0 ? 'unknown' : formatAddress(end.address);
}
