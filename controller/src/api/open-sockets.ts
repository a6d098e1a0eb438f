// TCP connections of the gRPC ports, for those that Node never learns the end of: when a peer resets a connection in the moment in which
// HTTP/2 takes it over from TLS, its socket stays open for good. The session is dead then, destroying it does not close the socket, and
// a server whose socket is open never says that it is closed. Seen with Node 20.20 and 24.21.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** Publishes every connection that a server of this process accepts. */
const ACCEPTED = 'net.server.socket';

export class OpenSockets {
  /** `read`: bytes that had come at the last sweep; -1: the connection came after that. */
  readonly #open = new Map<Socket, { readonly port: number | undefined; read: number }>();
  readonly #ports = new Set<number>();
  readonly #onAccepted = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket };
    this.#open.set(socket, { port: socket.localPort, read: -1 });
    socket.once('close', () => this.#open.delete(socket));
  };

  /** Looks at what the process accepts from now on, until stop(). */
  constructor() {
    subscribe(ACCEPTED, this.#onAccepted);
  }

  /** The connections to this port are meant; its listener must have been opened after this object. */
  watch(port: number): void {
    this.#ports.add(port);
  }

  /** Open connections to the watched ports. */
  get count(): number {
    return this.#watched().length;
  }

  /**
   * Closes connections of which nothing came since the last sweep. The time between two sweeps must be well above the time in which
   * a living peer answers a ping of the server. Returns how many it closed.
   */
  sweep(): number {
    let closed = 0;
    for (const [socket, seen] of this.#watched()) {
      if (seen.read === socket.bytesRead) {
        socket.destroy();
        closed += 1;
      } else seen.read = socket.bytesRead;
    }
    return closed;
  }

  /** Closes all connections to the watched ports, whatever goes on there. */
  cut(): void {
    for (const [socket] of this.#watched()) socket.destroy();
  }

  stop(): void {
    unsubscribe(ACCEPTED, this.#onAccepted);
  }

  #watched() {
    return [...this.#open].filter(([socket, { port }]) => !socket.destroyed && this.#ports.has(port ?? 0));
  }
}
