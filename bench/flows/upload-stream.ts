// A flow upload of one agent that costs little: its records are encoded once, only the batch number is written for each message.

import { randomBytes } from 'node:crypto';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import type { AgentCredentials } from '@ringfence/controller/testing/simulated-agent.js';
import {
  type FlowColumns,
  FlowUploadAck,
  FlowUploadMessage,
  FlowUploadService,
} from '@ringfence/proto/gen/ringfence/v1/flows.js';

const same = (message: Buffer) => message;

export class EncodedUpload {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Buffer, FlowUploadAck>;
  /** Run and records; the number follows, since fields of a message may stand in any order. */
  readonly #head: Uint8Array;
  #acked = 0;
  #ended: Error | undefined;
  #wake = () => {};

  constructor(own: AgentCredentials, flows: FlowColumns) {
    const tls = credentials.createSsl(Buffer.from(own.caPem), Buffer.from(own.keyPem), Buffer.from(own.certificatePem));
    this.#client = new Client(own.syncAddress, tls, { 'grpc.ssl_target_name_override': 'ringfence-controller' });
    this.#head = FlowUploadMessage.encode({
      run: randomBytes(16),
      sequence: 0n,
      flows,
      loss: undefined,
      translations: undefined,
    }).finish();
    this.#stream = this.#client.makeBidiStreamRequest(FlowUploadService.upload.path, same, FlowUploadAck.decode);
    this.#stream.on('data', ({ sequence }: FlowUploadAck) => {
      this.#acked = Number(sequence);
      this.#wake();
    });
    this.#stream.on('error', (error) => {
      this.#ended = error;
      this.#wake();
    });
  }

  /** Sends with at most `window` batches under way while `more` says so; resolves with the batches that were acknowledged, all of them. */
  async run(window: number, more: () => boolean): Promise<number> {
    let sequence = 0;
    while (more()) {
      sequence += 1;
      const number = FlowUploadMessage.encode({
        run: Buffer.alloc(0),
        sequence: BigInt(sequence),
        flows: undefined,
        loss: undefined,
        translations: undefined,
      }).finish();
      this.#stream.write(Buffer.concat([this.#head, number]));
      if (sequence >= window) await this.#untilAcked(sequence - window + 1);
    }
    await this.#untilAcked(sequence);
    return this.#acked;
  }

  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.cancel();
    this.#client.close();
  }

  async #untilAcked(sequence: number): Promise<void> {
    while (this.#acked < sequence) {
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
