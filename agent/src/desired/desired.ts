// The exact content of every kernel map and every attachment that instructions, local workloads and configuration call for.
// Pure: the result depends on the inputs and on the numbers already given out, not on how the inputs came to be.
import type { LocalCgroup } from './local.js';
import type { HighWater } from './numbers.js';
import type { FailsafeState, UnpairedTreatment } from './update.js';
import type { VersionedMap } from './versioned-map.js';

/** Maps whose whole content the agent owns. rf_state and the flow maps are the datapath's and the kernel's. */
export const TABLES = [
  'rf_failsafe',
  'rf_shared',
  'rf_ports',
  'rf_groups',
  'rf_cidrs',
  'rf_nat',
  'rf_peers',
  'rf_endpoints',
] as const;
export type TableName = (typeof TABLES)[number];

/** Packed key → packed value, both as latin1 text of their bytes. */
export type Table = VersionedMap<string, string>;

/** A local workload's treatment, one per workload (a workload may have several keys in rf_endpoints). */
export interface DesiredEndpoint {
  readonly localId: string;
  /** In flow keys and events; never 0. */
  readonly number: number;
  /** Controller's id; empty while unassigned. */
  readonly workloadId: string;
  readonly identity: number;
  readonly modeIn: number;
  readonly modeOut: number;
  readonly isolated: boolean;
  /** True when the controller has said what this workload is. */
  readonly assigned: boolean;
  /** Keys in rf_endpoints, as in a Table. */
  readonly keys: readonly string[];
  /** Network namespace of its sockets; undefined: the agent's own. */
  readonly netns: string | undefined;
}

/** TC programs at one interface, both directions. */
export interface DesiredInterface {
  readonly localId: string;
  readonly name: string;
  readonly ifindex: number;
}

/** All of it. The rf_endpoints table carries generation 0: the datapath numbers the flips. */
export interface DesiredState {
  readonly tables: Readonly<Record<TableName, Table>>;
  readonly endpoints: readonly DesiredEndpoint[];
  readonly interfaces: readonly DesiredInterface[];
  /** cgroup programs are attached, once, at the agent's cgroup root. */
  readonly cgroupHooks: boolean;
  /** Numbers given out so far: kept beside the maps before any of them is written. */
  readonly highWater: HighWater;
}

/** What configuration says about rendering. */
export interface RenderConfig {
  /**
   * Treatment of containers and cgroups the controller has not assigned: seen but untouched, or cut off but for the failsafes.
   * The host itself is never isolated for want of an assignment. Instructions may say otherwise of containers (Instructions.unpaired).
   */
  readonly unassigned: UnpairedTreatment;
  /**
   * cgroups that containers start below: where the unpaired are cut off, a container there that has not been found yet is cut off too,
   * from its first instruction on. Asked for only then; throws when one cannot be had.
   */
  readonly containerCgroups?: () => readonly LocalCgroup[];
  /** policy: as the assignment says; reject: RST and ICMP unreachable always; drop: silently always. */
  readonly rejectMode: 'policy' | 'reject' | 'drop';
  /** The agent's own: controller channel (outbound TCP), admin sources (inbound). Instructions add to them. */
  readonly failsafes: readonly FailsafeState[];
}
