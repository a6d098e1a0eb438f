// A workload as the API shows it: what is stored, what policy expects, and what its agent says.
import { addressFromHex, wireAddress } from '@ringfence/proto/address.js';
import type { Workload, WorkloadFilter } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { Direction, Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Isolation } from '../keys/isolation.js';
import type { RetrySchedule } from '../pairing/retry.js';
import { effectiveMode } from '../policy/evaluate.js';
import type { Policy } from '../policy/model.js';
import { startingModeOf } from '../session/compiler-feed.js';
import type { Distributor } from '../session/distributor.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import { addressToWire, labelsToWire } from './convert.js';
import { invalid } from './errors.js';
import { groupsOf, listsOf } from './memberships.js';
import { pairingInfo } from './pairing-wire.js';
import type { PolicyBook } from './policy-book.js';
import { labelPredicate } from './selector.js';

export interface WorkloadViewOptions {
  readonly policy: PolicyBook;
  readonly distributor: Distributor;
  readonly hosts: HostRuntimes;
  readonly isolation: Pick<Isolation, 'of'>;
  readonly store: Pick<StateStore, 'get'>;
  readonly retries: Pick<RetrySchedule, 'atMs'>;
}

export class WorkloadView {
  readonly #options: WorkloadViewOptions;

  constructor(options: WorkloadViewOptions) {
    this.#options = options;
  }

  toWire(record: WorkloadRecord): Workload {
    const { policy, distributor, hosts, isolation, store, retries } = this.#options;
    const inbound = modeOf(policy.policyFor(record).policy, record, Direction.DIRECTION_INBOUND);
    const outbound = modeOf(policy.policyFor(record).policy, record, Direction.DIRECTION_OUTBOUND);
    const host = hosts.get(record.hostId);
    const reported = host?.workloads.get(record.localId);
    const managed = record.hostId !== '';
    return {
      id: record.id,
      name: record.name,
      kind: record.kind,
      hostId: record.hostId,
      source: record.source,
      image: record.image,
      addresses: record.addresses.map(addressToWire),
      published: record.published.map(({ protocol, hostAddress, hostPort, port }) => ({
        protocol,
        hostPort,
        port,
        hostAddress:
          hostAddress === '' ? undefined : { ip: Buffer.from(wireAddress(addressFromHex(hostAddress))), space: '' },
      })),
      labels: labelsToWire(record.labels),
      identity: distributor.identityOf(record.id),
      expectedMode: managed ? { inbound: inbound.mode, outbound: outbound.mode } : undefined,
      actualMode: reported === undefined ? undefined : { inbound: reported.modeIn, outbound: reported.modeOut },
      inForce: reported?.inForce ?? false,
      why: managed ? this.#why(record) : 'no agent at this end: rules are enforced at the other',
      present: record.present,
      version: BigInt(record.version),
      metadata: { ...record.metadata },
      attachments: reported?.attachments ?? [],
      modeWhy: managed ? `inbound: ${inbound.why}; outbound: ${outbound.why}` : '',
      createdMs: BigInt(record.createdMs),
      stickyLabels: record.sticky,
      memberships: this.#memberships(record),
      labelReasons: labelReasons(record),
      isolatedWhy: isolation.of(record)?.text ?? '',
      pairing: pairingInfo(record, store.get('pairing', record.id), retries.atMs(record.id)),
    };
  }

  /** Modes that policy expects of a workload. */
  expectedModes(record: WorkloadRecord): { readonly inbound: Mode; readonly outbound: Mode } {
    const { policy } = this.#options.policy.policyFor(record);
    return {
      inbound: modeOf(policy, record, Direction.DIRECTION_INBOUND).mode,
      outbound: modeOf(policy, record, Direction.DIRECTION_OUTBOUND).mode,
    };
  }

  /** Enforce is expected, and nothing says that it is in force. */
  notInForce(record: WorkloadRecord): boolean {
    if (record.hostId === '' || !record.present) return false;
    const { inbound, outbound } = this.expectedModes(record);
    if (inbound !== Mode.MODE_ENFORCE && outbound !== Mode.MODE_ENFORCE) return false;
    const reported = this.#options.hosts.get(record.hostId)?.workloads.get(record.localId);
    return !(reported?.inForce && reported.modeIn === inbound && reported.modeOut === outbound);
  }

  #why(record: WorkloadRecord): string {
    const host = this.#options.hosts.get(record.hostId);
    const reported = host?.workloads.get(record.localId);
    if (!record.present) return 'its agent no longer reports it';
    if (reported === undefined)
      return host?.session === undefined ? 'its agent is not connected' : 'its agent has not reported it yet';
    if (!reported.inForce) return reported.why;
    const { inbound, outbound } = this.expectedModes(record);
    if (reported.modeIn === inbound && reported.modeOut === outbound) return '';
    return `modes in force differ from those expected${host?.session === undefined ? ': its agent is not connected' : ''}`;
  }

  #memberships(record: WorkloadRecord): string[] {
    const { document, policy } = this.#options.policy.policyFor(record);
    return [
      ...groupsOf(document.labelGroups, record.labels).map(({ group }) => `group ${group.name}`),
      ...listsOf(policy, record).map(({ name }) => `ipList ${name}`),
    ];
  }
}

/** Whether a record passes a filter. Throws ApiError on a filter that is none. */
export function workloadPredicate(filter: WorkloadFilter | undefined): (record: WorkloadRecord) => boolean {
  const labels = labelPredicate(filter?.selector);
  const hosts = new Set(filter?.hosts ?? []);
  const kinds = new Set<number>(filter?.kinds ?? []);
  if (hosts.size > 1000 || kinds.size > 100)
    throw invalid('RF_FILTER', 'Cannot read filter: found too many hosts or kinds, wanted at most 1000');
  const text = (filter?.text ?? '').toLowerCase();
  return (record) =>
    (record.present || filter?.includeGone === true) &&
    (hosts.size === 0 || hosts.has(record.hostId)) &&
    (kinds.size === 0 || kinds.has(record.kind)) &&
    ((filter?.source ?? '') === '' || record.source === filter?.source) &&
    (text === '' || [record.id, record.name, record.image].some((field) => field.toLowerCase().includes(text))) &&
    labels(record.labels);
}

/** The mode that policy names, else the one that its pairing started it with, and why. */
function modeOf(policy: Policy, record: WorkloadRecord, direction: Direction): { mode: Mode; why: string } {
  const { mode, decidedBy } = effectiveMode(policy, record, direction);
  if (decidedBy !== undefined) return { mode, why: `mode ${decidedBy.id}` };
  const starting = startingModeOf(record);
  if (starting === undefined) return { mode, why: 'no mode names it, so visibility' };
  return { mode: starting, why: `no mode names it; profile ${record.pairing?.profileName} starts it so` };
}

function labelReasons(record: WorkloadRecord) {
  return Object.keys(record.labels)
    .sort()
    .map((dimension) => {
      const reason = record.labelReasons?.[dimension];
      const fallback = record.hostId === '' ? record.source : '';
      return {
        dimension,
        source: reason?.source ?? (record.hostId === '' ? 'operator' : 'unknown'),
        by: reason?.by ?? fallback,
        atMs: BigInt(reason?.atMs ?? 0),
        how: reason?.how ?? '',
        keyId: reason?.keyId ?? '',
        profile: reason?.profile ?? '',
        rule: reason?.rule ?? '',
        user: reason?.user ?? '',
        group: reason?.group ?? '',
      };
    });
}
