// Long work cut into turns: between two of them the event loop serves whoever waits.

/** Long enough to be worth the change, short enough that no stream notices. */
const TURN_MS = 8;

export class Turns {
  #startedMs = performance.now();

  /** The turn has lasted long enough. */
  get over(): boolean {
    return performance.now() - this.#startedMs >= TURN_MS;
  }

  /** Lets everything that waits go first. */
  async rest(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#startedMs = performance.now();
  }
}
