// A flow upload of one agent that costs little: its records are encoded once, only the batch number is written for each message.

import { randomBytes } from 'node:crypto';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import type { AgentCredentials } from '@ringfence/controller/testing/simulated-agent.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import {
  type FlowColumns,
  FlowUploadAck,
  FlowUploadMessage,
  FlowUploadService,
} from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { BATCH_APART_US, FIRST_PORT, PORTS } from './fleet-batches.js';

const same = (message: Buffer) => message;

export class EncodedUpload {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Buffer, FlowUploadAck>;
  /** Run and records; the number follows, since fields of a message may stand in any order. */
  readonly #head: Buffer;
  /** Where the times of the records stand in it. */
  readonly #times: readonly number[];
  /** Where the ports of those who opened the connections stand. */
  readonly #ports: readonly number[];
  readonly #count: number;
  #acked = 0;
  #ended: Error | undefined;
  #wake = () => {};

  constructor(own: AgentCredentials, flows: FlowColumns) {
    const tls = credentials.createSsl(Buffer.from(own.caPem), Buffer.from(own.keyPem), Buffer.from(own.certificatePem));
    this.#client = new Client(own.syncAddress, tls, { 'grpc.ssl_target_name_override': 'ringfence-controller' });
    const head = FlowUploadMessage.encode({
      run: randomBytes(16),
      sequence: 0n,
      flows,
      loss: undefined,
      translations: undefined,
    }).finish();
    this.#head = Buffer.from(head);
    this.#count = flows.count;
    this.#times = [flows.firstSeenUs, flows.lastSeenUs].map((column) => this.#head.indexOf(column));
    const [local, remote] = [flows.localPort, flows.remotePort].map((column) => this.#head.indexOf(column));
    this.#ports = [...flows.direction].map((direction, i) => {
      return 2 * i + ((direction === Direction.DIRECTION_OUTBOUND ? local : remote) ?? 0);
    });
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
      const message = Buffer.concat([this.#head, number]);
      this.#move(message, sequence);
      this.#stream.write(message);
      if (sequence >= window) await this.#untilAcked(sequence - window + 1);
    }
    await this.#untilAcked(sequence);
    return this.#acked;
  }

  /** Each batch tells of connections of its own: the same ones a little later, each from the next port. */
  #move(message: Buffer, batches: number): void {
    const byUs = batches * BATCH_APART_US;
    for (const at of this.#ports) {
      message.writeUInt16LE(FIRST_PORT + ((message.readUInt16LE(at) - FIRST_PORT + batches) % PORTS), at);
    }
    for (const column of this.#times) {
      for (let at = column; at < column + 8 * this.#count; at += 8) {
        const us = message.readUInt32LE(at) + message.readUInt32LE(at + 4) * 0x1_0000_0000 + byUs;
        message.writeUInt32LE(us % 0x1_0000_0000, at);
        message.writeUInt32LE(Math.floor(us / 0x1_0000_0000), at + 4);
      }
    }
  }

  /** Records of a batch. */
  get count(): number {
    return this.#count;
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
