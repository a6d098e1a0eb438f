// Connections to the controller: mutual TLS with the credentials on disk, read anew for each connection, so that a renewed
// certificate or a later enrolment counts from the next one on. Every client has its own HTTP/2 connection: flows never wait
// behind policy, nor policy behind flows.
import { type ClientOptions, credentials as grpcCredentials } from '@grpc/grpc-js';
import { AgentError } from '../errors.js';
import { type Credentials, readCredentials } from './credentials.js';
import { CONTROLLER_SERVER_NAME } from './enroll.js';

/** What a gRPC client constructor takes. */
export interface ChannelArguments {
  readonly address: string;
  readonly credentials: ReturnType<typeof grpcCredentials.createSsl>;
  readonly options: ClientOptions;
}

export class ControllerChannel {
  readonly #stateDir: string;
  readonly #configured: string | undefined;

  /** configured: the sync address, when the one told at enrolment should not be used. */
  constructor(stateDir: string, configured: string | undefined) {
    this.#stateDir = stateDir;
    this.#configured = configured;
  }

  /** undefined when this host is not enrolled. Throws RF_CREDENTIALS. */
  credentials(): Credentials | undefined {
    return readCredentials(this.#stateDir);
  }

  /** Where AgentSync listens; undefined when neither configured nor enrolled. */
  get address(): string | undefined {
    return this.#configured ?? this.credentials()?.syncAddress;
  }

  /** Arguments for the next client. Throws RF_CREDENTIALS, also when this host is not enrolled. */
  next(): ChannelArguments {
    const own = this.credentials();
    if (!own) {
      throw new AgentError(
        'RF_CREDENTIALS',
        `Cannot connect to the controller: found no credentials in ${this.#stateDir}, wanted an enrolled host (ringfence enroll)`,
      );
    }
    return {
      address: this.#configured ?? own.syncAddress,
      credentials: grpcCredentials.createSsl(
        Buffer.from(own.caPem),
        Buffer.from(own.keyPem),
        Buffer.from(own.certificatePem),
      ),
      options: {
        'grpc.ssl_target_name_override': CONTROLLER_SERVER_NAME,
        'grpc.default_authority': CONTROLLER_SERVER_NAME,
        // A peer that vanished without a word is noticed within 15 s.
        'grpc.keepalive_time_ms': 10_000,
        'grpc.keepalive_timeout_ms': 5_000,
        'grpc.keepalive_permit_without_calls': 1,
        'grpc.use_local_subchannel_pool': 1,
        'grpc.enable_retries': 0,
        'grpc.max_receive_message_length': 64 << 20,
        'grpc.max_send_message_length': 64 << 20,
      },
    };
  }
}
