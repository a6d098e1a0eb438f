// Renews the client certificate before it ends: at two thirds of its life, and again with backoff until it worked. A host whose
// certificate ended cannot renew: it keeps enforcing, says so, and must be enrolled anew.
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { CertificateRenewalClient, type EnrollResponse } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import { Backoff } from './backoff.js';
import type { ControllerChannel } from './controller-channel.js';
import { type Credentials, checkCredentials } from './credentials.js';
import type { KeyRequest } from './key-request.js';

export interface RenewalPorts {
  /** undefined while the host is not enrolled. */
  readonly read: () => Credentials | undefined;
  readonly write: (credentials: Credentials) => void;
  /** Has a request (PKCS#10, DER) signed. */
  readonly sign: (csrDer: Buffer) => Promise<EnrollResponse>;
  readonly timers: Timers;
  readonly random: () => number;
  /** Renewed: connections should use it soon. */
  readonly onRenewed: (credentials: Credentials) => void;
  /** Told of each failure, once. */
  readonly onFailed: (message: string, retryInMs: number) => void;
}

/** How often to look whether the host is enrolled by now. */
const LOOK_MS = 30_000;
/** Clocks that are kept in step drift by less. */
const CLOCK_MOVED_MS = 5_000;

export class CertificateRenewer {
  readonly #ports: RenewalPorts;
  readonly #backoff: Backoff;
  #cancel: (() => void) | undefined;
  #stopped = false;
  #renewing = false;
  #clockOffset: number | undefined;

  constructor(ports: RenewalPorts) {
    this.#ports = ports;
    this.#backoff = new Backoff({ firstMs: 5_000, maxMs: 600_000 }, ports.random);
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /**
   * To be called every second or so: when the wall clock was set, or the machine slept, what was planned by it is planned anew at once.
   */
  checkClock(): void {
    const { timers } = this.#ports;
    const offset = timers.now() - timers.steady();
    const moved = this.#clockOffset !== undefined && Math.abs(offset - this.#clockOffset) > CLOCK_MOVED_MS;
    this.#clockOffset = offset;
    if (!moved || this.#renewing) return;
    this.#cancel?.();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { timers } = this.#ports;
    let own: Credentials | undefined;
    try {
      own = this.#ports.read();
    } catch {
      own = undefined; // told by whoever wanted to connect
    }
    // Looked at often rather than slept through: the wall clock may be set, and a suspended machine's timers are late.
    const dueIn = own ? renewAtMs(own) - timers.now() : LOOK_MS;
    if (own && dueIn <= 0) void this.#renew(own);
    else this.#after(Math.min(dueIn, 3_600_000));
  }

  #after(ms: number): void {
    this.#cancel = this.#ports.timers.after(ms, () => this.#schedule());
  }

  async #renew(own: Credentials): Promise<void> {
    this.#renewing = true;
    try {
      const request = await makeRequest(own.hostId);
      const answer = await this.#ports.sign(request.csrDer);
      const renewed = checkCredentials(own.hostId, own.syncAddress, request.keyPem, answer.certificatePem, own.caPem);
      this.#ports.write(renewed);
      this.#backoff.reset();
      this.#ports.onRenewed(renewed);
      // Even a certificate that is due at once must not make a busy loop.
      this.#after(Math.max(1000, Math.min(renewAtMs(renewed) - this.#ports.timers.now(), 3_600_000)));
    } catch (error) {
      const waitMs = this.#backoff.nextMs();
      this.#ports.onFailed(`Cannot renew the certificate of host ${own.hostId}: ${messageOf(error)}`, waitMs);
      if (!this.#stopped) this.#after(waitMs);
    } finally {
      this.#renewing = false;
    }
  }
}

/** Two thirds of the certificate's life, Unix milliseconds. */
export function renewAtMs(own: Pick<Credentials, 'notBeforeMs' | 'notAfterMs'>): number {
  return own.notBeforeMs + ((own.notAfterMs - own.notBeforeMs) * 2) / 3;
}

/** Has the controller sign a request, as whom the present certificate names. */
export async function signOverChannel(channel: ControllerChannel, csrDer: Buffer): Promise<EnrollResponse> {
  const { address, credentials, options } = channel.next();
  const client = new CertificateRenewalClient(address, credentials, options);
  try {
    return await new Promise<EnrollResponse>((resolve, reject) => {
      const deadline = new Date(Date.now() + 30_000);
      client.renew({ csrDer }, new Metadata(), { deadline }, (error: ServiceError | null, response) =>
        error ? reject(error) : resolve(response),
      );
    });
  } finally {
    client.close();
  }
}

/** X.509 is loaded when a request is made, once in months: it would be a tenth of the agent's memory. */
async function makeRequest(commonName: string): Promise<KeyRequest> {
  const { makeKeyRequest } = await import('./key-request.js');
  return makeKeyRequest(commonName);
}
