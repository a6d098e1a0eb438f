// The Status service.
import { type StatusServer, StitchStatus, type SystemStatus } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import type { Condition } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import type { Authority } from '../ca/authority.js';
import type { Followers } from '../flows/followers.js';
import type { FlowHistory } from '../flows/history.js';
import type { FlowIngest } from '../flows/ingest.js';
import type { FlowArchive } from '../flows/store/archive.js';
import { formatSelector } from '../policy/selector.js';
import type { Distributor } from '../session/distributor.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import type { PersistentNumbers } from '../store/numbers.js';
import type { StateStore } from '../store/state-store.js';
import { unary } from './errors.js';
import { type HostView, lossToWire } from './host-view.js';
import type { PolicyBook } from './policy-book.js';
import { spoken } from './policy-rollout.js';
import { rolloutToWire } from './rollout-view.js';
import type { WorkloadView } from './workload-view.js';

/** As operators know it: the reasons are the connector's own words. */
type ConnectorStanding = { readonly name: string; readonly problem: string; readonly notes: readonly string[] };

export interface StatusOptions {
  readonly version: string;
  readonly startedMs: number;
  readonly epoch: string;
  readonly authority: Authority;
  readonly store: StateStore;
  readonly identities: PersistentNumbers;
  readonly distributor: Distributor;
  readonly policy: PolicyBook;
  readonly hosts: HostRuntimes;
  readonly hostView: HostView;
  readonly workloadView: WorkloadView;
  readonly history: FlowHistory;
  readonly archive: FlowArchive;
  readonly followers: Followers;
  readonly ingest: FlowIngest;
  /** What became of the translations that hosts told. */
  readonly translations?: () => Readonly<Record<string, number | bigint>>;
  /** How each connector stands. */
  readonly connectors?: () => readonly ConnectorStanding[];
  readonly now: () => number;
  readonly log: Logger;
}

const CONDITIONS_MAX = 1000;
const RANK: Readonly<Record<string, number>> = { alarm: 0, warning: 1, info: 2 };

export function statusService(options: StatusOptions): StatusServer {
  return { get: unary(options.log, () => systemStatus(options)) };
}

export function systemStatus(options: StatusOptions): SystemStatus {
  const { store, policy, hostView, archive, followers, ingest, authority } = options;
  const hosts = [...store.table('host').values()];
  const connected = hosts.filter(({ id }) => options.hosts.get(id)?.session !== undefined);
  const workloads = countWorkloads(options);
  const kept = archive.status();
  return {
    controllerVersion: options.version,
    startedMs: BigInt(options.startedMs),
    epoch: options.epoch,
    policyVersion: policy.current.version,
    draftDiffers: policy.draftDiffers(),
    hosts: hosts.length,
    hostsConnected: connected.length,
    hostsCurrent: connected.filter(({ id }) => hostView.isCurrent(id)).length,
    workloads: workloads.present,
    workloadsUnmanaged: workloads.unmanaged,
    identities: [...options.identities.entries()].filter(([, n]) => options.distributor.workloadsOf(n).length > 0)
      .length,
    rules: policy.current.policy.rules.length,
    workloadsByModeIn: workloads.modesIn,
    workloadsByModeOut: workloads.modesOut,
    workloadsNotInForce: workloads.notInForce,
    flows: {
      loss: lossToWire(ingest.allLosses()),
      kept: BigInt(kept.kept),
      keptMax: BigInt(kept.keptMax),
      historyDropped: BigInt(kept.dropped),
      followers: followers.count,
      followerDropped: BigInt(followers.dropped),
      byVerdict: ingest.byVerdict.map(BigInt),
      byReason: ingest.byReason.map(BigInt),
      storeLost: BigInt(kept.lost),
      storeBytes: BigInt(kept.bytes),
      idLine: kept.line,
      stitching: stitchingToWire(ingest.stitching),
    },
    conditions: conditions(options, workloads.notInForce),
    store: storeStatus(store),
    caNotAfterMs: BigInt(authority.notAfterMs),
    caFingerprint: authority.fingerprint.toString('hex'),
    rollout: rolloutToWire(options),
  };
}

function stitchingToWire({ held, ...counters }: FlowIngest['stitching']): StitchStatus {
  const { records, stitched, duplicates, discarded, contested, overflowed } = counters;
  const [a, b, c, d, e, f] = [records, stitched, duplicates, discarded, contested, overflowed].map(BigInt);
  const wide = { records: a, stitched: b, duplicates: c, discarded: d, contested: e, overflowed: f };
  return StitchStatus.fromPartial({ ...wide, held });
}

function countWorkloads({ store, workloadView }: StatusOptions) {
  const counts = { present: 0, unmanaged: 0, notInForce: 0, modesIn: [0, 0, 0], modesOut: [0, 0, 0] };
  for (const record of store.table('workload').values()) {
    if (!record.present) continue;
    counts.present += 1;
    if (record.hostId === '') {
      counts.unmanaged += 1;
      continue;
    }
    const { inbound, outbound } = workloadView.expectedModes(record);
    counts.modesIn[inbound] = (counts.modesIn[inbound] ?? 0) + 1;
    counts.modesOut[outbound] = (counts.modesOut[outbound] ?? 0) + 1;
    if (workloadView.notInForce(record)) counts.notInForce += 1;
  }
  return counts;
}

function conditions(options: StatusOptions, notInForce: number): Condition[] {
  const { store, hostView, now, authority } = options;
  const all = [...store.table('host').values()].flatMap((record) => hostView.conditions(record));
  const own = (code: string, severity: string, title: string, text: string) =>
    all.push({ code, severity, title, text, sinceMs: BigInt(now()) });
  const health = store.health();
  if (!health.healthy) own('RF_STORE_IO', 'alarm', 'The store cannot be written', health.error);
  const flows = options.archive.status();
  if (flows.problem !== '') {
    const text = `${flows.lost} flow records are lost so far; live tails and policy go on. ${flows.problem}`;
    own('RF_FLOW_STORE', 'alarm', 'Flow records cannot be stored', text);
  }
  if (notInForce > 0) {
    const text =
      'Policy expects enforce, and nothing says that it is in force. `ringfence workload show` says why for each.';
    own('RF_NOT_IN_FORCE', 'alarm', `${notInForce} workloads are not enforced as expected`, text);
  }
  for (const { name, problem, notes } of options.connectors?.() ?? []) {
    if (problem !== '')
      own('RF_CONNECTOR', 'warning', `Connector ${name} does not work; what it found before stays`, problem);
    else if (notes.length > 0)
      own('RF_CONNECTOR_NOTES', 'info', `Connector ${name} found what cannot be used`, notes.join('; '));
  }
  tellRollout(options.policy, own);
  if (authority.notAfterMs - now() < 90 * 86_400_000) {
    own(
      'RF_CA_EXPIRES',
      'warning',
      'The certificate authority expires soon',
      'Every host must enrol again with a new one.',
    );
  }
  all.sort((a, b) => (RANK[a.severity] ?? 3) - (RANK[b.severity] ?? 3) || (a.title < b.title ? -1 : 1));
  return all.slice(0, CONDITIONS_MAX);
}

function tellRollout(policy: PolicyBook, own: (code: string, severity: string, title: string, text: string) => void) {
  const { rollout } = policy;
  if (rollout !== undefined) {
    const { version, base, windowMs, deadlineMs, canary } = rollout;
    const how = canary === undefined ? 'awaits confirmation' : `is in force on ${formatSelector(canary)} only`;
    const end =
      deadlineMs === 0
        ? '`ringfence policy promote` puts it in force everywhere'
        : `Version ${base} comes back at ${new Date(deadlineMs).toISOString()} (${spoken(windowMs)} in all) unless it is confirmed: \`ringfence policy confirm\``;
    own('RF_POLICY_OPEN', 'info', `Policy version ${version} ${how}`, `${end}.`);
    return;
  }
  const [newest] = policy.history(1, 0);
  const fate = newest && policy.fate(newest.number);
  if (newest === undefined || !fate?.returned) return;
  const text = `It was ${fate.why.replace(/\.$/, '')}; version ${fate.next} is in force. The draft still holds its content: \`ringfence policy diff\`.`;
  own('RF_POLICY_RETURNED', 'warning', `Policy version ${newest.number} is not in force any more`, text);
}

function storeStatus(store: StateStore): SystemStatus['store'] {
  const health = store.health();
  const status = store.driver().status();
  return { ...status, revision: BigInt(status.revision), bytes: BigInt(status.bytes), ...health };
}
