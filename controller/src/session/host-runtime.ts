// How each host stands right now: what its streams last said. Lost with the process and told anew by the next stream.
import type {
  Condition,
  HostFacts,
  Nack,
  TableCapacity,
  TagTallies,
  WorkloadStatus,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { CapacityNeed } from '../compile/types.js';
import type { AgentSession } from './agent-session.js';

/** Conditions and statuses that one agent may report. */
export const CONDITIONS_MAX = 64;

export interface HostRuntime {
  readonly hostId: string;
  /** The open stream's session. */
  session: AgentSession | undefined;
  /** Address of the open, or of the last, stream. */
  peerAddress: string;
  /** Newest message, Unix milliseconds. */
  lastSeenMs: number;
  facts: HostFacts | undefined;
  /** By local id. */
  workloads: ReadonlyMap<string, WorkloadStatus>;
  tables: readonly TableCapacity[];
  /** What became of in-band tags there; undefined: not told. */
  tags: TagTallies | undefined;
  /** The agent's own. */
  conditions: readonly Condition[];
  /** The controller's about this host, by code. */
  readonly own: Map<string, Condition>;
  /** Kept after the stream has ended, until a later revision is acknowledged. */
  refusal: Nack | undefined;
  ackedRevision: number;
  ackedPolicyVersion: number;
}

/** How long a version takes from being provisioned to each host's acknowledgement. */
export class PolicyLatency {
  readonly #provisionedMs = new Map<number, number>();
  /** Told each measured time, in seconds. */
  onMeasured: (seconds: number) => void = () => {};

  provisioned(version: number, nowMs: number): void {
    this.#provisionedMs.set(version, nowMs);
    const oldest = this.#provisionedMs.keys().next();
    if (this.#provisionedMs.size > VERSIONS_MAX && !oldest.done) this.#provisionedMs.delete(oldest.value);
  }

  /** A host says for the first time that a version is in force there. */
  acknowledged(version: number, nowMs: number): void {
    const from = this.#provisionedMs.get(version);
    if (from !== undefined) this.onMeasured(Math.max(0, nowMs - from) / 1000);
  }

  /** What came before is not measured: a restart provisions nothing. */
  clear(): void {
    this.#provisionedMs.clear();
  }
}

const VERSIONS_MAX = 64;

export class HostRuntimes {
  readonly policyLatency = new PolicyLatency();
  readonly #hosts = new Map<string, HostRuntime>();

  /** The host's entry, made when there is none. */
  of(hostId: string): HostRuntime {
    let host = this.#hosts.get(hostId);
    if (host === undefined) {
      host = {
        hostId,
        session: undefined,
        peerAddress: '',
        lastSeenMs: 0,
        facts: undefined,
        workloads: new Map(),
        tables: [],
        tags: undefined,
        conditions: [],
        own: new Map(),
        refusal: undefined,
        ackedRevision: 0,
        ackedPolicyVersion: 0,
      };
      this.#hosts.set(hostId, host);
    }
    return host;
  }

  get(hostId: string): HostRuntime | undefined {
    return this.#hosts.get(hostId);
  }

  remove(hostId: string): void {
    this.#hosts.delete(hostId);
  }

  all(): IterableIterator<HostRuntime> {
    return this.#hosts.values();
  }
}

/** The tables that a need does not fit, one sentence each; empty when it fits, or when the host never told its capacities. */
export function capacityProblems(need: CapacityNeed, tables: readonly TableCapacity[]): string[] {
  const problems: string[] = [];
  for (const { table, entriesMax } of tables) {
    const wanted = need.tables[table] ?? 0;
    if (wanted > entriesMax)
      problems.push(`table ${table} of host ${need.hostId} holds ${entriesMax} entries, wanted ${wanted}`);
  }
  return problems;
}
