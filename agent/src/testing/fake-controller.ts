// A controller as agents see it: AgentSync and FlowUpload over mutual TLS. What it hears is kept; what it says, a test decides.
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import {
  type AgentMessage,
  type AgentStatus,
  AgentSyncService,
  type ControllerMessage,
  type Hello,
  type Inventory,
  Update,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import {
  type FlowUploadAck,
  type FlowUploadMessage,
  FlowUploadService,
} from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { recordsOf, type TestRecord } from '../flows/testing/records.js';
import type { TestAuthority } from './test-authority.js';

export class FakeController {
  readonly hellos: Hello[] = [];
  readonly inventories: Inventory[] = [];
  readonly acks: number[] = [];
  readonly nacks: { revision: number; code: string; message: string }[] = [];
  readonly uploads: FlowUploadMessage[] = [];
  status: AgentStatus | undefined;
  /** Offer to continue when the agent has this epoch. */
  epoch = 'epoch-1';
  #server: Server | undefined;
  #stream: ServerDuplexStream<AgentMessage, ControllerMessage> | undefined;
  #taken = new Map<string, number>();

  constructor(readonly authority: TestAuthority) {}

  /** Listens on host; returns the port. */
  async start(host: string, port = 0): Promise<number> {
    const sync = (stream: ServerDuplexStream<AgentMessage, ControllerMessage>) => {
      this.#stream = stream;
      stream.on('error', () => {});
      stream.on('end', () => stream.end());
      stream.on('data', (message: AgentMessage) => this.#hear(message));
    };
    const upload = (stream: ServerDuplexStream<FlowUploadMessage, FlowUploadAck>) => {
      stream.on('error', () => {});
      stream.on('end', () => stream.end());
      stream.on('data', (message: FlowUploadMessage) => {
        const run = message.run.toString('hex');
        const sequence = Number(message.sequence);
        // As the real one: what was taken before is dropped by its number.
        if (sequence > (this.#taken.get(run) ?? 0)) {
          this.#taken.set(run, sequence);
          this.uploads.push(message);
        }
        stream.write({ run: message.run, sequence: BigInt(this.#taken.get(run) ?? 0) });
      });
    };
    const services = [
      [AgentSyncService, { sync }],
      [FlowUploadService, { upload }],
    ] as const;
    const { address, server } = await this.authority.serve([...services], true, port, host);
    this.#server = server;
    return Number(address.split(':').at(-1));
  }

  /** Goes away without a word. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#stream = undefined;
  }

  send(update: Parameters<typeof Update.create>[0]): void {
    if (!this.#stream) throw new Error('Cannot send an update: no agent is connected');
    this.#stream.write({ body: { $case: 'update', value: Update.create(update) } });
  }

  /** Every record that arrived, as rows. */
  get records(): TestRecord[] {
    return this.uploads.flatMap(({ flows }) => (flows ? recordsOf({ lane: 'allow', columns: flows }) : []));
  }

  #hear(message: AgentMessage): void {
    const body = message.body;
    if (body?.$case === 'hello') {
      this.hellos.push(body.value);
      const resumed = body.value.epoch === this.epoch;
      this.#stream?.write({ body: { $case: 'welcome', value: { hostId: 'h1', epoch: this.epoch, resumed } } });
    } else if (body?.$case === 'inventory') this.inventories.push(body.value);
    else if (body?.$case === 'ack') this.acks.push(Number(body.value.revision));
    else if (body?.$case === 'nack') {
      const { revision, code, message: text } = body.value;
      this.nacks.push({ revision: Number(revision), code, message: text });
    } else if (body?.$case === 'status') this.status = body.value;
  }
}
