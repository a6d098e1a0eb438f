// A host as the API shows it: what is stored, how its stream stands, and what its flow path lost.
import { addressFromHex, wireAddress } from '@ringfence/proto/address.js';
import type { Host, HostLoss } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import type { Condition } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { FlowIngest } from '../flows/ingest.js';
import type { HostLosses } from '../flows/losses.js';
import { unpairedOf, unpairedToWire } from '../keys/unpaired.js';
import type { Distributor } from '../session/distributor.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import type { HostRecord } from '../store/records.js';
import type { WorkloadIndex } from '../store/workload-index.js';

export interface HostViewOptions {
  readonly hosts: HostRuntimes;
  readonly index: WorkloadIndex;
  readonly ingest: FlowIngest;
  readonly distributor: Distributor;
  readonly now: () => number;
}

export class HostView {
  readonly #options: HostViewOptions;

  constructor(options: HostViewOptions) {
    this.#options = options;
  }

  toWire(record: HostRecord): Host {
    const { hosts, index, ingest, distributor } = this.#options;
    const runtime = hosts.get(record.id);
    const newest = record.certificates.at(-1);
    const losses = ingest.losses(record.id);
    const unpaired = unpairedOf(record);
    return {
      id: record.id,
      name: record.name,
      facts: {
        ...record.facts,
        hostname: record.name,
        addresses: record.facts.addresses.map(({ ip, space }) => ({
          ip: Buffer.from(wireAddress(addressFromHex(ip))),
          space,
        })),
      },
      connected: runtime?.session !== undefined,
      lastSeenMs: BigInt(runtime?.lastSeenMs ?? 0),
      enrolledMs: BigInt(record.enrolledMs),
      revisionWanted: BigInt(distributor.stateOf(record.id)?.revision ?? 0),
      revisionAcked: BigInt(runtime?.ackedRevision ?? 0),
      policyVersion: runtime?.ackedPolicyVersion ?? 0,
      nack: runtime?.refusal,
      conditions: this.conditions(record),
      tables: [...(runtime?.tables ?? [])],
      workloads: index.ofHost(record.id).filter(({ present }) => present).length,
      certificateSerial: newest?.serial ?? '',
      certificateNotAfterMs: BigInt(newest?.notAfterMs ?? 0),
      revoked: isRevoked(record),
      loss: losses === undefined ? undefined : lossToWire([losses]),
      peerAddress: runtime?.peerAddress ?? '',
      policyVersionWanted: distributor.versionOf(record.id),
      logins: record.logins && {
        source: record.logins.source,
        users: record.logins.users.map(({ user, uid, groups }) => ({ user, uid, groups: [...groups] })),
      },
      unpaired: unpairedToWire(unpaired.treatment),
      unpairedBy: unpaired.by,
    };
  }

  /** The agent's own conditions and the controller's about the host. */
  conditions(record: HostRecord): Condition[] {
    const runtime = this.#options.hosts.get(record.id);
    const conditions = [...(runtime?.own.values() ?? []), ...(runtime?.conditions ?? [])];
    const { refusal } = runtime ?? {};
    if (refusal !== undefined) {
      const table = refusal.table === '' ? '' : ` (table ${refusal.table})`;
      conditions.push({
        code: 'RF_STREAM_NACK',
        severity: 'alarm',
        title: `${record.id} refused revision ${refusal.revision}`,
        text: `${refusal.code}: ${refusal.message}${table}. Its last good state stays in force.`,
        sinceMs: BigInt(runtime?.lastSeenMs ?? 0),
      });
    }
    const denied = this.#options.index
      .ofHost(record.id)
      .filter(({ present, pairing }) => present && pairing?.state === 'denied');
    if (denied.length > 0) {
      const named = denied.slice(0, 5).map(({ name, pairing }) => `${name}: ${pairing?.denial}`);
      const more = denied.length > 5 ? `; and ${denied.length - 5} more` : '';
      conditions.push({
        code: 'RF_PAIRING_DENIED',
        severity: 'warning',
        title: `${denied.length} workloads of ${record.id} were denied`,
        text: `${named.join('; ')}${more}. They are cut off but for the failsafes; see \`ringfence pairing list --denied\`.`,
        sinceMs: BigInt(Math.min(...denied.map(({ pairing }) => pairing?.decidedMs ?? 0))),
      });
    }
    if (runtime?.session === undefined && !isRevoked(record)) {
      conditions.push({
        code: 'RF_HOST_OFFLINE',
        severity: 'warning',
        title: `${record.id} is not connected`,
        text: 'Its kernel goes on with its last good state; changes reach it when its agent is back.',
        sinceMs: BigInt(runtime?.lastSeenMs ?? record.enrolledMs),
      });
    }
    return conditions;
  }

  /** True when the host is connected and holds the newest revision made for it. */
  isCurrent(hostId: string): boolean {
    return this.#options.hosts.get(hostId)?.session?.isCurrent() === true;
  }
}

/** True when no certificate of the host is good any more by revocation. */
export function isRevoked(record: HostRecord): boolean {
  return record.certificates.every(({ revokedMs }) => revokedMs !== 0);
}

/** Sum over hosts. */
export function lossToWire(all: readonly HostLosses[]): HostLoss {
  const sum = (name: keyof HostLosses) => all.reduce((total, losses) => total + losses[name], 0n);
  return {
    eventsProduced: sum('eventsProduced'),
    ringDropped: sum('ringDropped'),
    deniesProduced: sum('deniesProduced'),
    deniesRingDropped: sum('deniesRingDropped'),
    agentDropped: sum('agentDropped'),
    spoolDropped: sum('spoolDropped'),
    recordsSent: sum('recordsSent'),
    recordsReceived: sum('recordsReceived'),
    recordsDuplicate: sum('recordsDuplicate'),
    recordsRefused: sum('recordsRefused'),
  };
}
