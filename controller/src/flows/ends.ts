// Names the ends of flow records by what is known at this moment: workload, labels, identity.
import { addressHex } from '@ringfence/proto/address.js';
import type { WorkloadRecord } from '../store/records.js';
import type { FlowEndInfo } from './block.js';

/** What the resolver asks about. */
export interface EndSource {
  workload(id: string): WorkloadRecord | undefined;
  /** Present workloads that an agent on this host may see under an address. */
  at(ipHex: string, hostId: string): readonly WorkloadRecord[];
  identityOf(workloadId: string): number;
  workloadsOf(identity: number): readonly string[];
}

const SNAPSHOTS_MAX = 200_000;

export class EndResolver {
  readonly #source: EndSource;
  /** Newest snapshot per workload: records of one workload and version share one object. */
  readonly #snapshots = new Map<string, { readonly version: number; readonly info: FlowEndInfo }>();
  readonly #anonymous = new Map<number, FlowEndInfo>();

  constructor(source: EndSource) {
    this.#source = source;
  }

  /** The reporting end. A workload that is no longer known keeps its id. */
  local(workloadId: string, hostId: string, identity: number): FlowEndInfo {
    const record = this.#source.workload(workloadId);
    if (record !== undefined) return this.#snapshot(record);
    return { workloadId, workloadName: '', hostId, labels: {}, identity };
  }

  /**
   * The other end as seen from `hostId`: the one workload that has the address and the identity, else the only one of the identity,
   * else the identity without a name. `ip` is mapped bytes.
   */
  remote(ip: Uint8Array, identity: number, hostId: string): FlowEndInfo {
    const here = this.#source.at(addressHex(ip), hostId);
    const fitting = identity === 0 ? here : here.filter((record) => this.#source.identityOf(record.id) === identity);
    const [only] = fitting;
    if (only !== undefined && fitting.length === 1) return this.#snapshot(only);
    if (fitting.length === 0 && identity !== 0) {
      const [id, ...others] = this.#source.workloadsOf(identity);
      const record = id === undefined || others.length > 0 ? undefined : this.#source.workload(id);
      if (record !== undefined) return this.#snapshot(record);
    }
    return this.#unnamed(identity);
  }

  #snapshot(record: WorkloadRecord): FlowEndInfo {
    const identity = this.#source.identityOf(record.id);
    const known = this.#snapshots.get(record.id);
    if (known !== undefined && known.version === record.version && known.info.identity === identity) return known.info;
    const { id, name, hostId, labels, version } = record;
    const info = { workloadId: id, workloadName: name, hostId, labels, identity };
    if (this.#snapshots.size >= SNAPSHOTS_MAX) this.#snapshots.clear();
    this.#snapshots.set(id, { version, info });
    return info;
  }

  #unnamed(identity: number): FlowEndInfo {
    let info = this.#anonymous.get(identity);
    if (info === undefined) {
      if (this.#anonymous.size >= SNAPSHOTS_MAX) this.#anonymous.clear();
      info = { workloadId: '', workloadName: '', hostId: '', labels: this.#commonLabels(identity), identity };
      if (identity === 0) this.#anonymous.set(identity, info);
    }
    return info;
  }

  /** Labels that all workloads of an identity share: what is known of an end that could be any of them. */
  #commonLabels(identity: number): Record<string, string> {
    const ids = identity === 0 ? [] : this.#source.workloadsOf(identity).slice(0, 64);
    let common: [string, string][] | undefined;
    for (const id of ids) {
      const labels = this.#source.workload(id)?.labels ?? {};
      common = (common ?? Object.entries(labels)).filter(([dimension, value]) => labels[dimension] === value);
    }
    return Object.fromEntries(common ?? []);
  }
}
