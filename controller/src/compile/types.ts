// What goes into the compiler and comes out. Inputs are level-triggered: the last set or remove of a key counts, history does not.
import type { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { HostDelta } from '@ringfence/proto/instructions.js';
import type { Labels, Policy } from '../policy/model.js';
import type { SpaceTree } from '../topology/spaces.js';
import type { Place, Published, ServicePlace, SpaceAddress } from '../topology/view.js';
import type { PushedMapping, Service } from './nat-table.js';
import type { Departed } from './tombstones.js';

export type { SpaceAddress } from '../topology/view.js';

/** A workload as the compiler is told of it. */
export interface CompilerWorkload {
  /** The controller's id. */
  readonly id: string;
  readonly labels: Labels;
  /** The host whose agent enforces it; empty: unmanaged, label and addresses without an agent. */
  readonly hostId: string;
  /** The agent's name for it on that host; empty when unmanaged. */
  readonly localId: string;
  readonly addresses: readonly SpaceAddress[];
  /** Ports that its host answers for; default: none. */
  readonly published?: readonly Published[] | undefined;
  /** Addresses under which its connections were seen to leave its host, mapped bytes; default: none. */
  readonly leavesAs?: readonly Uint8Array[] | undefined;
  /** Unpaired, denied or quarantined: the failsafe table only. */
  readonly isolated: boolean;
  /** Its mode in both directions where no mode of the policy names it; undefined: visibility. */
  readonly startingMode?: Mode | undefined;
  /** Refuse with RST or ICMP (true) or drop silently. */
  readonly reject: boolean;
}

/** Gives label sets their identity numbers. Persistent. A number serves one key until it is released, quarantine included. */
export interface IdentityNumbers {
  /** The number of this key, the same as before if it still has one, else a new one (ascending, never 0). */
  numberOf(key: string): number;
  /** The key is out of use and past quarantine: its number may be forgotten (it is never handed out again). */
  release(key: string): void;
}

/** Gives the sets of IP lists (classes) their numbers: as IdentityNumbers, key is the sorted list names joined by newline. */
export type ClassNumbers = IdentityNumbers;

/** Entries that one host's state needs in each kernel table. */
export interface CapacityNeed {
  readonly hostId: string;
  /** Table name as in abi.h (rf_peers, rf_shared, rf_cidrs, rf_groups, rf_ports, rf_endpoints) to entries. */
  readonly tables: Readonly<Record<string, number>>;
}

/** The compiler's face; compiler.ts makes one. */
export interface Compiler {
  /** A workload is new or changed. */
  setWorkload(workload: CompilerWorkload): void;
  /** A workload is gone. Unknown ids are nothing. */
  removeWorkload(id: string): void;
  /** The provisioned policy and its version number. Rules that expired before `tick`'s time do not count. */
  setPolicy(policy: Policy, version: number): void;
  /** A host has (again) a state to keep: deltas are computed for it from its next flush on, which gives its full state. */
  setHost(hostId: string): void;
  /** Nobody keeps state for this host any more. Its workloads remain as peers. */
  removeHost(hostId: string): void;
  /** The declared spaces. What they change is placed anew; hosts that see other spaces than before get their full state. */
  setSpaces(tree: SpaceTree): void;
  /** A pushed destination mapping is new or changed; its address, protocol and port are its key. */
  setMapping(mapping: PushedMapping): void;
  /** A pushed mapping is gone. */
  removeMapping(at: Pick<PushedMapping, 'space' | 'protocol' | 'hex' | 'port'>): void;
  /** Time passes: expires rules, ends quarantines. Unix milliseconds, may stand still but not go back. */
  tick(nowMs: number): void;
  /** What changed for each host since the last flush; hosts without a change are not in it. */
  flush(): HostDelta[];
  /**
   * The same, in turns: gives each host's delta when it is made, and undefined wherever it may rest. Nothing may be asked or told of the
   * compiler until it is through.
   */
  flushInTurns(): Generator<HostDelta | undefined, void>;
  /** The whole state of one host as of the last flush; undefined when the host is not set. */
  snapshot(hostId: string): HostDelta | undefined;
  /** Identity of a workload as of the last flush; 0 when unknown. */
  identityOf(workloadId: string): number;
  /** Ids of the workloads that have this identity now; empty when none has. */
  workloadsOf(identity: number): readonly string[];
  /** Ids of the workloads that a host may mean by an address (hexadecimal), as of the last flush; sorted. */
  behind(hostId: string, hex: string): readonly string[];
  /** Who was there until lately (the quarantine), the last one first. */
  lately(hostId: string, hex: string): readonly Departed[];
  /** Who is reached from a host under an address and port by a mapping. */
  serviceAt(hostId: string, protocol: number, hex: string, port: number): Service | undefined;
  /** Everywhere a workload's addresses appear, its own ones first. */
  placesOf(workloadId: string): readonly Place[];
  /** Everywhere its services are reached by a mapping. */
  servicesOf(workloadId: string): readonly ServicePlace[];
  /** The scopes that a host sees, from the inside out. */
  scopes(hostId: string): readonly string[];
  /** Earliest instant at which tick has work to do, as of the last flush; undefined: none. */
  nextDeadlineMs(): number | undefined;
}
