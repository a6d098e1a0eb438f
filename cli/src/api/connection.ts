import { Client, type ClientReadableStream, credentials, Metadata } from '@grpc/grpc-js';
import type { Context } from '../context/load.js';
import { faultOf } from './fault.js';

/** A method of a generated service definition, `HostsService.list`. */
interface Method<Q, R, Stream extends boolean> {
  path: string;
  requestStream: false;
  responseStream: Stream;
  requestSerialize(request: Q): Buffer;
  responseDeserialize(bytes: Buffer): R;
}

/** Answers of up to this size are taken; the controller's pages are far below. */
const messageBytesMax = 64 * 1024 * 1024;

/** One connection to one controller, for the methods of all services. Must be closed. */
export class Connection {
  readonly address: string;
  readonly #client: Client;
  readonly #timeoutMs: number;

  constructor(context: Context, timeoutMs: number) {
    const { caPem, keyPem, certificatePem } = context.identity;
    this.address = context.address;
    this.#timeoutMs = timeoutMs;
    this.#client = new Client(context.address, credentials.createSsl(caPem, keyPem, certificatePem), {
      'grpc.ssl_target_name_override': context.serverName,
      'grpc.default_authority': context.serverName,
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.max_send_message_length': messageBytesMax,
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 5000,
      'grpc.keepalive_time_ms': 20_000,
      'grpc.keepalive_timeout_ms': 10_000,
      'grpc.enable_retries': 0,
      // Context files name the address they mean: a proxy in the environment is not asked.
      'grpc.enable_http_proxy': 0,
    });
  }

  /** One call with its one answer. Fails with a CliError; `doing` completes "Cannot …". */
  call<Q, R>(doing: string, method: Method<Q, R, false>, request: Q): Promise<R> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      const deadline = new Date(Date.now() + this.#timeoutMs);
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        { deadline },
        (error, response) => {
          if (error) reject(faultOf(error, doing, this.address));
          else if (response === undefined) reject(new Error(`no answer and no error from ${path}`));
          else resolve(response);
        },
      );
    });
  }

  /** Messages as they come, until the server ends or `cancel` is called. Errors are the stream's own ServiceErrors. */
  stream<Q, R>(method: Method<Q, R, true>, request: Q): ClientReadableStream<R> {
    const { path, requestSerialize, responseDeserialize } = method;
    return this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
  }

  close(): void {
    this.#client.close();
  }
}
