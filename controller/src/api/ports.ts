// The three gRPC ports and their bounds.
import { Server, type ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import { formatListen, type ListenAddress } from '../config.js';

const MIB = 1024 * 1024;
/** A connection that answers nothing for this long is dead. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 15_000, 'grpc.keepalive_timeout_ms': 10_000 };

/** Bounds of one port: bytes of one message, calls at once on one connection. */
export interface PortBounds {
  readonly messageBytes: number;
  readonly streams: number;
}

/** A flow batch of 65,536 records is about 11 MiB; an inventory comes in parts. */
export const SYNC_BOUNDS: PortBounds = { messageBytes: 16 * MIB, streams: 16 };
/** A policy of 16 MB and its names. */
export const ADMIN_BOUNDS: PortBounds = { messageBytes: 20 * MIB, streams: 256 };
/** A token, a signing request and host facts. */
export const ENROLL_BOUNDS: PortBounds = { messageBytes: 64 * 1024, streams: 4 };

export function newServer(bounds: PortBounds, interceptors: ServerInterceptor[]): Server {
  return new Server({
    ...KEEPALIVE,
    interceptors,
    'grpc.max_receive_message_length': bounds.messageBytes,
    'grpc.max_concurrent_streams': bounds.streams,
  });
}

/** Binds and resolves with the real address. Rejects with what was wrong. */
export function bind(server: Server, listen: ListenAddress, credentials: ServerCredentials): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatListen(listen), credentials, (error, port) => {
      if (error === null) resolve({ host: listen.host, port });
      else reject(new Error(`Cannot listen on ${formatListen(listen)}: ${error.message}`, { cause: error }));
    });
  });
}

/** After sessions were cut: for what tells their peers so. */
const FAREWELL_MS = 500;

/** Lets running calls end for `graceMs`, then cuts them; what is open of the port's connections even then is closed by `cut`. */
export function shutDown(server: Server, graceMs: number, cut: () => void): Promise<void> {
  return new Promise((resolve) => {
    let timer = setTimeout(() => {
      server.forceShutdown();
      timer = setTimeout(cut, FAREWELL_MS);
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
