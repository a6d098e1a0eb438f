// Instructions, local workloads and configuration to desired state, incrementally:
//
//   sets ──────────────► PolicyTables  ► rf_groups rf_ports        each node keeps its tables and the numbers in them; it is
//   bindings, own addrs ► PeerTables    ► rf_peers rf_shared        handed what changed since the last rendering and edits
//   cidrs nats failsafes ► AddressTables ► rf_cidrs rf_nat rf_failsafe   only that
//   assignments, locals ► EndpointTable ► rf_endpoints
//
// Rendering the same inputs by another path gives the same content, up to the numbers (a set's number depends on when it came).
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { AddressTables } from './address-tables.js';
import type { DesiredState, RenderConfig } from './desired.js';
import { EndpointTable, guardedCgroups } from './endpoint-table.js';
import { emptyInstructions, type Instructions } from './instructions.js';
import type { LocalWorkload } from './local.js';
import { PeerTables } from './peer-tables.js';
import { PolicyTables } from './policy-tables.js';
import { NOTHING_RECOVERED, type RecoveredNumbers } from './recovered.js';
import { SpaceNumbers } from './spaces.js';

/**
 * One per agent process. A rendering whose state was refused stays the base of the next one: render the instructions that are in
 * force again, and the difference is undone.
 */
export class Renderer {
  readonly #config: RenderConfig;
  readonly #spaces = new SpaceNumbers();
  readonly #policy: PolicyTables;
  readonly #peers: PeerTables;
  readonly #addresses: AddressTables;
  readonly #endpoints: EndpointTable;
  #last: Instructions = emptyInstructions();

  /** recovered: what the datapath found in the kernel (Datapath.recovered). */
  constructor(config: RenderConfig, recovered: RecoveredNumbers = NOTHING_RECOVERED) {
    this.#config = config;
    this.#policy = new PolicyTables(recovered);
    this.#peers = new PeerTables(recovered, this.#spaces);
    this.#addresses = new AddressTables(this.#spaces);
    this.#endpoints = new EndpointTable(recovered);
  }

  /** Costs the difference to the last call, plus the number of local workloads and failsafes. */
  render(instructions: Instructions, locals: readonly LocalWorkload[]): DesiredState {
    const last = this.#last;
    this.#last = instructions;
    const sets = instructions.sets.changesSince(last.sets);
    this.#policy.update(
      sets.flatMap(({ before, after }) => (before === undefined && after !== undefined ? [after] : [])),
      sets.flatMap(({ key, after }) => (after === undefined ? [key] : [])),
    );
    const hosts = locals.filter((local) => local.kind === WorkloadKind.WORKLOAD_KIND_HOST);
    this.#peers.update(
      instructions.bindings.changesSince(last.bindings),
      (key) => instructions.bindings.get(key),
      hosts.flatMap((host) => host.addresses),
    );
    this.#addresses.updateCidrs(instructions.cidrs.changesSince(last.cidrs));
    this.#addresses.updateNats(instructions.nats.changesSince(last.nats));
    this.#addresses.updateFailsafes([...this.#config.failsafes, ...instructions.failsafes]);
    this.#endpoints.update(locals, instructions, this.#config, this.#policy, this.#spaces);
    return this.#state(instructions, locals);
  }

  #state(instructions: Instructions, locals: readonly LocalWorkload[]): DesiredState {
    return {
      tables: {
        rf_failsafe: this.#addresses.failsafe,
        rf_shared: this.#peers.shared,
        rf_ports: this.#policy.ports,
        rf_groups: this.#policy.groups,
        rf_cidrs: this.#addresses.cidrs,
        rf_nat: this.#addresses.nat,
        rf_peers: this.#peers.peers,
        rf_endpoints: this.#endpoints.table,
      },
      endpoints: this.#endpoints.endpoints,
      interfaces: locals.flatMap((local) =>
        local.kind === WorkloadKind.WORKLOAD_KIND_CONTAINER
          ? local.interfaces.map(({ name, ifindex }) => ({ localId: local.localId, name, ifindex }))
          : [],
      ),
      cgroupHooks:
        guardedCgroups(instructions, this.#config).length > 0 ||
        locals.some((local) => local.kind !== WorkloadKind.WORKLOAD_KIND_CONTAINER),
      highWater: {
        set: this.#policy.nextSet,
        group: this.#policy.nextGroup,
        shared: this.#peers.nextShared,
        endpoint: this.#endpoints.nextEndpoint,
      },
    };
  }
}

/** The desired state from scratch. */
export function computeDesired(
  instructions: Instructions,
  locals: readonly LocalWorkload[],
  config: RenderConfig,
  recovered: RecoveredNumbers = NOTHING_RECOVERED,
): DesiredState {
  return new Renderer(config, recovered).render(instructions, locals);
}
