// The kernel side of one agent: programs, maps and links pinned under <pinPath>/v<ABI>, brought to a desired state.
import type { BpfMap } from '@ringfence/native';
import type { DesiredState } from '../desired/desired.js';

export interface DatapathOptions {
  /** A directory on (or to become) a bpffs; everything lives in its v<ABI> subdirectory. One writer: the caller holds a lock. */
  readonly pinPath: string;
  /** cgroup v2 directory where the cgroup programs attach. */
  readonly cgroupRoot: string;
  /** Directory of the compiled objects; default bpf/build beside this package. */
  readonly objectDir?: string;
  /** Entries by map name; others keep the object's default. Only used when a map is made, not when it is adopted. */
  readonly mapSizes?: Readonly<Record<string, number>>;
  /** Bytes per CPU of the flow ring and of the deny ring. Only used when made. */
  readonly ringBytes?: number;
  readonly denyRingBytes?: number;
  /** auto: TCX where the kernel has it, else clsact. */
  readonly tcMode?: 'auto' | 'tcx' | 'clsact';
}

/** RF_MAP_FULL: a table cannot hold it, nothing was written. RF_APPLY: the kernel refused a write, what was written is undone. */
export type ApplyResult =
  | { readonly kind: 'ok' /** Entries written and deleted. */; readonly written: number; readonly deleted: number }
  | {
      readonly kind: 'refused';
      readonly code: 'RF_MAP_FULL' | 'RF_APPLY';
      /** The table, or '' when an attachment failed. */
      readonly table: string;
      readonly message: string;
      /** False: undoing failed too; the next apply starts from what the kernel really holds. */
      readonly restored: boolean;
    };

/** Fill of one kernel table. */
export interface TableFill {
  readonly table: string;
  readonly entries: number;
  readonly entriesMax: number;
}

/** How one local workload is really treated, read from the kernel. */
export interface EndpointStatus {
  readonly localId: string;
  readonly number: number;
  /** For example "tcx/ingress vethab12", "cgroup_skb/egress /sys/fs/cgroup". */
  readonly attachments: readonly string[];
  readonly modeIn: number;
  readonly modeOut: number;
  readonly isolated: boolean;
  /** Entry and every attachment are as desired. */
  readonly inForce: boolean;
  /** What is not, when not. */
  readonly why: string;
}

/** Per lane, summed over CPUs. produced = delivered + dropped. */
export interface LaneTotals {
  readonly produced: bigint;
  readonly delivered: bigint;
  readonly dropped: bigint;
}

export interface DatapathStatus {
  readonly endpoints: readonly EndpointStatus[];
  readonly tables: readonly TableFill[];
  readonly lanes: { readonly flows: LaneTotals; readonly denies: LaneTotals };
  /** Unexpected helper failures in the programs, by where; empty when all is well. */
  readonly helperErrors: Readonly<Record<string, bigint>>;
  /** Programs that someone else detached and verify() put back, since open. */
  readonly reattached: number;
}

/** Packets and bytes by reason and packet direction (1 in, 2 out), summed over CPUs. */
export interface ReasonCount {
  readonly reason: number;
  readonly direction: number;
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** One ring per CPU and lane, for the flow driver's RingConsumer: lanes[0] flows, lanes[1] denies. */
export type RingLanes = readonly [readonly BpfMap[], readonly BpfMap[]];

/** A 4-tuple of an endpoint, as events carry it. */
export interface SocketOf {
  /** rf_event.endpoint. */
  readonly endpoint: number;
  readonly protocol: number;
  readonly localAddress: Uint8Array;
  readonly localPort: number;
  readonly remoteAddress: Uint8Array;
  readonly remotePort: number;
}

/** What a sweep of conntrack did. */
export interface SweepResult {
  readonly seen: number;
  readonly revoked: number;
  readonly socketsDestroyed: number;
}

export interface DatapathFace {
  /** Brings the kernel to this state, or leaves it (or puts it back) as it was. One call at a time. */
  apply(desired: DesiredState): Promise<ApplyResult>;
  /** Attachments as the kernel has them now; puts back what others removed. Call it every second or so. */
  verify(): { readonly reattached: readonly string[]; readonly failed: readonly string[] };
  status(): DatapathStatus;
  tables(): TableFill[];
  counters(): ReasonCount[];
  rings(): RingLanes;
  /** Decides all flows anew that a changed policy touched and closes the local sockets of those it cut. */
  sweepFlows(): SweepResult;
  /** Closes the local socket of a cut connection, in the network namespace of its endpoint. */
  destroySocket(socket: SocketOf): 'destroyed' | 'not-found';
  /** Lets go; everything stays pinned and enforcing. Idempotent. */
  close(): void;
  /** Detaches and unpins everything under the pin path, then closes. */
  detachAll(): void;
}
