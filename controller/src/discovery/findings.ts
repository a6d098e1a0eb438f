// What a connector found, into the store: its spaces as content of the spaces file, its workloads as unmanaged ones of its source. The whole
// replaces the whole; nothing is written when nothing changed.

import { addressHex, parseAddress } from '@ringfence/proto/address.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import { declareSpaces } from '../topology/declare.js';
import { boundedMetadata } from './inventory.js';
import { connectorKey, putSpaces } from './space-book.js';

/** One space, in the shape of the spaces file (docs/nat.md). */
export interface FoundSpace {
  readonly name: string;
  readonly parent?: string;
  readonly hosts?: readonly string[];
  readonly networks?: readonly string[];
  readonly source?: readonly object[];
  readonly destination?: readonly object[];
}

/** A workload without an agent. */
export interface FoundPeer {
  /** Distinct in its source; the stored id is `<source>/<id>`. */
  readonly id: string;
  readonly name: string;
  readonly addresses: readonly { readonly address: string; readonly space: string }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Everything that a source knows. */
export interface Findings {
  readonly spaces: readonly FoundSpace[];
  readonly workloads: readonly FoundPeer[];
  /** What it knows and cannot say in these words, one sentence each. */
  readonly notes: readonly string[];
}

/** Unmanaged workloads of one connector. */
export const PEERS_MAX = 50_000;

/** Puts findings in force. Throws when its spaces are refused: what was in force stays. */
export async function publish(
  store: StateStore,
  name: string,
  findings: Findings,
  permits: (dimension: string, value: string) => boolean,
  nowMs: number,
): Promise<{ readonly counts: { readonly spaces: number; readonly workloads: number }; readonly notes: string[] }> {
  const content = JSON.stringify({ spaces: findings.spaces });
  const { problems } = declareSpaces(name, content);
  const [problem] = problems;
  if (problem !== undefined)
    throw new Error(`Cannot use what connector ${name} found: ${problem.code} ${problem.message}`);
  const notes = [...findings.notes];
  if (findings.workloads.length > PEERS_MAX)
    notes.push(`Cannot take all workloads: found ${findings.workloads.length}, wanted at most ${PEERS_MAX}`);
  const peers = findings.workloads.slice(0, PEERS_MAX);
  await store.update((tx) => {
    const key = connectorKey(name);
    if (findings.spaces.length === 0) {
      if (tx.get('spaces', key) !== undefined) tx.delete('spaces', key);
    } else putSpaces(tx, key, content, nowMs);
    putPeers(tx, `connector:${name}`, peers, permits, notes, nowMs);
  });
  return { counts: { spaces: findings.spaces.length, workloads: peers.length }, notes };
}

function putPeers(
  tx: StateTransaction,
  source: string,
  peers: readonly FoundPeer[],
  permits: (dimension: string, value: string) => boolean,
  notes: string[],
  nowMs: number,
): void {
  const gone = new Set<string>();
  for (const [id, record] of tx.entries('workload')) if (record.hostId === '' && record.source === source) gone.add(id);
  for (const peer of peers) {
    const id = `${source.slice('connector:'.length)}/${peer.id}`;
    const before = tx.get('workload', id);
    if (before !== undefined && before.source !== source) {
      notes.push(`Cannot take workload ${id}: found one of source ${before.source}, wanted a free id`);
      continue;
    }
    gone.delete(id);
    const labels = Object.entries(peer.labels).filter(([dimension, value]) => {
      const fine = permits(dimension, value);
      if (!fine) notes.push(`Cannot label workload ${id} ${dimension}=${value}: found no such dimension or value`);
      return fine;
    });
    const record = recordOf(
      id,
      source,
      peer,
      Object.fromEntries(labels.sort(([a], [b]) => (a < b ? -1 : 1))),
      before,
      nowMs,
    );
    if (JSON.stringify(record) !== JSON.stringify(before)) tx.set('workload', id, record);
  }
  for (const id of gone) tx.delete('workload', id);
}

function recordOf(
  id: string,
  source: string,
  peer: FoundPeer,
  labels: Record<string, string>,
  before: WorkloadRecord | undefined,
  nowMs: number,
): WorkloadRecord {
  const addresses = peer.addresses.flatMap(({ address, space }) => {
    const parsed = parseAddress(address);
    return parsed === undefined ? [] : [{ ip: addressHex(parsed), space }];
  });
  const { name } = peer;
  const metadata = boundedMetadata(peer.metadata);
  const same =
    before !== undefined &&
    before.name === name &&
    JSON.stringify([before.addresses, before.labels, before.metadata]) ===
      JSON.stringify([addresses, labels, metadata]);
  if (same) return before;
  return {
    id,
    name,
    kind: WorkloadKind.WORKLOAD_KIND_UNMANAGED,
    hostId: '',
    localId: '',
    source,
    image: '',
    addresses,
    published: [],
    cgroupPath: '',
    labels,
    sticky: false,
    metadata,
    present: true,
    goneMs: 0,
    createdMs: before?.createdMs ?? nowMs,
    version: (before?.version ?? 0) + 1,
  };
}
