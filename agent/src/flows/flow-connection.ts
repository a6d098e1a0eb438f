// One gRPC stream of FlowUpload around the uploader. Messages are passed in their wire form: each was encoded once, when made.
import { Client } from '@grpc/grpc-js';
import { FlowUploadAck, FlowUploadService } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { ControllerChannel } from '../control/controller-channel.js';
import { AgentError } from '../errors.js';
import type { FlowUploader } from './uploader.js';

const same = (message: Buffer) => message;

/** Connects and serves the stream; settles when it has ended. For Reconnector. */
export async function runFlowConnection(
  channel: ControllerChannel,
  uploader: FlowUploader,
  established: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { address, credentials, options } = channel.next();
  const client = new Client(address, credentials, options);
  let giveUp = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + 20_000, (error) => (error ? reject(error) : resolve()));
      giveUp = resolve;
      signal.addEventListener('abort', giveUp);
    });
  } catch (error) {
    client.close();
    throw error;
  } finally {
    // The signal outlives every connection.
    signal.removeEventListener('abort', giveUp);
  }
  const stream = client.makeBidiStreamRequest(FlowUploadService.upload.path, same, FlowUploadAck.decode);
  const stop = () => stream.cancel();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    await new Promise<void>((resolve, reject) => {
      stream.on('error', reject);
      stream.on('end', resolve);
      stream.on('drain', () => uploader.onDrain());
      stream.on('data', (ack: FlowUploadAck) => {
        established();
        uploader.onAck(ack.run.toString('hex'), Number(ack.sequence));
      });
      uploader.attach({
        write: (message) => stream.write(Buffer.from(message.buffer, message.byteOffset, message.length)),
      });
    });
    throw new AgentError('RF_STREAM', `Cannot go on uploading flows to ${address}: the controller ended the stream`);
  } finally {
    signal.removeEventListener('abort', stop);
    uploader.detach();
    stream.on('error', () => {});
    stream.cancel();
    client.close();
  }
}
