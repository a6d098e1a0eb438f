// Names the ends of flow records by what is known at this moment: workload, labels, identity.
import { addressHex, parsePrefix, prefixCovers } from '@ringfence/proto/address.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { WorkloadRecord } from '../store/records.js';
import type { FlowEndInfo } from './block.js';
import { HostNames } from './host-names.js';

/** What the resolver asks about. */
export interface EndSource {
  workload(id: string): WorkloadRecord | undefined;
  /** Present workloads that an agent on this host may see under an address. */
  at(ipHex: string, hostId: string): readonly WorkloadRecord[];
  /** All workloads of a host, gone ones included. */
  ofHost(hostId: string): readonly WorkloadRecord[];
  identityOf(workloadId: string): number;
  workloadsOf(identity: number): readonly string[];
  /** Who an agent on this host saw under an address until lately. */
  lately?(ipHex: string, hostId: string): readonly { readonly workloadId: string; readonly identity: number }[];
  /** A number that moves on when anything that this tells may have changed. Without it nothing is remembered over batches. */
  version?(): number;
  /** Id of the workload that a host reaches under an address and port by a mapping. */
  serviceAt?(hostId: string, protocol: number, ipHex: string, port: number): string | undefined;
}

const SNAPSHOTS_MAX = 200_000;
/** Members of an identity that are compared for what they have in common. */
const MEMBERS_MAX = 64;

const LOOPBACK = ['127.0.0.0/8', '::1'].flatMap((text) => {
  const prefix = parsePrefix(text);
  return 'problem' in prefix ? [] : [prefix];
});
/** What shares the host's own loopback; a container has another one. */
const ON_HOST: ReadonlySet<number> = new Set([WorkloadKind.WORKLOAD_KIND_HOST, WorkloadKind.WORKLOAD_KIND_CGROUP]);

const NOBODY: FlowEndInfo = { workloadId: '', workloadName: '', hostId: '', labels: {}, identity: 0 };

export class EndResolver {
  readonly #source: EndSource;
  /** Newest snapshot per workload: records of one workload and version share one object. */
  readonly #snapshots = new Map<string, { readonly version: number; readonly info: FlowEndInfo }>();
  /** Workloads and identities that hosts speak of and nobody knows. */
  readonly #strangers = new HostNames();
  #asked = 0;

  constructor(source: EndSource) {
    this.#source = source;
  }

  /** Names that were given under one version are still right under it. */
  get version(): number {
    this.#asked += 1;
    return this.#source.version?.() ?? this.#asked;
  }

  /**
   * The reporting end. A workload that is no longer known keeps its id; of a host that names too many such, they are nameless, and so is
   * what is on another host: nobody reports in its name.
   */
  local(workloadId: string, hostId: string, identity: number): FlowEndInfo {
    const record = this.#source.workload(workloadId);
    if (record !== undefined) return record.hostId === hostId ? this.#snapshot(record) : { ...NOBODY, hostId };
    return this.#stranger(workloadId, hostId, identity);
  }

  /** A workload that the controller itself found, on a host or on none. `hostId`, `identity`: of one that is no longer known. */
  found(workloadId: string, hostId: string, identity: number): FlowEndInfo {
    const record = this.#source.workload(workloadId);
    return record === undefined ? this.#stranger(workloadId, hostId, identity) : this.#snapshot(record);
  }

  /**
   * The other end as seen from `hostId`: the one workload that has the address and the identity; of several (a host and its services
   * share one address) what they have in common; of none the only workload of the identity. Loopback is the reporting host itself,
   * with the services on it. `mapped`: a mapping named it. `ip` is mapped bytes.
   */
  remote(
    ip: Uint8Array,
    identity: number,
    hostId: string,
    mapped?: { readonly protocol: number; readonly port: number },
  ): FlowEndInfo {
    const behind = mapped && this.#source.serviceAt?.(hostId, mapped.protocol, addressHex(ip), mapped.port);
    const service = behind === undefined ? undefined : this.#source.workload(behind);
    if (service !== undefined && this.#source.identityOf(service.id) === identity) return this.#snapshot(service);
    const here = LOOPBACK.some((prefix) => prefixCovers(prefix, ip))
      ? this.#source.ofHost(hostId).filter(({ present, kind }) => present && ON_HOST.has(kind))
      : this.#source.at(addressHex(ip), hostId);
    const fitting = identity === 0 ? here : here.filter((record) => this.#source.identityOf(record.id) === identity);
    const [only] = fitting;
    if (only !== undefined && fitting.length === 1) return this.#snapshot(only);
    if (fitting.length > 1) return unnamed(identity, fitting);
    if (identity === 0) return NOBODY;
    const departed = this.#source.lately?.(addressHex(ip), hostId).find((each) => each.identity === identity);
    const gone = departed && this.#source.workload(departed.workloadId);
    if (gone !== undefined) return { ...this.#snapshot(gone), identity };
    const members = this.#source.workloadsOf(identity).slice(0, MEMBERS_MAX);
    const records = members.flatMap((id) => this.#source.workload(id) ?? []);
    const [member] = records;
    if (member === undefined && !this.#strangers.admits(hostId, ` ${identity}`)) return NOBODY;
    return member !== undefined && records.length === 1 ? this.#snapshot(member) : unnamed(identity, records);
  }

  #stranger(workloadId: string, hostId: string, identity: number): FlowEndInfo {
    if (!this.#strangers.admits(hostId, `${workloadId} ${identity}`)) return { ...NOBODY, hostId };
    return { workloadId, workloadName: '', hostId, labels: {}, identity };
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
}

/** An end that may be any of these: what they have in common is told, and no more. */
function unnamed(identity: number, records: readonly WorkloadRecord[]): FlowEndInfo {
  const [first, ...others] = records;
  const labels = Object.entries(first?.labels ?? {}).filter(([dimension, value]) =>
    others.every((record) => record.labels[dimension] === value),
  );
  const oneHost = first !== undefined && others.every((record) => record.hostId === first.hostId);
  return {
    workloadId: '',
    workloadName: '',
    hostId: oneHost ? first.hostId : '',
    labels: Object.fromEntries(labels),
    identity,
  };
}
