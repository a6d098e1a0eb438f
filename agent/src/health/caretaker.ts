// What an agent looks at about once a second, as conditions on the board.
import type { Credentials } from '../control/credentials.js';
import type { Enforcement } from '../enforcement.js';
import type { FlowDriver } from '../flows/flow-driver.js';
import type { FlowSpool } from '../flows/spool.js';
import type { FlowUploader } from '../flows/uploader.js';
import type { LoginFollower } from '../logins/login-follower.js';
import type { ConntrackWatch } from '../nat/conntrack-watch.js';
import type { WorkloadRegistry } from '../workloads/registry.js';
import type { ConditionBoard } from './conditions.js';

/** The parts that are looked at. */
export interface CaretakerPorts {
  readonly board: ConditionBoard;
  readonly pinPath: string;
  readonly enforcement: Pick<Enforcement, 'problem' | 'held'>;
  readonly registry: Pick<WorkloadRegistry, 'problems' | 'overflow' | 'found'>;
  readonly logins: Pick<LoginFollower, 'problem'> | undefined;
  readonly nat: Pick<ConntrackWatch, 'problem'> | undefined;
  readonly spool: Pick<FlowSpool, 'empty' | 'bytes'>;
  readonly uploader: Pick<FlowUploader, 'spoolProblem'>;
  readonly flows: Pick<FlowDriver, 'loss'>;
  /** Unix milliseconds. */
  now(): number;
  /** undefined: not enrolled, or what is on disk cannot be used. */
  credentials(): Pick<Credentials, 'notAfterMs'> | undefined;
  /** Cgroups (paths) in which containers wait before their first instruction; undefined: containers are not held here. */
  holding(): readonly string[] | undefined;
}

export class Caretaker {
  readonly #ports: CaretakerPorts;
  #lostEvents = 0n;

  constructor(ports: CaretakerPorts) {
    this.#ports = ports;
  }

  look(): void {
    const { board, enforcement, registry, logins, nat, spool, uploader } = this.#ports;
    const { problem } = enforcement;
    board.set('RF_APPLY_FAILED', problem && `${problem.code}: ${problem.message}`);
    board.set('RF_HELD', enforcement.held ? `Pinned under ${this.#ports.pinPath}` : undefined);
    board.set('RF_SOURCE', registry.problems.map((p) => `${p.source}: ${p.problem}`).join('; '));
    board.set('RF_LOGINS', logins?.problem);
    board.set('RF_WORKLOADS_BOUND', registry.overflow > 0 ? `${registry.overflow} more` : undefined);
    board.set('RF_START_GAP', this.#startingUnheld().join(', '));
    board.set('RF_CONNTRACK', nat?.problem);
    board.set('RF_SPOOL_IN_USE', spool.empty ? undefined : `${spool.bytes} bytes`);
    board.set('RF_SPOOL', uploader.spoolProblem?.message);
    this.#lookAtLosses();
    const own = this.#ports.credentials();
    const expired = own !== undefined && own.notAfterMs < this.#ports.now();
    board.set('RF_CERT_EXPIRED', expired ? new Date(own.notAfterMs).toISOString() : undefined);
  }

  #lookAtLosses(): void {
    const { board, flows } = this.#ports;
    const loss = flows.loss();
    const lost = loss.ringDropped + loss.deniesRingDropped + loss.agentDropped + loss.spoolDropped;
    board.set('RF_FLOW_LOSS', lost > this.#lostEvents ? `${lost} in this run` : undefined);
    this.#lostEvents = lost;
  }

  /** Names of containers that started where nothing held them, on a host that holds containers. */
  #startingUnheld(): string[] {
    const held = this.#ports.holding()?.map((path) => `${path}/`);
    if (held === undefined) return [];
    return this.#ports.registry.found.flatMap(({ inventory, local }) => {
      const unheld = local.cgroup !== undefined && !held.some((path) => local.cgroup?.path.startsWith(path));
      return inventory.localId.startsWith('container:') && unheld ? [inventory.name] : [];
    });
  }
}
