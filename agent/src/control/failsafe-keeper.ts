// Keeps the way to the controller open: its name may have other addresses by now.
import type { FailsafeState } from '../desired/update.js';
import { controllerFailsafes } from './failsafes.js';

export interface FailsafePorts {
  /** What the configuration says; comes after the controller's. */
  readonly admin: readonly FailsafeState[];
  /** Where AgentSync listens, as host:port; undefined: nowhere yet. Throws RF_CREDENTIALS. */
  address(): string | undefined;
  /** From now on these are never cut. */
  apply(failsafes: readonly FailsafeState[]): Promise<void>;
  /** They could not be learned: the addresses that the name had stay open, and the next call asks again. */
  onProblem(error: unknown): void;
}

export class FailsafeKeeper {
  readonly #ports: FailsafePorts;
  #known = '';

  constructor(ports: FailsafePorts) {
    this.#ports = ports;
  }

  /** Applies what the controller's name leads to now, if that is not in force already. Never rejects. */
  async learn(): Promise<void> {
    try {
      const address = this.#ports.address();
      const channel = address === undefined ? [] : await controllerFailsafes(address);
      const known = JSON.stringify(channel);
      if (known === this.#known) return;
      this.#known = known;
      await this.#ports.apply([...channel, ...this.#ports.admin]);
    } catch (error) {
      this.#ports.onProblem(error);
    }
  }
}
