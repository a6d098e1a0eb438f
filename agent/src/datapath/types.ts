// What the datapath tells and takes.
import type { BpfMap } from '@ringfence/native';
import type { TagTally } from './tag-maps.js';

export interface DatapathOptions {
  /** A directory on (or to become) a bpffs; everything lives in its v<ABI> subdirectory. One writer: the caller holds a lock. */
  readonly pinPath: string;
  /** cgroup v2 directory where the cgroup programs attach. */
  readonly cgroupRoot: string;
  /** Directory of the compiled objects; default bpf/build beside this package. */
  readonly objectDir?: string;
  /**
   * Entries by map name; others keep the object's default. An adopted policy table of another size is replaced by a copy of this
   * size, if its content fits; conntrack and the like keep the size they were made with.
   */
  readonly mapSizes?: Readonly<Record<string, number>>;
  /** Endpoints may have the flag CONTAINERS; see RenderConfig.containerCgroups. */
  readonly guardsContainers?: boolean;
  /** Bytes per CPU of the flow ring and of the deny ring. Only used when made. */
  readonly ringBytes?: number;
  readonly denyRingBytes?: number;
  /** auto: TCX where the kernel has it, else clsact. */
  readonly tcMode?: 'auto' | 'tcx' | 'clsact';
  /**
   * Takes what a sweep reports: packed rf_event records, to be read like a batch from a ring. Called inside sweepFlows() and
   * inside apply() when it changed decisions.
   */
  readonly onSwept?: (events: Uint8Array) => void;
}

/** RF_MAP_FULL: a table cannot hold it, nothing was written. RF_APPLY: the kernel refused a write, what was written is undone. */
export type ApplyResult =
  | {
      readonly kind: 'ok';
      /** Entries put and deleted. */
      readonly written: number;
      readonly deleted: number;
      /** What the sweep did that follows a change of decisions; undefined when nothing changed them. */
      readonly sweep: SweepResult | undefined;
    }
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
  /** Hooks that someone else detached and verify() put back, since open. */
  readonly reattached: number;
  /** Optional programs this kernel refused, with the reason. */
  readonly missing: Readonly<Record<string, string>>;
  /** In-band tags: whether this kernel can write them, whether it does, and what became of them. */
  readonly tags: { readonly canWrite: boolean; readonly writes: boolean; readonly tally: TagTally };
  /**
   * What the agent found when it started: nothing; what a build with another ABI left, which goes with the first apply; its own state; or
   * its own state with older programs, now replaced.
   */
  readonly start: 'fresh' | 'replacing' | 'adopted' | 'upgraded';
}

/** Packets and bytes by verdict, reason and packet direction (1 in, 2 out), summed over CPUs; only what is not zero. */
export interface ReasonCount {
  readonly verdict: number;
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
  /** Records handed to onSwept. */
  readonly events: number;
  /** Open connections that policy now forbids, cut by this sweep. */
  readonly revoked: number;
  /** Of their local sockets, closed here. */
  readonly socketsDestroyed: number;
  /** Why a socket could not be closed (its packets are dropped all the same); '' when all could. */
  readonly socketProblem: string;
}

/** What verify() found and did; names of hooks, for example "tc_12_ingress" or "cg_rf_cg_egress". */
export interface VerifyResult {
  readonly reattached: readonly string[];
  /** Still not attached: the interface is gone, or attaching failed. */
  readonly broken: readonly string[];
}
