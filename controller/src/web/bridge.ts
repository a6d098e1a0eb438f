// Calls of the page to the functions behind the admin API: the same ones, with a call object that says who signed in.
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Metadata, status } from '@grpc/grpc-js';
import type { WireError } from '../api/errors.js';
import { type CallPeer, type Peer, vouchFor } from '../api/peer.js';
import { messageFrame, statusFrame } from './frames.js';
import type { PageMethod } from './methods.js';

/** What a handler may ask of a call: its request, who makes it, and for streams the way to answer. */
class BridgeCall extends EventEmitter implements CallPeer {
  readonly metadata = new Metadata();
  cancelled = false;

  constructor(
    readonly request: unknown,
    peer: Peer,
  ) {
    super();
    vouchFor(this, peer);
  }

  getPeer(): string {
    return '';
  }

  getAuthContext(): Record<string, never> {
    return {};
  }

  getDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  sendMetadata(): void {}
}

/** A call that answers as it goes, at the browser's pace. */
class BridgeStream extends BridgeCall {
  readonly #response: ServerResponse;
  readonly #write: (message: unknown) => Buffer;
  #over = false;

  constructor(request: unknown, peer: Peer, response: ServerResponse, write: (message: unknown) => Buffer) {
    super(request, peer);
    this.#response = response;
    this.#write = write;
    response.on('drain', () => this.emit('drain'));
    response.on('close', () => this.#leave());
    this.on('error', (error: WireError) => this.#finish(error));
  }

  write(message: unknown): boolean {
    if (this.#over) return true;
    return this.#response.write(messageFrame(this.#write(message)));
  }

  end(): void {
    this.#finish();
    this.emit('finish');
  }

  #finish(error?: WireError): void {
    if (this.#over) return;
    this.#over = true;
    this.#response.end(statusFrame(error));
  }

  /** The browser has gone, or its session ended. */
  #leave(): void {
    this.cancelled = true;
    this.emit('cancelled');
    this.#over = true;
    this.emit('close');
  }
}

/** Calls a method and writes its answer, all of it or as it comes. `response` has its headers already. */
export function callMethod(method: PageMethod, bytes: Buffer, peer: Peer, response: ServerResponse): void {
  let request: unknown;
  try {
    request = method.readRequest(bytes);
  } catch {
    const details = 'RF_WEB_REQUEST: Cannot read the request: found bytes that are no such message';
    response.end(statusFrame({ code: status.INVALID_ARGUMENT, details }));
    return;
  }
  if (method.streams) {
    // Headers at once: the page knows that it listens before the first message.
    response.flushHeaders();
    method.handler(new BridgeStream(request, peer, response, method.writeResponse));
    return;
  }
  method.handler(new BridgeCall(request, peer), (error: WireError | null, message: unknown) => {
    if (response.destroyed) return;
    if (error !== null) response.end(statusFrame(error));
    else response.end(Buffer.concat([messageFrame(method.writeResponse(message)), statusFrame()]));
  });
}
