// What helps to judge a policy before it is in force: diff, lint, replay of recorded connections, import. The cores are pure
// (policy/); here they are given what this controller knows, and kept from holding its event loop for long.
import { setImmediate as turn } from 'node:timers/promises';
import type {
  DiffPolicyResponse,
  ImportPolicyResponse,
  LintPolicyRequest,
  LintPolicyResponse,
  PolicyFile,
  SimulatePolicyRequest,
  SimulatePolicyResponse,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { knownConnections, ruleHits } from '../flows/connections.js';
import type { FlowArchive } from '../flows/store/archive.js';
import { serialisePolicy } from '../policy/canonical.js';
import { diffDocuments, diffReach } from '../policy/diff.js';
import { readManifests } from '../policy/import/manifests.js';
import { importNetworkPolicies } from '../policy/import/networkpolicy.js';
import { type Finding, lintSteps } from '../policy/lint.js';
import type { Policy, PolicyWorkload } from '../policy/model.js';
import { formatPortSet, isEmptySet } from '../policy/port-set.js';
import { type SimulatedGroup, simulate } from '../policy/simulate.js';
import type { StateStore } from '../store/state-store.js';
import { invalid } from './errors.js';
import { mentionedDimensions } from './labels-service.js';
import type { ReadPolicy } from './policy-words.js';
import { ruleInfos } from './policy-words.js';

export interface PolicyToolsOptions {
  readonly store: StateStore;
  readonly archive: FlowArchive;
  readonly now: () => number;
}

/** Comparisons of a pair with a rule that one diff may make: a second or two. */
const REACH_WORK_MAX = 1_500_000;
const PAIRS_MAX = 20_000;
/** Every rule is compared with every other. */
const LINT_RULES_MAX = 3000;
/** The event loop is held no longer than about this. */
const TURN_MS = 20;
const CONNECTIONS_MAX = 50_000;
/** Connections that are replayed between two turns of the event loop. */
const CHUNK = 200;
const GROUPS_MAX = 10_000;
const IMPORT_BYTES_MAX = 16_000_000;

/** Objects and reach that differ. Both policies must be readable. */
export function diffMeaning(
  { store, now }: PolicyToolsOptions,
  before: ReadPolicy,
  after: ReadPolicy,
): Pick<DiffPolicyResponse, 'objects' | 'reach' | 'pairs' | 'truncated'> {
  const rules = before.policy.rules.length + after.policy.rules.length + 1;
  const pairsMax = Math.max(100, Math.min(PAIRS_MAX, Math.floor(REACH_WORK_MAX / rules)));
  const { changes, pairs, truncated } = diffReach(before.policy, after.policy, workloadsOf(store), now(), pairsMax);
  return {
    objects: diffDocuments(before.document, after.document).map((change) => ({
      ...change,
      fields: change.fields.map(({ field, before: was, after: is }) => ({ field, before: was ?? '', after: is ?? '' })),
    })),
    reach: changes.map(({ from, to, gained, lost }) => ({
      from: labelText(from),
      to: labelText(to),
      fromWorkloads: from.members.length,
      toWorkloads: to.members.length,
      gained: isEmptySet(gained) ? '' : formatPortSet(gained),
      lost: isEmptySet(lost) ? '' : formatPortSet(lost),
    })),
    pairs,
    truncated,
  };
}

/** Throws ApiError RF_POLICY_SIZE on a policy whose rules cannot be compared with each other in reasonable time. In turns, as replay. */
export async function lintPolicy(
  { store, archive, now }: PolicyToolsOptions,
  read: ReadPolicy,
  inForce: Policy,
  request: LintPolicyRequest,
): Promise<LintPolicyResponse> {
  if (read.policy.rules.length > LINT_RULES_MAX) {
    throw invalid(
      'RF_POLICY_SIZE',
      `Cannot lint: found ${read.policy.rules.length} rules, wanted at most ${LINT_RULES_MAX}`,
    );
  }
  const sinceMs = Number(request.sinceMs);
  const { hits, records, knownSinceMs } = await ruleHits(archive, sinceMs);
  const facts = { workloads: workloadsOf(store), nowMs: now(), ...(records === 0 ? {} : { hits }) };
  const places = new Map(ruleInfos(read).map((rule) => [rule.id, rule]));
  const known = new Set(inForce.rules.map(({ id }) => id));
  const notes = historyNotes(archive, sinceMs, knownSinceMs);
  if (records === 0) notes.push('No connection is recorded in that time: nothing is said about unused rules.');
  const found: Finding[] = [];
  let turnMs = performance.now();
  for (const step of lintSteps(read.policy, facts)) {
    found.push(...step);
    if (performance.now() - turnMs < TURN_MS) continue;
    await turn();
    turnMs = performance.now();
  }
  // A rule that never was in force cannot have been met.
  const findings = found.filter(({ kind, rule }) => kind !== 'unused' || known.has(rule));
  if (findings.length < found.length) {
    notes.push(`${found.length - findings.length} rules are not in force yet: nothing is said about their use.`);
  }
  return {
    findings: findings.map((finding) => {
      const place = places.get(finding.rule);
      return { ...finding, file: place?.file ?? '', line: place?.line ?? 0 };
    }),
    rules: read.policy.rules.length,
    connections: BigInt(records),
    knownSinceMs: BigInt(knownSinceMs),
    notes,
  };
}

/** Replays what the history holds, in turns with everything else that the controller does. */
export async function simulatePolicy(
  { archive, now }: PolicyToolsOptions,
  before: ReadPolicy,
  after: ReadPolicy,
  request: SimulatePolicyRequest,
): Promise<SimulatePolicyResponse> {
  const sinceMs = Number(request.sinceMs);
  const { connections, knownSinceMs, truncated, undecided } = await knownConnections(archive, sinceMs, CONNECTIONS_MAX);
  const mentioned = [before, after].flatMap(({ policy }) => [...mentionedDimensions(policy)]);
  const dimensions = request.dimensions.length > 0 ? request.dimensions : [...new Set(mentioned)].sort();
  const options = { dimensions, enforced: request.asEnforced, nowMs: now() };
  const groups = new Map<string, SimulatedGroup>();
  for (let at = 0; at < connections.length; at += CHUNK) {
    if (at > 0) await turn();
    for (const group of simulate(before.policy, after.policy, connections.slice(at, at + CHUNK), options)) {
      const { connections: count, lastSeenMs, ...name } = group;
      const key = JSON.stringify(name);
      const same = groups.get(key);
      groups.set(key, {
        ...name,
        connections: count + (same?.connections ?? 0),
        lastSeenMs: Math.max(lastSeenMs, same?.lastSeenMs ?? 0),
      });
    }
  }
  const rank = ['newly blocked', 'newly allowed', 'unchanged'];
  const sorted = [...groups.values()].sort(
    (a, b) =>
      rank.indexOf(a.outcome) - rank.indexOf(b.outcome) ||
      b.connections - a.connections ||
      (a.from + a.to < b.from + b.to ? -1 : 1),
  );
  const total = (outcome?: string) =>
    BigInt(sorted.reduce((sum, g) => sum + (outcome === undefined || g.outcome === outcome ? g.connections : 0), 0));
  const notes = historyNotes(archive, sinceMs, knownSinceMs);
  if (truncated)
    notes.push(`More is recorded than is read at once: ${connections.length} distinct connections were replayed.`);
  if (undecided > 0)
    notes.push(`${undecided} records are of traffic that policy is not asked about (failsafe, loopback).`);
  if (sorted.length > GROUPS_MAX) notes.push(`${sorted.length - GROUPS_MAX} groups more are left out.`);
  if (!request.asEnforced && connections.length > 0 && after.policy.modes.length === 0) {
    notes.push('No mode enforces anything, so nothing is blocked: ask again as if everything were enforced.');
  }
  return {
    groups: sorted.slice(0, GROUPS_MAX).map((group) => ({
      ...group,
      connections: BigInt(group.connections),
      lastSeenMs: BigInt(group.lastSeenMs),
    })),
    connections: total(),
    newlyBlocked: total('newly blocked'),
    newlyAllowed: total('newly allowed'),
    unchanged: total('unchanged'),
    knownSinceMs: BigInt(knownSinceMs),
    notes,
  };
}

/** Kubernetes NetworkPolicy in our YAML. Throws ApiError RF_POLICY_FILES. */
export function importPolicies(files: readonly PolicyFile[]): ImportPolicyResponse {
  const bytes = files.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  if (bytes > IMPORT_BYTES_MAX)
    throw invalid('RF_POLICY_FILES', `Cannot import: found ${bytes} bytes, wanted at most ${IMPORT_BYTES_MAX}`);
  const manifests = readManifests(files.map(({ name, content }) => ({ name, text: content })));
  // Without any workload in the files nothing is known about named ports, which is not the same as "nobody has one".
  const pods = manifests.workloads.flatMap(({ pods: owned }) => owned);
  const { document, refused } = importNetworkPolicies(manifests.policies, pods.length === 0 ? undefined : pods);
  const imported = manifests.policies.length - refused.length;
  return {
    content: imported === 0 ? '' : serialisePolicy(document),
    imported,
    refused: [...refused],
    problems: [...manifests.problems],
  };
}

function workloadsOf(store: StateStore): PolicyWorkload[] {
  return [...store.table('workload').values()].filter(({ present }) => present);
}

function historyNotes(archive: FlowArchive, sinceMs: number, knownSinceMs: number): string[] {
  const { dropped } = archive.status();
  if (knownSinceMs === 0) return ['No connection is recorded in that time.'];
  if (sinceMs > 0 && sinceMs >= knownSinceMs) return [];
  const lost = dropped > 0 ? `, ${dropped} older records were dropped` : '';
  return [`Connections are known since ${new Date(knownSinceMs).toISOString()} only${lost}.`];
}

function labelText({ id, labels }: PolicyWorkload): string {
  const words = Object.entries(labels).map(([dimension, value]) => `${dimension}=${value}`);
  if (id !== '') words.unshift(id);
  return words.join(' ') || 'workloads without these labels';
}
