// The driver of flow streams: takes batches, answers with what is safe. One stream per host; reading pauses while an answer waits.
import { type handleBidiStreamingCall, Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js';
import {
  type FlowUploadAck,
  type FlowUploadMessage,
  FlowUploadService,
} from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Logger } from 'pino';
import { type Peer, peerOf } from '../api/peer.js';
import type { TranslationResolver } from '../discovery/translation-resolver.js';
import type { StateStore } from '../store/state-store.js';
import type { FlowIngest } from './ingest.js';
import { decodeUpload } from './upload-message.js';

/** FlowUpload.Upload, its batches read without copying their columns. */
export const UPLOAD = { ...FlowUploadService.upload, requestDeserialize: decodeUpload };

type UploadCall = ServerDuplexStream<FlowUploadMessage, FlowUploadAck>;

export interface FlowUploadOptions {
  readonly ingest: FlowIngest;
  readonly store: StateStore;
  /** Takes what hosts tell of the connections that they translate. */
  readonly translations?: Pick<TranslationResolver, 'take' | 'forget'> | undefined;
  /** Why a certificate is no longer good; undefined while it is. */
  readonly refusal: (peer: Peer) => string | undefined;
  /** How often open streams are checked for certificates that have expired. */
  readonly recheckMs: number;
  readonly log: Logger;
}

/** Records that may wait for the store before streams are paused. */
const PENDING_MAX = 262_144;

interface OpenStream {
  readonly peer: Peer;
  readonly call: UploadCall;
}

export class FlowUpload {
  readonly #options: FlowUploadOptions;
  /** One per host: a newer stream ends the older one, whose end may not have been noticed. */
  readonly #streams = new Map<string, OpenStream>();
  readonly #unsubscribe: () => void;
  readonly #recheck: NodeJS.Timeout;

  constructor(options: FlowUploadOptions) {
    this.#options = options;
    this.#recheck = setInterval(() => {
      for (const stream of [...this.#streams.values()]) this.#check(stream);
    }, options.recheckMs);
    this.#recheck.unref();
    this.#unsubscribe = options.store.onCommit((changes) => {
      for (const change of changes) {
        if (change.kind !== 'host') continue;
        this.#check(this.#streams.get(change.key));
        if (change.after !== undefined) continue;
        options.ingest.forget(change.key);
        options.translations?.forget(change.key);
      }
    });
  }

  /** FlowUpload.Upload. */
  readonly upload: handleBidiStreamingCall<FlowUploadMessage, FlowUploadAck> = (call) => {
    const peer = peerOf(call);
    if (peer === undefined) return;
    const stream = { peer, call };
    const before = this.#streams.get(peer.name);
    if (before !== undefined) {
      this.#end(before, status.ABORTED, 'RF_STREAM_REPLACED', 'a newer stream of the same host has taken over');
    }
    this.#streams.set(peer.name, stream);
    call.on('data', (message: FlowUploadMessage) => this.#onMessage(stream, message));
    call.on('end', () => {
      this.#leave(stream);
      call.end();
    });
    for (const event of ['cancelled', 'error', 'close']) call.on(event, () => this.#leave(stream));
  };

  stop(): void {
    this.#unsubscribe();
    clearInterval(this.#recheck);
    for (const stream of [...this.#streams.values()]) {
      this.#end(stream, status.UNAVAILABLE, 'RF_CONTROLLER_STOPPING', 'the controller is stopping');
    }
  }

  /** Ends a stream whose certificate is no longer good. */
  #check(stream: OpenStream | undefined): void {
    const why = stream === undefined ? undefined : this.#options.refusal(stream.peer);
    if (stream !== undefined && why !== undefined) this.#end(stream, status.UNAUTHENTICATED, 'RF_TLS_REVOKED', why);
  }

  #onMessage(stream: OpenStream, message: FlowUploadMessage): void {
    if (this.#streams.get(stream.peer.name) !== stream) return;
    const { ingest } = this.#options;
    let sequence = 0n;
    let safe = false;
    const acknowledge = () => {
      safe = true;
      if (sequence > 0n && this.#streams.get(stream.peer.name) === stream) this.#write(stream, message.run, sequence);
    };
    // Before the records: they may be of the connections that these name.
    const wrong = this.#takeTranslations(stream, message);
    if (wrong !== undefined) {
      this.#refuse(stream, wrong);
      return;
    }
    const outcome = ingest.take(stream.peer.name, message, acknowledge);
    if (!outcome.taken) {
      this.#refuse(stream, outcome.problem);
      return;
    }
    if (outcome.refused !== undefined) {
      const { refused: problem } = outcome;
      this.#options.log.warn({ hostId: stream.peer.name, problem }, 'refused the records of a flow batch');
    }
    sequence = outcome.sequence;
    // Settled within the call, before the sequence was known.
    if (safe) acknowledge();
    else if (ingest.pending > PENDING_MAX) this.#pauseUntilSettled(stream);
  }

  #takeTranslations(stream: OpenStream, { run, translations }: FlowUploadMessage): string | undefined {
    if (translations === undefined) return undefined;
    return this.#options.translations?.take(stream.peer.name, run.toString('hex'), translations);
  }

  #refuse(stream: OpenStream, problem: string): void {
    this.#options.log.warn({ hostId: stream.peer.name, problem }, 'refused a flow batch');
    this.#end(stream, status.INVALID_ARGUMENT, 'RF_FLOW_BATCH', `found ${problem}`);
  }

  #write(stream: OpenStream, run: Buffer, sequence: bigint): void {
    if (stream.call.write({ run, sequence })) return;
    stream.call.pause();
    stream.call.once('drain', () => stream.call.resume());
  }

  /** The store is behind: this stream waits, so that the memory for what is not stored stays bounded. */
  #pauseUntilSettled(stream: OpenStream): void {
    stream.call.pause();
    this.#options.ingest.whenSettled(() => stream.call.resume());
  }

  #end(stream: OpenStream, code: status, rfCode: string, why: string): void {
    this.#leave(stream);
    const metadata = new Metadata();
    metadata.set('rf-code', rfCode);
    stream.call.emit('error', { code, details: `${rfCode}: Cannot go on with this stream: ${why}`, metadata });
  }

  #leave(stream: OpenStream): void {
    if (this.#streams.get(stream.peer.name) === stream) this.#streams.delete(stream.peer.name);
  }
}
