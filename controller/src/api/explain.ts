// Explain: one hypothetical connection, decided at both ends by the same function that defines the policy.
import { addressFromHex, formatAddress, isIpv4, parseAddress } from '@ringfence/proto/address.js';
import type {
  ConsideredRule,
  ExplainEnd,
  ExplainedDecision,
  ExplainedEnd,
  ExplainRequest,
  ExplainResponse,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Direction, Mode, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { effectiveMode, evaluate, listContains, type Mismatch, mismatch, type Tuple } from '../policy/evaluate.js';
import type { PolicyWorkload, Rule } from '../policy/model.js';
import { candidatesByTag } from '../policy/tagged.js';
import type { Distributor } from '../session/distributor.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import type { WorkloadRecord } from '../store/records.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { type KnownDimensions, labelsFromWire, labelsToWire, quote } from './convert.js';
import { invalid } from './errors.js';
import type { PolicyBook } from './policy-book.js';
import type { PolicyInForce } from './policy-versions.js';
import { notesOf, type ReadPolicy, ruleInfo } from './policy-words.js';
import { mappedAt, seenAs } from './seen-as.js';
import type { WorkloadView } from './workload-view.js';
import { findWorkload } from './workloads-service.js';

export interface ExplainOptions {
  readonly policy: PolicyBook;
  readonly index: WorkloadIndex;
  readonly view: WorkloadView;
  readonly distributor: Distributor;
  readonly hosts: HostRuntimes;
  readonly dimensions: () => KnownDimensions;
  readonly now: () => number;
  /** True when SYNs from one host to the other carry tags that are read. */
  readonly tagged: (fromHostId: string, toHostId: string) => boolean;
}

/** One end as found. */
interface End {
  /** Undefined: an address that nobody has. */
  readonly workload: PolicyWorkload | undefined;
  readonly record: WorkloadRecord | undefined;
  /** Mapped; undefined when the end has none. */
  readonly address: Uint8Array | undefined;
}

/** An address that is in no list: stands for an end without one. */
const NO_ADDRESS = new Uint8Array(16);
const RULES_SHOWN_MAX = 500;
const TCP = 6;

/** Throws ApiError on an end that cannot be found or a request that is none. */
export function explain(options: ExplainOptions, request: ExplainRequest): ExplainResponse {
  if (request.protocol > 255)
    throw invalid('RF_EXPLAIN', `Cannot explain: found protocol ${request.protocol}, wanted 0 to 255`);
  if (request.port > 65_535)
    throw invalid('RF_EXPLAIN', `Cannot explain: found port ${request.port}, wanted 0 to 65535`);
  const draft = request.draft ? readDraft(options.policy) : undefined;
  const notes: string[] = [];
  const named = endOf(options, request.destination, 'destination');
  const source = pickAddress(endOf(options, request.source, 'source'), named.address);
  const { target, port } = translated(options, source, named, request, notes);
  const destination = pickAddress(target, source.address);
  for (const [name, end] of [
    ['source', source],
    ['destination', destination],
  ] as const) {
    if (end.address === undefined)
      notes.push(`The ${name} has no address: rules by IP list are not considered for it.`);
  }
  const decide = (own: End, other: End, direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND) =>
    decisionAt(options, draft ?? policyAt(options.policy, own), own, other, { ...request, port }, direction, notes);
  const outbound = decide(source, destination, Direction.DIRECTION_OUTBOUND);
  const inbound = decide(destination, source, Direction.DIRECTION_INBOUND);
  if (outbound === undefined && inbound === undefined) {
    notes.push('Neither end has an agent, so no policy is enforced on this connection.');
  }
  const versions = [outbound, inbound].flatMap((decision) => decision?.policyVersion ?? []);
  const [first, second] = versions;
  if (first !== undefined && second !== undefined && first !== second) {
    notes.push(
      `A canary is under way: the source is decided by version ${first}, the destination by version ${second}; both must allow it.`,
    );
  }
  const verdicts = [outbound, inbound].flatMap((decision) => (decision === undefined ? [] : [decision.verdict]));
  return {
    verdict: worst(verdicts),
    source: explainedEnd(options, draft ?? policyAt(options.policy, source), source),
    destination: explainedEnd(options, draft ?? policyAt(options.policy, destination), destination),
    outbound,
    inbound,
    policyVersion: request.draft
      ? 0
      : Math.max(...(versions.length === 0 ? [options.policy.current.version] : versions)),
    notes,
  };
}

/** What decides at an end; an end that decides nothing is shown under the version in force. */
function policyAt(book: PolicyBook, end: End): PolicyInForce {
  return end.workload === undefined ? book.current : book.policyFor(end.workload);
}

function readDraft(book: PolicyBook): ReadPolicy {
  const { read, problems } = book.read(book.draftFiles());
  if (read !== undefined) return read;
  throw invalid(
    'RF_POLICY_DRAFT',
    `Cannot explain by the draft: ${problems.find((p) => !p.warning)?.message ?? 'it cannot be read'}`,
  );
}

function endOf(options: ExplainOptions, end: ExplainEnd | undefined, name: string): End {
  switch (end?.end?.$case) {
    case 'workload': {
      const record = findWorkload(options.index, end.end.value);
      return { workload: record, record, address: undefined };
    }
    case 'address': {
      const address = parseAddress(end.end.value);
      if (address === undefined)
        throw invalid(
          'RF_ADDRESS',
          `Cannot explain: found ${quote(end.end.value)} as ${name}, wanted an IPv4 or IPv6 address`,
        );
      const [record, ...others] = options.distributor.topology
        .behind('', Buffer.from(address).toString('hex'))
        .map((id) => findWorkload(options.index, id));
      // Of several workloads on one address the host itself stands for them; candidates count them all.
      const chosen = others.length === 0 ? record : ([record, ...others].find((r) => r?.localId === 'host') ?? record);
      return { workload: chosen, record: chosen, address };
    }
    case 'labels': {
      const labels = labelsFromWire(end.end.value.labels, `the ${name}`, options.dimensions());
      return { workload: { id: '', labels }, record: undefined, address: undefined };
    }
    default:
      throw invalid('RF_EXPLAIN', `Cannot explain: found no ${name}, wanted a workload, an address or labels`);
  }
}

/** A workload's address: of the family that the other end has, its first one otherwise. */
function pickAddress(end: End, other: Uint8Array | undefined): End {
  if (end.address !== undefined || end.record === undefined) return end;
  const own = end.record.addresses.map(({ ip }) => addressFromHex(ip));
  const fitting = own.find((address) => (other === undefined ? isIpv4(address) : isIpv4(address) === isIpv4(other)));
  return { ...end, address: fitting ?? own[0] };
}

/** Those that the caller's tag leaves, where there is one. */
function byTag(
  { distributor, tagged }: ExplainOptions,
  candidates: readonly PolicyWorkload[],
  { record }: End,
  hostId: string,
  request: ExplainRequest,
  direction: Direction,
): readonly PolicyWorkload[] {
  const carries =
    direction === Direction.DIRECTION_INBOUND &&
    request.protocol === TCP &&
    record !== undefined &&
    record.hostId !== '';
  if (!carries || candidates.length < 2 || !tagged(record.hostId, hostId)) return candidates;
  const identity = distributor.identityOf(record.id);
  return candidatesByTag(candidates, ({ id }) => identity !== 0 && distributor.identityOf(id) === identity);
}

function decisionAt(
  options: ExplainOptions,
  read: ReadPolicy & { readonly version?: number },
  own: End,
  other: End,
  request: ExplainRequest,
  direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND,
  notes: string[],
): ExplainedDecision | undefined {
  const subject = own.workload;
  const hypothetical = subject !== undefined && own.record === undefined;
  if (subject === undefined || (own.record?.hostId ?? '') === '')
    if (!hypothetical || subject === undefined) return undefined;
  const hostId = own.record?.hostId ?? '';
  const { candidates: seen, remote } = candidatesOf(options, own, other, hostId, request, direction, notes);
  const candidates = byTag(options, seen, other, hostId, request, direction);
  if (candidates.length < seen.length) {
    notes.push(`${seen.length} workloads share the source address: the tag in the SYN says which of them calls.`);
  } else if (candidates.length > 1) {
    notes.push(
      `${candidates.length} workloads share the ${direction === Direction.DIRECTION_INBOUND ? 'source' : 'destination'} address: allowed when one of them is.`,
    );
  }
  const nowMs = options.now();
  const tuple: Tuple = { protocol: request.protocol, port: request.port, remote: remote ?? NO_ADDRESS };
  const decision = evaluate(read.policy, subject, candidates, tuple, direction, nowMs);
  // Labels without a workload ask what the rules say, not what a mode would let pass.
  const mode = hypothetical ? Mode.MODE_ENFORCE : decision.mode;
  const allowed =
    decision.rule !== 0 && read.policy.rules.find(({ number }) => number === decision.rule)?.action === 'allow';
  const enforced = allowed ? Verdict.VERDICT_ALLOWED : Verdict.VERDICT_BLOCKED;
  const texts = notesOf(read.document);
  const considered = read.policy.rules.map((rule): ConsideredRule => {
    const why = whyNot(read, rule, subject, candidates, tuple, direction, nowMs);
    return {
      rule: ruleInfo(rule, read.files, texts.get(rule.id) ?? ''),
      matched: why === undefined,
      why: rule.number === decision.rule ? 'decides' : (why ?? 'matches; another rule comes before it'),
    };
  });
  // In the order in which they are asked: those that match first, deny before allow; then those that do not.
  const rank = ({ matched, rule }: ConsideredRule) => (matched ? (rule?.allow ? 1 : 0) : 2);
  const relevant = considered
    .filter(({ matched, why }) => matched || !why.startsWith('not about'))
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, RULES_SHOWN_MAX);
  const host = options.hosts.get(hostId);
  return {
    verdict: mode === Mode.MODE_ENFORCE ? enforced : decision.verdict,
    reason: decision.reason,
    rule: decision.rule,
    ruleId: read.policy.rules.find(({ number }) => number === decision.rule)?.id ?? '',
    mode,
    enforcedVerdict: enforced,
    considered: relevant,
    hostId,
    hostPolicyVersion: host?.ackedPolicyVersion ?? 0,
    policyVersion: read.version ?? 0,
    hostRevision: BigInt(host?.ackedRevision ?? 0),
    hostRevisionWanted: BigInt(options.distributor.stateOf(hostId)?.revision ?? 0),
    hostConnected: host?.session !== undefined,
    modeId: hypothetical ? '' : (effectiveMode(read.policy, subject, direction).decidedBy?.id ?? ''),
  };
}

/** An address and port that are a mapping's mean the workload behind it and its own port. */
function translated(options: ExplainOptions, source: End, target: End, request: ExplainRequest, notes: string[]) {
  const same = { target, port: request.port };
  if (request.destination?.end?.$case !== 'address' || target.address === undefined) return same;
  const service = mappedAt(options.distributor.topology, source.record?.hostId ?? '', target.address, request);
  if (service === undefined) return same;
  const record = findWorkload(options.index, service.workloadId);
  notes.push(`${formatAddress(target.address)} port ${request.port} is port ${service.port} of ${record.name}.`);
  return { target: { workload: record, record, address: target.address }, port: service.port };
}

/** Who may be behind the other end's address, as the deciding host sees it, ascending by identity; and that address. */
function candidatesOf(
  options: ExplainOptions,
  own: End,
  other: End,
  hostId: string,
  request: ExplainRequest,
  direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND,
  notes: string[],
): { readonly candidates: PolicyWorkload[]; readonly remote: Uint8Array | undefined } {
  if (other.workload === undefined) return { candidates: [], remote: other.address };
  if (other.record === undefined || hostId === '') return { candidates: [other.workload], remote: other.address };
  const { topology } = options.distributor;
  const seen = seenAs(topology, hostId, other.record, other.address ?? own.address, request, direction);
  if (seen.note !== '' && !notes.includes(seen.note)) notes.push(seen.note);
  const records = seen.behind.map((id) => findWorkload(options.index, id));
  const identity = (record: WorkloadRecord) => options.distributor.identityOf(record.id);
  return { candidates: records.sort((a, b) => identity(a) - identity(b)), remote: seen.address ?? other.address };
}

const WORDS: Readonly<Record<NonNullable<Mismatch>, string>> = {
  disabled: 'switched off',
  expired: 'expired',
  direction: 'does not decide in this direction',
  service: 'another service',
  subject: 'not about this workload',
  peer: 'another peer',
  relation: 'the labels of both ends do not stand in the relation that it wants',
};

function whyNot(
  read: ReadPolicy,
  rule: Rule,
  subject: PolicyWorkload,
  candidates: readonly PolicyWorkload[],
  tuple: Tuple,
  direction: Direction,
  nowMs: number,
): string | undefined {
  const peers = candidates.length === 0 ? [undefined] : candidates;
  const reasons = peers.map((peer) => mismatch(read.policy, rule, subject, peer, tuple, direction, nowMs));
  const [first] = reasons;
  return reasons.includes(undefined) || first === undefined ? undefined : WORDS[first];
}

function explainedEnd(options: ExplainOptions, read: ReadPolicy, end: End): ExplainedEnd {
  const address = end.address;
  const lists = [...read.policy.ipLists.values()].filter(
    (list) => address !== undefined && listContains(list, address),
  );
  return {
    workload: end.record === undefined ? undefined : options.view.toWire(end.record),
    labels: labelsToWire(end.workload?.labels ?? {}),
    address: address === undefined ? '' : formatAddress(address),
    ipLists: lists.map(({ name }) => name),
  };
}

function worst(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes(Verdict.VERDICT_BLOCKED)) return Verdict.VERDICT_BLOCKED;
  return verdicts.includes(Verdict.VERDICT_WOULD_BLOCK) ? Verdict.VERDICT_WOULD_BLOCK : Verdict.VERDICT_ALLOWED;
}
