import { type ClientReadableStream, status } from '@grpc/grpc-js';
import { isServiceError } from './fault.js';

/**
 * Messages of a server stream as they come. Ends when the server ends, or quietly when `signal` is aborted; leaving the loop
 * cancels the call. Throws the stream's ServiceError.
 */
export async function* messages<R>(stream: ClientReadableStream<R>, signal: AbortSignal): AsyncGenerator<R> {
  const cancel = () => stream.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  // An error may come after the last message was taken; nobody waits for it then.
  stream.on('error', () => {});
  try {
    for await (const message of stream) {
      if (signal.aborted) return;
      yield message as R;
    }
  } catch (error) {
    if (signal.aborted && isServiceError(error) && error.code === status.CANCELLED) return;
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
    stream.cancel();
  }
}
