// When the controller is told how this host stands: soon after a change, once for a burst of them, and now and then all the same.
import type { AgentStatus } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Timers } from '../timers.js';

const SOON_MS = 200;
/** A status is sent at least so often. */
const EVERY_MS = 10_000;

export interface StatusPorts {
  readonly timers: Timers;
  /** Where statuses go now; undefined: the controller is not there. */
  session(): { readonly open: boolean; sendStatus(status: AgentStatus): void } | undefined;
  status(): AgentStatus;
}

export class StatusReporter {
  readonly #ports: StatusPorts;
  #cancel: (() => void) | undefined;
  #dueAt = 0;

  constructor(ports: StatusPorts) {
    this.#ports = ports;
  }

  /** Something changed. */
  soon(): void {
    this.#cancel ??= this.#ports.timers.after(SOON_MS, () => this.#send());
  }

  /** Call about once a second. */
  tick(): void {
    if (this.#ports.timers.now() >= this.#dueAt) this.#send();
  }

  stop(): void {
    this.#cancel?.();
  }

  #send(): void {
    const { timers, session, status } = this.#ports;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dueAt = timers.now() + EVERY_MS;
    const to = session();
    if (to?.open) to.sendStatus(status());
  }
}
