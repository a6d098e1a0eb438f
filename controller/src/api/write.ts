// Writing to a gRPC stream at the reader's pace.
import type { ServerWritableStream } from '@grpc/grpc-js';

export interface StreamWriter<T> {
  /** Resolves when the reader can take more, or has gone. */
  write(message: T): Promise<void>;
  /** Resolves when the reader has gone or the stream was ended. */
  readonly ended: Promise<void>;
  isEnded(): boolean;
}

const ENDS = ['cancelled', 'close', 'finish', 'error'] as const;

export function writer<Request, T>(call: ServerWritableStream<Request, T>): StreamWriter<T> {
  let over = false;
  const ended = new Promise<void>((resolve) => {
    for (const event of ENDS) {
      call.on(event, () => {
        over = true;
        resolve();
      });
    }
  });
  return {
    ended,
    isEnded: () => over,
    write: async (message) => {
      if (over || call.write(message)) return;
      await Promise.race([new Promise<void>((resolve) => call.once('drain', resolve)), ended]);
    },
  };
}
