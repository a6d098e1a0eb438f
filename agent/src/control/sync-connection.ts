// One gRPC stream of AgentSync around one SyncSession.
import { type AgentMessage, AgentSyncClient, type ControllerMessage } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { AgentError } from '../errors.js';
import type { ControllerChannel } from './controller-channel.js';
import { type SyncPorts, SyncSession } from './sync-session.js';

export interface SyncConnectionPorts extends Omit<SyncPorts, 'send'> {
  /** The session of the connection that is now there, or undefined when it is gone. */
  readonly onSession: (session: SyncSession | undefined) => void;
}

/** Messages that may wait for a controller that does not read, before the connection counts as lost. */
const WAITING_MAX = 1024;

/** Connects and serves the stream; settles when it has ended. For Reconnector. */
export async function runSyncConnection(
  channel: ControllerChannel,
  ports: SyncConnectionPorts,
  established: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { address, credentials, options } = channel.next();
  const client = new AgentSyncClient(address, credentials, options);
  const stream = client.sync();
  const stop = () => stream.cancel();
  signal.addEventListener('abort', stop);
  let fail: (error: Error) => void = () => {};
  const session = new SyncSession({
    ...ports,
    send: (message: AgentMessage) => {
      // The next status says all that this one would.
      if (message.body?.$case === 'status' && stream.writableNeedDrain) return;
      stream.write(message);
      if (stream.writableLength <= WAITING_MAX) return;
      const found = `${stream.writableLength} messages that it does not read`;
      fail(new AgentError('RF_STREAM', `Cannot go on with the controller at ${address}: found ${found}`));
    },
    onWelcome: (hostId) => {
      established();
      ports.onWelcome(hostId);
    },
  });
  try {
    await new Promise<void>((resolve, reject) => {
      fail = reject;
      stream.on('error', (error: Error) => reject(error));
      stream.on('end', () => resolve());
      // One message at a time: a full state is applied before the next message is even read.
      stream.on('data', (message: ControllerMessage) => {
        stream.pause();
        session.receive(message).then(
          () => stream.resume(),
          (error: unknown) => {
            stream.cancel();
            reject(error);
          },
        );
      });
      ports.onSession(session);
      session.start();
    });
    throw new AgentError('RF_STREAM', `Cannot go on with the controller at ${address}: it ended the stream`);
  } finally {
    signal.removeEventListener('abort', stop);
    ports.onSession(undefined);
    stream.on('error', () => {}); // cancelling ends in an error nobody waits for
    stream.cancel();
    client.close();
  }
}
