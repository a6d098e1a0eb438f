// Local workloads and their assignments → rf_endpoints, and the list of endpoints by number. Recomputed whole: a host has at most
// some thousand workloads, and each of them may be touched by any assignment.
import { EndpointFlag } from '@ringfence/bpf';
import { Mode, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { AssignmentState } from '@ringfence/proto/instructions.js';
import type { DesiredEndpoint, RenderConfig, Table } from './desired.js';
import { Edits } from './edits.js';
import type { Instructions } from './instructions.js';
import type { LocalCgroup, LocalWorkload } from './local.js';
import { NumberPool } from './numbers.js';
import { cgroupKey, endpointValue, ifindexKey } from './pack.js';
import type { PolicyTables } from './policy-tables.js';
import type { RecoveredNumbers } from './recovered.js';
import type { SpaceNumbers } from './spaces.js';
import type { UnpairedTreatment } from './update.js';
import { VersionedMap } from './versioned-map.js';

export class EndpointTable {
  table: Table = VersionedMap.of();
  endpoints: readonly DesiredEndpoint[] = [];
  readonly #numbers: NumberPool;
  readonly #recovered: Map<string, number>;
  readonly #byLocalId = new Map<string, number>();

  constructor(recovered: RecoveredNumbers) {
    this.#numbers = new NumberPool(recovered.highWater.endpoint, new Map());
    this.#recovered = new Map(recovered.endpoints);
  }

  get nextEndpoint(): number {
    return this.#numbers.next;
  }

  update(
    locals: readonly LocalWorkload[],
    instructions: Instructions,
    config: RenderConfig,
    policy: PolicyTables,
    spaces: SpaceNumbers,
  ): void {
    const edits = new Edits();
    for (const key of this.table.keys()) edits.remove(key);
    const guards = guardedCgroups(instructions, config).map((cgroup) => ({
      cgroup,
      localId: `containers:${cgroup.path}`,
    }));
    const present = new Set([...locals, ...guards].map(({ localId }) => localId));
    for (const localId of this.#byLocalId.keys()) if (!present.has(localId)) this.#byLocalId.delete(localId);
    // Containers first: a cgroup named in the configuration wins over a container's own.
    const ordered = [...locals].sort((a, b) => rank(a) - rank(b));
    this.endpoints = ordered.map((local) => {
      const keys = keysOf(local);
      const number = this.#numberOf(local.localId, keys);
      const assignment = instructions.assignments.get(local.localId);
      const endpoint = treatmentOf(local, keys, number, assignment, unpairedOf(instructions, config));
      const reject = config.rejectMode === 'policy' ? (assignment?.reject ?? false) : config.rejectMode === 'reject';
      const space = spaces.numberOf(assignment?.space ?? '');
      const value = endpointValue({
        number,
        identity: endpoint.identity,
        space,
        setIn: policy.numberOf(assignment?.setIn ?? ''),
        setOut: policy.numberOf(assignment?.setOut ?? ''),
        generation: 0,
        policyVersion: assignment === undefined ? 0 : instructions.policyVersion,
        flags:
          (endpoint.isolated ? EndpointFlag.ISOLATED : 0) |
          // What is cut off answers nothing; and one that is yet to be let in retries instead of failing.
          (reject && !endpoint.isolated ? EndpointFlag.REJECT : 0) |
          (local.kind === WorkloadKind.WORKLOAD_KIND_HOST ? EndpointFlag.HOST : 0),
        modeIn: endpoint.modeIn,
        modeOut: endpoint.modeOut,
      });
      // Where containers are held until they are found, one whose interface is not known yet stays held.
      const passes = guards.length === 0 || local.interfaces.length > 0;
      if (local.kind === WorkloadKind.WORKLOAD_KIND_CONTAINER && local.cgroup !== undefined && passes) {
        // Whose tag its SYNs carry: they are written at the socket.
        const { identity } = endpoint;
        edits.put(cgroupKey(local.cgroup.id), endpointValue({ ...SKIPPED, number, identity, space }));
      }
      for (const key of keys) edits.put(key, value);
      return endpoint;
    });
    for (const { cgroup, localId } of guards) {
      const key = cgroupKey(cgroup.id);
      const number = this.#numberOf(localId, [key]);
      // Dropped silently: a connection that begins too early is tried again by TCP instead of failing.
      edits.put(key, endpointValue({ ...SKIPPED, number, flags: EndpointFlag.ISOLATED | EndpointFlag.CONTAINERS }));
    }
    this.#recovered.clear();
    this.table = edits.appliedTo(this.table);
  }

  /** By what the kernel knew it under, else a fresh one; a number that a former process gave to something else is not reused. */
  #numberOf(localId: string, keys: readonly string[]): number {
    const held = this.#byLocalId.get(localId);
    if (held !== undefined) return held;
    const taken = new Set(this.#byLocalId.values());
    const known = keys.map((key) => this.#recovered.get(key)).find((n) => n !== undefined && n !== 0 && !taken.has(n));
    const number = known ?? this.#numbers.acquire(`${this.#numbers.next}`).number;
    this.#byLocalId.set(localId, number);
    return number;
  }
}

/** What this host does to containers and cgroups without an assignment: as it was told, else as it is configured. */
export function unpairedOf({ unpaired }: Pick<Instructions, 'unpaired'>, config: RenderConfig): UnpairedTreatment {
  return unpaired ?? config.unassigned;
}

/** cgroups below which containers that are not known are cut off. */
export function guardedCgroups(
  instructions: Pick<Instructions, 'unpaired'>,
  config: RenderConfig,
): readonly LocalCgroup[] {
  return unpairedOf(instructions, config) === 'isolate' ? (config.containerCgroups?.() ?? []) : [];
}

function rank(local: LocalWorkload): number {
  return local.kind === WorkloadKind.WORKLOAD_KIND_CONTAINER
    ? 0
    : local.kind === WorkloadKind.WORKLOAD_KIND_CGROUP
      ? 1
      : 2;
}

/** Keys that decide for the workload (a container's cgroup does not). */
function keysOf(local: LocalWorkload): string[] {
  if (local.kind === WorkloadKind.WORKLOAD_KIND_CONTAINER) return local.interfaces.map((i) => ifindexKey(i.ifindex));
  return local.cgroup === undefined ? [] : [cgroupKey(local.cgroup.id)];
}

function treatmentOf(
  local: LocalWorkload,
  keys: readonly string[],
  number: number,
  assignment: AssignmentState | undefined,
  unpaired: UnpairedTreatment,
): DesiredEndpoint {
  const host = local.kind === WorkloadKind.WORKLOAD_KIND_HOST;
  return {
    localId: local.localId,
    number,
    workloadId: assignment?.workloadId ?? '',
    identity: assignment?.identity ?? 0,
    modeIn: assignment?.modeIn ?? Mode.MODE_VISIBILITY,
    modeOut: assignment?.modeOut ?? Mode.MODE_VISIBILITY,
    isolated: assignment?.isolated ?? (unpaired === 'isolate' && !host),
    assigned: assignment !== undefined,
    keys,
    netns: local.netns,
  };
}

const SKIPPED = {
  identity: 0,
  space: 0,
  setIn: 0,
  setOut: 0,
  generation: 0,
  policyVersion: 0,
  flags: EndpointFlag.SKIP,
  modeIn: 0,
  modeOut: 0,
};
