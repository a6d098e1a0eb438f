// The driver of agent streams: one stream per host, and what concerns all of them. Owns nothing but the open streams.
import { type handleBidiStreamingCall, status } from '@grpc/grpc-js';
import type {
  AgentMessage,
  ControllerMessage,
  Hello,
  UnenrollOutcome,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { peerOf } from '../api/peer.js';
import { askAgain } from '../discovery/ask-again.js';
import type { RetrySchedule } from '../pairing/retry.js';
import { AgentStream, type AgentStreamOptions, fail, type StreamOwner } from './agent-stream.js';
import { CloneWatch } from './clones.js';

export interface AgentSyncOptions extends AgentStreamOptions {
  readonly retries: RetrySchedule;
  /** Beside what a stream tells: what tells that all of them must be told. */
  readonly tags: AgentStreamOptions['tags'] & { readonly onChange: (listener: () => void) => () => void };
  /** How often open streams are checked for certificates that have expired, and denied workloads for their retry. */
  readonly recheckMs: number;
}

/** Clocks of hosts that nobody sets part by at most some ten milliseconds in this time. */
const TAGS_AGAIN_MS = 300_000;
/** A host's state is kept this long after its stream has ended, so that a short absence costs a delta only. */
const KEEP_STATE_MS = 10 * 60_000;

export class AgentSync implements StreamOwner {
  readonly #options: AgentSyncOptions;
  readonly #streams = new Map<string, AgentStream>();
  readonly #clones = new Map<string, CloneWatch>();
  readonly #releases = new Map<string, NodeJS.Timeout>();
  /** Hosts that are being removed. */
  readonly #farewells = new Map<string, { readonly outcome: UnenrollOutcome; told: boolean }>();
  readonly #unsubscribe: (() => void)[];

  constructor(options: AgentSyncOptions) {
    this.#options = options;
    const recheck = setInterval(() => {
      for (const stream of [...this.#streams.values()]) stream.recheck();
      askAgain(
        options.retries,
        options.store,
        options.now(),
        (hostId, localIds) => this.#streams.get(hostId)?.pairAgain(localIds) ?? false,
      );
    }, options.recheckMs);
    recheck.unref();
    const tellTags = () => {
      for (const stream of [...this.#streams.values()]) stream.sendTags();
    };
    const tagsAgain = setInterval(tellTags, TAGS_AGAIN_MS);
    tagsAgain.unref();
    this.#unsubscribe = [
      () => clearInterval(recheck),
      () => clearInterval(tagsAgain),
      options.tags.onChange(tellTags),
      options.distributor.onHostChange((hostId, keys) => this.#streams.get(hostId)?.onStateChange(keys)),
      options.store.onCommit((changes) => {
        for (const change of changes)
          if (change.kind === 'host') this.#onHostRecord(change.key, change.after !== undefined);
      }),
    ];
  }

  /** AgentSync.Sync. */
  readonly sync: handleBidiStreamingCall<AgentMessage, ControllerMessage> = (call) => {
    const peer = peerOf(call);
    if (peer === undefined) fail(call, status.UNAUTHENTICATED, 'RF_TLS_FOREIGN', 'found no host certificate');
    else new AgentStream(this, this.#options, peer, call);
  };

  /** Ends every stream; agents come back by themselves. */
  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const timer of this.#releases.values()) clearTimeout(timer);
    for (const stream of [...this.#streams.values()])
      stream.end(status.UNAVAILABLE, 'RF_CONTROLLER_STOPPING', 'the controller is stopping');
  }

  /** What becomes of a host's kernel when `removal` takes it out of the store; true when its agent was told. */
  async dismiss(hostId: string, outcome: UnenrollOutcome, removal: () => Promise<void>): Promise<boolean> {
    const farewell = { outcome, told: false };
    this.#farewells.set(hostId, farewell);
    try {
      await removal();
    } finally {
      this.#farewells.delete(hostId);
    }
    return farewell.told;
  }

  /** Makes a stream the host's only one. Throws ProtocolError when it must not be. */
  enter(stream: AgentStream, hello: Hello): void {
    const { hosts, now, log } = this.#options;
    const { hostId } = stream;
    const before = this.#streams.get(hostId);
    let clones = this.#clones.get(hostId);
    if (clones === undefined) {
      clones = new CloneWatch();
      this.#clones.set(hostId, clones);
    }
    const origin = {
      run: Buffer.from(hello.run).toString('hex'),
      machineId: hello.facts?.machineId ?? '',
      address: stream.peer.address,
    };
    const cloned = clones.onStream(origin, before !== undefined, now());
    if (cloned !== undefined) {
      log.warn({ hostId, address: stream.peer.address }, 'two agents use one certificate');
      hosts.of(hostId).own.set('RF_HOST_CLONED', {
        code: 'RF_HOST_CLONED',
        severity: 'alarm',
        title: `Two machines use the certificate of ${hostId}`,
        text: `Found ${cloned}; wanted one agent. Enrol one of them anew: their streams replace each other until then.`,
        sinceMs: BigInt(hosts.of(hostId).own.get('RF_HOST_CLONED')?.sinceMs ?? now()),
      });
    }
    before?.end(status.ABORTED, 'RF_STREAM_REPLACED', 'a newer stream of the same host has taken over');
    clearTimeout(this.#releases.get(hostId));
    this.#releases.delete(hostId);
    this.#streams.set(hostId, stream);
  }

  leave(stream: AgentStream): void {
    const { hostId } = stream;
    if (this.#streams.get(hostId) !== stream) return;
    this.#streams.delete(hostId);
    const host = this.#options.hosts.of(hostId);
    host.session = undefined;
    const timer = setTimeout(() => {
      this.#releases.delete(hostId);
      this.#options.distributor.release(hostId);
    }, KEEP_STATE_MS);
    timer.unref();
    this.#releases.set(hostId, timer);
  }

  /** A host's certificates changed, or it was removed: its stream may have lost its right. */
  #onHostRecord(hostId: string, exists: boolean): void {
    const farewell = exists ? undefined : this.#farewells.get(hostId);
    if (farewell !== undefined) farewell.told = this.#streams.get(hostId)?.dismiss(farewell.outcome) ?? false;
    this.#streams.get(hostId)?.recheck();
    if (exists) return;
    this.#clones.delete(hostId);
    clearTimeout(this.#releases.get(hostId));
    this.#releases.delete(hostId);
    this.#options.distributor.release(hostId);
    this.#options.hosts.remove(hostId);
  }
}
