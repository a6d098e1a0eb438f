// Everything an operator may have to know about one agent, declared in one place: code, severity, title, and what to do.
import { Condition } from '@ringfence/proto/gen/ringfence/v1/agent.js';

export type Severity = 'info' | 'warning' | 'alarm';

export const CONDITIONS = {
  RF_NOT_ENROLLED: ['warning', 'This host is not enrolled', 'Next: ringfence enroll with a token from the controller.'],
  RF_LOGINS: [
    'warning',
    'It is not known who is logged in',
    'Labels that follow logins stay as they were last known. It is tried again.',
  ],
  RF_CREDENTIALS: ['alarm', 'The credentials of this host cannot be used', 'Next: enrol this host anew.'],
  RF_CERT_EXPIRING: [
    'warning',
    'The certificate could not be renewed yet',
    'It is tried again until it works or the certificate ends.',
  ],
  RF_CERT_EXPIRED: [
    'alarm',
    'The certificate of this host has ended',
    'Next: enrol this host anew; enforcement goes on meanwhile.',
  ],
  RF_CONTROLLER_AWAY: [
    'warning',
    'The controller does not answer',
    'The last good policy stays in force; flows wait on disk.',
  ],
  RF_NOT_IN_FORCE: ['alarm', 'A workload is not treated as policy expects', 'See the workload’s status for why.'],
  RF_APPLY_FAILED: [
    'alarm',
    'The kernel refused the present workloads or policy',
    'What was in force stays; it is tried again.',
  ],
  RF_NACK: ['alarm', 'A revision was refused', 'The last good state stays in force until a corrected one comes.'],
  RF_STATE_CORRUPT: [
    'alarm',
    'The last good state on disk could not be used',
    'What is pinned in the kernel stays; the file was moved aside.',
  ],
  RF_STATE_UNSAVED: [
    'alarm',
    'The last good state cannot be saved',
    'Policy is in force, but a reboot without controller would find an older one.',
  ],
  RF_HELD: [
    'alarm',
    'The kernel holds a policy that this agent has no record of',
    'It stays as it is until the controller sends a full state.',
  ],
  RF_ROLLOUT_RETURNED: [
    'alarm',
    'A rollout lost the controller and was taken back',
    'The confirmed policy before it is in force.',
  ],
  RF_TAGS: [
    'warning',
    'In-band tags are not as the controller wants them',
    'Callers behind shared addresses are not told apart on this host. It is tried again when keys come.',
  ],
  RF_TABLE_FILL: [
    'warning',
    'A kernel table is more than 80 % full',
    'Raise its size in mapSizes before a rollout is refused.',
  ],
  RF_REATTACHED: ['warning', 'Programs were detached by someone else and put back', 'Find out who removes them.'],
  RF_DETACHED: ['alarm', 'A program is not attached', 'Its workload is not enforced; it is tried again.'],
  RF_FEATURE_MISSING: ['warning', 'This kernel refused an optional program', 'Some facts will be missing from flows.'],
  RF_HELPER_ERRORS: ['warning', 'Unexpected failures inside the kernel programs', 'Counted by place; see metrics.'],
  RF_SOURCE: ['warning', 'Workloads cannot be discovered', 'What was known stays in force.'],
  RF_START_GAP: [
    'warning',
    'Containers start outside of the cgroups where they would be held',
    'They are cut off only once they are found. Set the engine’s cgroup-parent, and pairing.containerCgroups to the same.',
  ],
  RF_WORKLOADS_BOUND: ['warning', 'More workloads than one agent reports', 'The rest is not known to the controller.'],
  RF_CONNTRACK: [
    'warning',
    'The connections that this host translates cannot be read',
    'Flow records from behind its addresses say shared. The kernel needs ctnetlink; nat.conntrack: false silences this.',
  ],
  RF_SPOOL_IN_USE: ['info', 'Flows are waiting on disk', 'They are sent when the controller takes them.'],
  RF_SPOOL: ['alarm', 'Flows cannot be kept on disk', 'See the message; flows are lost and counted.'],
  RF_FLOW_LOSS: ['warning', 'Flow events were lost', 'The counters by hop say where.'],
} as const satisfies Record<string, readonly [Severity, string, string]>;

export type ConditionCode = keyof typeof CONDITIONS;

/** The conditions that hold now, each since when. */
export class ConditionBoard {
  readonly #now: () => number;
  readonly #onChange: (condition: Condition, holds: boolean) => void;
  readonly #held = new Map<ConditionCode, Condition>();

  /** onChange: a condition began to hold, or ceased to; not told of a changed detail. */
  constructor(now: () => number, onChange: (condition: Condition, holds: boolean) => void) {
    this.#now = now;
    this.#onChange = onChange;
  }

  /** Says whether a condition holds: undefined or '' that it does not, else the detail that goes before its text. */
  set(code: ConditionCode, detail: string | undefined): void {
    const held = this.#held.get(code);
    if (!detail) {
      if (!held) return;
      this.#held.delete(code);
      this.#onChange(held, false);
      return;
    }
    const [severity, title, text] = CONDITIONS[code];
    const condition = Condition.create({
      code,
      severity,
      title,
      text: `${detail.slice(0, 1000)}. ${text}`,
      sinceMs: held?.sinceMs ?? BigInt(this.#now()),
    });
    this.#held.set(code, condition);
    if (!held) this.#onChange(condition, true);
  }

  holds(code: ConditionCode): boolean {
    return this.#held.has(code);
  }

  /** Alarms first, then the oldest. */
  list(): Condition[] {
    const rank = (c: Condition) => ['alarm', 'warning', 'info'].indexOf(c.severity);
    return [...this.#held.values()].sort((a, b) => rank(a) - rank(b) || Number(a.sinceMs - b.sinceMs));
  }
}
