// The admin API as an operator's program uses it, for tests and benchmarks.
import { readFileSync } from 'node:fs';
import {
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { AuditClient } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { type FlowStreamMessage, FlowsClient } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { HostsClient } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { LabelsClient } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import { NatMappingsClient } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import { PairingClient } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { PolicyClient } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { SpacesClient } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { StatusClient } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { TagsClient } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { WebClient } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import { WorkloadsClient } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';

/** The form of a generated unary method that type inference sees: its last overload. */
type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

export class AdminClient {
  readonly workloads: WorkloadsClient;
  readonly labels: LabelsClient;
  readonly policy: PolicyClient;
  readonly flows: FlowsClient;
  readonly hosts: HostsClient;
  readonly nat: NatMappingsClient;
  readonly spaces: SpacesClient;
  readonly status: StatusClient;
  readonly tags: TagsClient;
  readonly pairing: PairingClient;
  readonly audit: AuditClient;
  readonly web: WebClient;
  readonly caPem: string;

  /** By the context file that the controller writes. */
  constructor(contextFile: string) {
    const context = JSON.parse(readFileSync(contextFile, 'utf8')) as Record<string, string>;
    const read = (name: string) => readFileSync(context[name] ?? '');
    const channel: ChannelCredentials = credentials.createSsl(read('caFile'), read('keyFile'), read('certFile'));
    const options = {
      'grpc.ssl_target_name_override': context.serverName ?? '',
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
    };
    const address = context.address ?? '';
    this.caPem = read('caFile').toString();
    this.workloads = new WorkloadsClient(address, channel, options);
    this.labels = new LabelsClient(address, channel, options);
    this.policy = new PolicyClient(address, channel, options);
    this.flows = new FlowsClient(address, channel, options);
    this.hosts = new HostsClient(address, channel, options);
    this.nat = new NatMappingsClient(address, channel, options);
    this.spaces = new SpacesClient(address, channel, options);
    this.status = new StatusClient(address, channel, options);
    this.tags = new TagsClient(address, channel, options);
    this.pairing = new PairingClient(address, channel, options);
    this.audit = new AuditClient(address, channel, options);
    this.web = new WebClient(address, channel, options);
  }

  close(): void {
    const clients: Client[] = [
      this.workloads,
      this.labels,
      this.policy,
      this.flows,
      this.hosts,
      this.nat,
      this.spaces,
      this.status,
      this.tags,
      this.pairing,
      this.audit,
      this.web,
    ];
    for (const client of clients) client.close();
  }
}

/** A unary call as a promise: `call(client.status, client.status.get, request)`. */
export function call<Request, Response>(
  client: Client,
  method: Unary<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, new Metadata(), {}, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

/** All messages of a stream that ends by itself. */
export async function collect<T>(stream: ClientReadableStream<T>): Promise<T[]> {
  const messages: T[] = [];
  for await (const message of stream) messages.push(message as T);
  return messages;
}

/** A live tail that gathers what it is sent. */
export class Tail {
  readonly messages: FlowStreamMessage[] = [];
  readonly #stream: ClientReadableStream<FlowStreamMessage>;
  #wake = () => {};

  constructor(stream: ClientReadableStream<FlowStreamMessage>) {
    this.#stream = stream;
    stream.on('error', () => {});
    stream.on('data', (message: FlowStreamMessage) => {
      this.messages.push(message);
      this.#wake();
    });
  }

  get rows() {
    return this.messages.flatMap(({ body }) => (body?.$case === 'rows' ? body.value.flows : []));
  }

  get gaps() {
    return this.messages.flatMap(({ body }) => (body?.$case === 'gap' ? [body.value] : []));
  }

  get synced(): boolean {
    return this.messages.some(({ body }) => body?.$case === 'synced');
  }

  async until(condition: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0)
        throw new Error(`no ${what} within ${timeoutMs} ms; got ${this.rows.length} rows, ${this.gaps.length} gaps`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#stream.cancel();
  }
}
