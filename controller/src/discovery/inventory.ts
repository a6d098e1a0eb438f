// What agents report of their hosts, taken into the store. A workload is the same for as long as its agent calls it the same
// (a container: its runtime's id, so a restart keeps labels and a container made anew does not). Sticky labels are the exception:
// they also go to a later workload of the same host, kind and name.
import { addressHex, mappedAddress } from '@ringfence/proto/address.js';
import type { Inventory, LocalWorkload } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateTransaction } from '../store/state-store.js';

/** Workloads of one host. */
export const WORKLOADS_PER_HOST_MAX = 4096;
const ADDRESSES_MAX = 64;
const PUBLISHED_MAX = 256;
const METADATA_MAX = 64;
const NAME_MAX = 255;
const METADATA_VALUE_MAX = 1024;
/** Labelled workloads of one host that are remembered after they have gone. */
const GONE_MAX = 1000;

/** Decides on the pairing key that a workload presents (empty: none) and gives the record with the outcome. */
export type PairStep = (tx: StateTransaction, record: WorkloadRecord, pairingKey: string) => WorkloadRecord;

/** What could not be taken, one sentence each. */
export interface InventoryOutcome {
  readonly problems: readonly string[];
}

/**
 * Takes an inventory of `hostId` into the store. `own` are the host's workloads as stored, gone ones included. What is invalid is left
 * out and named; the rest counts.
 */
export function takeInventory(
  tx: StateTransaction,
  hostId: string,
  own: readonly WorkloadRecord[],
  inventory: Inventory,
  nowMs: number,
  pair: PairStep = (_tx, record) => record,
): InventoryOutcome {
  const problems: string[] = [];
  const known = new Map(own.map((record) => [record.localId, record]));
  let present = inventory.full ? 0 : own.filter((record) => record.present).length;
  const reported = new Set<string>();
  for (const local of inventory.workloads) {
    const problem = localProblem(local);
    if (problem !== undefined) {
      problems.push(`Cannot take workload ${JSON.stringify(local.localId.slice(0, 80))}: found ${problem}`);
      continue;
    }
    const before = known.get(local.localId);
    const isNew = inventory.full ? !reported.has(local.localId) : before?.present !== true;
    if (isNew && present >= WORKLOADS_PER_HOST_MAX) {
      problems.push(
        `Cannot take workload ${local.localId}: found ${present} on this host already, wanted at most ${WORKLOADS_PER_HOST_MAX}`,
      );
      continue;
    }
    if (isNew) present += 1;
    reported.add(local.localId);
    const record = pair(tx, recordOf(tx, hostId, local, before, nowMs), local.pairingKey);
    known.set(local.localId, record);
    tx.set('workload', record.id, record);
  }
  const removed = inventory.full
    ? own.filter((record) => !reported.has(record.localId)).map((record) => record.localId)
    : inventory.removed;
  for (const localId of removed) {
    const record = known.get(localId);
    if (record === undefined || !record.present) continue;
    const gone = { ...record, present: false, goneMs: nowMs };
    known.set(localId, gone);
    // Without labels or pairing of its own there is nothing to keep for its return.
    if (Object.keys(record.labels).length === 0 && record.pairing?.state !== 'paired') forget(tx, record.id);
    else tx.set('workload', record.id, gone);
  }
  forgetOldest(tx, [...known.values()]);
  return { problems };
}

/** Drops the host's workloads, present or not, and how it translates them. */
export function dropInventory(tx: StateTransaction, own: readonly WorkloadRecord[]): void {
  for (const record of own) forget(tx, record.id);
  for (const hostId of new Set(own.map((record) => record.hostId))) tx.delete('translation', hostId);
}

function forget(tx: StateTransaction, id: string): void {
  tx.delete('workload', id);
  tx.delete('pairing', id);
}

/** Key of labels kept for a later workload of the same name. */
export function stickyKey(record: { readonly hostId: string; readonly kind: number; readonly name: string }): string {
  return `${record.hostId}|${record.kind}|${record.name}`;
}

function localProblem(local: LocalWorkload): string | undefined {
  if (local.localId === '' || local.localId.length > NAME_MAX)
    return `an id of ${local.localId.length} characters, wanted 1 to ${NAME_MAX}`;
  const kinds = [
    WorkloadKind.WORKLOAD_KIND_HOST,
    WorkloadKind.WORKLOAD_KIND_CONTAINER,
    WorkloadKind.WORKLOAD_KIND_CGROUP,
  ];
  if (!kinds.includes(local.kind)) return `kind ${local.kind}, wanted host, container or cgroup`;
  if (local.addresses.length > ADDRESSES_MAX)
    return `${local.addresses.length} addresses, wanted at most ${ADDRESSES_MAX}`;
  if (local.published.length > PUBLISHED_MAX)
    return `${local.published.length} published ports, wanted at most ${PUBLISHED_MAX}`;
  const bad = local.addresses.find(({ ip }) => !isAddress(ip));
  if (bad !== undefined) return `an address of ${bad.ip.length} bytes, wanted 4 or 16`;
  return undefined;
}

function isAddress(ip: Uint8Array): boolean {
  return ip.length === 4 || ip.length === 16;
}

function recordOf(
  tx: StateTransaction,
  hostId: string,
  local: LocalWorkload,
  before: WorkloadRecord | undefined,
  nowMs: number,
): WorkloadRecord {
  const name = local.name.slice(0, NAME_MAX);
  const addresses = local.addresses.map(({ ip, space }) => ({
    ip: addressHex(mappedAddress(ip)),
    space: space.slice(0, NAME_MAX),
  }));
  const kept = before === undefined ? tx.get('sticky', stickyKey({ hostId, kind: local.kind, name })) : undefined;
  const changed =
    before === undefined || before.name !== name || JSON.stringify(before.addresses) !== JSON.stringify(addresses);
  return {
    id: `${hostId}/${local.localId}`,
    name,
    kind: local.kind,
    hostId,
    localId: local.localId,
    source: local.source.slice(0, NAME_MAX),
    image: local.image.slice(0, NAME_MAX),
    addresses,
    published: local.published.map(({ protocol, hostAddress, hostPort, port }) => ({
      protocol,
      hostAddress:
        hostAddress !== undefined && isAddress(hostAddress.ip) ? addressHex(mappedAddress(hostAddress.ip)) : '',
      hostPort,
      port,
    })),
    cgroupPath: local.cgroupPath.slice(0, 4096),
    labels: before?.labels ?? kept?.labels ?? {},
    sticky: before?.sticky ?? kept !== undefined,
    metadata: boundedMetadata(local.metadata),
    present: true,
    goneMs: 0,
    createdMs: before?.createdMs ?? nowMs,
    version: changed ? (before?.version ?? 0) + 1 : before.version,
    ...reasonsOf(before, kept?.labels, nowMs),
    ...(before?.pairing && { pairing: before.pairing }),
  };
}

/** Where its labels come from, as far as that is known. */
function reasonsOf(
  before: WorkloadRecord | undefined,
  kept: Readonly<Record<string, string>> | undefined,
  atMs: number,
): Pick<WorkloadRecord, 'labelReasons'> {
  if (before?.labelReasons !== undefined) return { labelReasons: before.labelReasons };
  if (before !== undefined || kept === undefined) return {};
  const reason = { source: 'sticky' as const, by: 'labels kept for this name', atMs };
  return { labelReasons: Object.fromEntries(Object.keys(kept).map((dimension) => [dimension, reason])) };
}

/** The first entries by key, values cut to their bound. */
export function boundedMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(metadata).filter(([key]) => key.length <= NAME_MAX);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(
    entries.slice(0, METADATA_MAX).map(([key, value]) => [key, value.slice(0, METADATA_VALUE_MAX)]),
  );
}

function forgetOldest(tx: StateTransaction, own: readonly WorkloadRecord[]): void {
  const gone = own.filter((record) => !record.present && tx.get('workload', record.id) !== undefined);
  if (gone.length <= GONE_MAX) return;
  gone.sort((a, b) => a.goneMs - b.goneMs);
  for (const record of gone.slice(0, gone.length - GONE_MAX)) forget(tx, record.id);
}
