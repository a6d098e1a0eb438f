// Which workload an endpoint number stands for, also for a while after the endpoint is gone: its last events are still on their
// way, and must not be given to nobody.
import type { DesiredEndpoint } from '../desired/desired.js';

export interface EndpointOwner {
  readonly workloadId: string;
  readonly identity: number;
}

/** Gone endpoints remembered at most; numbers are not reused. */
const TOMBSTONES_MAX = 16_384;

export class EndpointDirectory {
  #live = new Map<number, EndpointOwner>();
  readonly #gone = new Map<number, EndpointOwner>();

  /** These are the endpoints now. */
  set(endpoints: readonly Pick<DesiredEndpoint, 'number' | 'workloadId' | 'identity' | 'localId'>[]): void {
    const next = new Map<number, EndpointOwner>();
    for (const { number, workloadId, identity, localId } of endpoints) {
      // Before the controller has named it, the local id says at least which one it was.
      next.set(number, { workloadId: workloadId || localId, identity });
      this.#gone.delete(number);
    }
    for (const [number, owner] of this.#live) if (!next.has(number)) this.#gone.set(number, owner);
    for (const number of this.#gone.keys()) {
      if (this.#gone.size <= TOMBSTONES_MAX) break;
      this.#gone.delete(number);
    }
    this.#live = next;
  }

  resolve(endpoint: number): EndpointOwner | undefined {
    return this.#live.get(endpoint) ?? this.#gone.get(endpoint);
  }
}
