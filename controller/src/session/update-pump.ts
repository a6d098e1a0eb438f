// Sends what a session has to send, as far as the peer reads; and again when a refusal is old enough to be tried once more.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AgentMessage, ControllerMessage } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { AgentSession } from './agent-session.js';
import { updatesOf } from './wire.js';

export type SyncCall = ServerDuplexStream<AgentMessage, ControllerMessage>;

const ENDS = ['drain', 'close', 'cancelled', 'error'] as const;

export class UpdatePump {
  readonly #session: AgentSession;
  readonly #call: SyncCall;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  #running = false;
  #stopped = false;
  #retry: NodeJS.Timeout | undefined;

  /** `now`: Unix milliseconds. `onError`: what the session threw; the stream must end. */
  constructor(session: AgentSession, call: SyncCall, now: () => number, onError: (error: unknown) => void) {
    this.#session = session;
    this.#call = call;
    this.#now = now;
    this.#onError = onError;
  }

  /** Sends all there is. One run at a time: what comes meanwhile goes with it. */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      for (;;) {
        const outgoing = this.#stopped ? undefined : this.#session.next(this.#now());
        if (outgoing === undefined) break;
        for (const update of updatesOf(outgoing)) {
          if (this.#stopped) return;
          if (!this.#call.write({ body: { $case: 'update', value: update } })) await this.#drained();
        }
      }
      this.#wakeForRetry();
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#running = false;
    }
  }

  /** The stream has ended. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        for (const event of ENDS) this.#call.off(event, done);
        resolve();
      };
      for (const event of ENDS) this.#call.once(event, done);
    });
  }

  #wakeForRetry(): void {
    const at = this.#session.retryAtMs();
    clearTimeout(this.#retry);
    if (at === undefined || this.#stopped) return;
    this.#retry = setTimeout(() => void this.run(), Math.max(1, at - this.#now()));
    this.#retry.unref();
  }
}
