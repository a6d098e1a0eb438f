// The driver of agent streams: gRPC on one side, AgentSession on the other. Owns nothing but the open streams.
import { type handleBidiStreamingCall, Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js';
import type {
  AgentMessage,
  ControllerMessage,
  Hello,
  Inventory,
  TagKeys,
  UnenrollOutcome,
  Update,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import { type Peer, peerOf } from '../api/peer.js';
import { asCaller } from '../audit/caller.js';
import { factsRecord } from '../ca/host-facts.js';
import { askAgain } from '../discovery/ask-again.js';
import { type PairStep, takeInventory } from '../discovery/inventory.js';
import type { LoginIntake } from '../discovery/login-intake.js';
import { takeSourceTranslations } from '../discovery/source-translations.js';
import type { RetrySchedule } from '../pairing/retry.js';
import type { StateStore } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { AgentSession, ProtocolError } from './agent-session.js';
import { CloneWatch } from './clones.js';
import type { Distributor } from './distributor.js';
import { CONDITIONS_MAX, capacityProblems, type HostRuntime, type HostRuntimes } from './host-runtime.js';
import type { CellKey, HostState } from './host-state.js';
import type { Revisions } from './revisions.js';
import { SET_BYTES_MAX, setBytes, updatesOf } from './wire.js';

/** In HostFacts.features of agents that take TagKeys. */
export const TAGS_FEATURE = 'syn_tags';

type SyncCall = ServerDuplexStream<AgentMessage, ControllerMessage>;

export interface AgentSyncOptions {
  readonly epoch: string;
  readonly store: StateStore;
  readonly index: WorkloadIndex;
  readonly distributor: Distributor;
  /** Decides on pairing keys, and on labels that follow logins. */
  readonly pair: PairStep;
  readonly logins: LoginIntake;
  readonly retries: RetrySchedule;
  readonly revisions: Revisions;
  /** What hosts are told of in-band tags: after Welcome, at each change, and every TAGS_AGAIN_MS for the time in it. */
  readonly tags: { readonly message: () => TagKeys; readonly onChange: (listener: () => void) => () => void };
  readonly hosts: HostRuntimes;
  /** Why a certificate is no longer good, as a sentence fragment; undefined while it is. */
  readonly refusal: (peer: Peer) => string | undefined;
  /** How often open streams are checked for certificates that have expired, and denied workloads for their retry. */
  readonly recheckMs: number;
  readonly now: () => number;
  readonly log: Logger;
}

/** Clocks of hosts that nobody sets part by at most some ten milliseconds in this time. */
const TAGS_AGAIN_MS = 300_000;
const HELLO_TIMEOUT_MS = 10_000;
/** A host's state is kept this long after its stream has ended, so that a short absence costs a delta only. */
const KEEP_STATE_MS = 10 * 60_000;
/** Above any revision that can have been given; numbers stay exact in JavaScript. */
const REVISION_MAX = 2 ** 52;

export class AgentSync {
  readonly #options: AgentSyncOptions;
  readonly #streams = new Map<string, Stream>();
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
    else new Stream(this, this.#options, peer, call);
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
  enter(stream: Stream, hello: Hello): void {
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

  leave(stream: Stream): void {
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

/** One open stream. Messages are handled one after the other; reading pauses while one is being handled. */
class Stream {
  readonly hostId: string;
  readonly peer: Peer;
  readonly #owner: AgentSync;
  readonly #options: AgentSyncOptions;
  readonly #call: SyncCall;
  readonly #session: AgentSession;
  readonly #timer: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;
  #open = true;
  #greeted = false;
  #state: HostState | undefined;
  #pumping = false;
  readonly #tooLarge = new Map<CellKey, number>();
  #chain: Promise<void> = Promise.resolve();

  constructor(owner: AgentSync, options: AgentSyncOptions, peer: Peer, call: SyncCall) {
    this.hostId = peer.name;
    this.peer = peer;
    this.#owner = owner;
    this.#options = options;
    this.#call = call;
    this.#session = new AgentSession(options.epoch, () => options.revisions.next());
    this.#timer = setTimeout(() => {
      if (!this.#greeted) this.end(status.DEADLINE_EXCEEDED, 'RF_STREAM_PROTOCOL', 'found no Hello within 10 s');
    }, HELLO_TIMEOUT_MS);
    call.on('data', (message: AgentMessage) => {
      call.pause();
      this.#chain = this.#chain.then(async () => {
        if (!this.#open) return;
        try {
          await this.#asHost(() => this.#onMessage(message));
        } catch (error) {
          this.#fail(error);
        }
        call.resume();
      });
    });
    call.on('end', () => this.end(status.OK, '', ''));
    call.on('cancelled', () => this.#close());
    call.on('error', () => this.#close());
  }

  /** Ends the stream with a status; OK ends it plainly. */
  end(code: status, rfCode: string, why: string): void {
    if (!this.#open) return;
    this.#close();
    if (code === status.OK) this.#call.end();
    else fail(this.#call, code, rfCode, why);
  }

  /** Tells the agent to leave, as the last thing on its stream. False while it has not said Hello. */
  dismiss(outcome: UnenrollOutcome): boolean {
    if (!this.#open || !this.#greeted) return false;
    this.#call.write({ body: { $case: 'unenroll', value: { outcome } } });
    this.end(status.OK, '', '');
    return true;
  }

  /** Asks for a report of these workloads. False while it cannot be sent. */
  pairAgain(localIds: string[]): boolean {
    if (!this.#open || this.#state === undefined) return false;
    this.#call.write({ body: { $case: 'pairAgain', value: { localIds } } });
    return true;
  }

  onStateChange(keys: readonly CellKey[]): void {
    this.#session.onChange(keys);
    this.#noteSets(keys);
    if (this.#state !== undefined) this.#checkCapacity(this.#options.hosts.of(this.hostId));
  }

  /** Tells the host the keys of in-band tags, if its agent knows what they are. */
  sendTags(): void {
    const { hosts, store, tags } = this.#options;
    // A host that was just removed still has its stream, and is to hear of no new key.
    if (!this.#open || this.#state === undefined || store.get('host', this.hostId) === undefined) return;
    if (hosts.of(this.hostId).facts?.features.includes(TAGS_FEATURE) !== true) return;
    this.#call.write({ body: { $case: 'tags', value: tags.message() } });
  }

  /** Ends the stream when its certificate is no longer good; else takes what had to wait. */
  recheck(): void {
    const why = this.#options.refusal(this.peer);
    if (why !== undefined) this.end(status.UNAUTHENTICATED, 'RF_TLS_REVOKED', why);
    else if (this.#options.logins.waits(this.hostId)) {
      this.#chain = this.#chain
        .then(() => this.#asHost(() => this.#options.logins.retry(this.hostId)))
        .catch((error: unknown) => this.#fail(error));
    }
  }

  /** What an agent's report brings about stands under its host's name in the audit log. */
  #asHost(body: () => Promise<void>): Promise<void> {
    return asCaller({ name: `host:${this.hostId}`, address: this.peer.address }, body);
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#options.logins.forget(this.hostId);
    this.#owner.leave(this);
  }

  #fail(error: unknown): void {
    if (error instanceof ProtocolError) {
      this.end(status.FAILED_PRECONDITION, error.code, error.message);
      return;
    }
    this.#options.log.error({ err: error, hostId: this.hostId }, 'agent stream failed');
    this.end(status.INTERNAL, 'RF_INTERNAL', 'an unexpected error; see the controller log');
  }

  async #onMessage(message: AgentMessage): Promise<void> {
    const { hosts, now } = this.#options;
    const body = message.body;
    const host = hosts.of(this.hostId);
    host.lastSeenMs = now();
    if (!this.#greeted && body?.$case !== 'hello') {
      throw new ProtocolError(`Cannot take ${body?.$case ?? 'an empty message'}: wanted Hello first`);
    }
    switch (body?.$case) {
      case 'hello':
        return this.#onHello(body.value, host);
      case 'inventory':
        return this.#onInventory(body.value, host);
      case 'ack':
        this.#session.onAck(revisionOf(body.value.revision));
        return this.#afterAnswer(host);
      case 'nack': {
        const { revision, code, message: text, table } = body.value;
        this.#options.log.warn(
          { hostId: this.hostId, revision: String(revision), code, table },
          'agent refused a revision',
        );
        const refusal = {
          revision: revisionOf(revision),
          code: cut(code),
          message: cut(text, 1024),
          table: cut(table),
        };
        this.#session.onNack(refusal, now());
        return this.#afterAnswer(host);
      }
      case 'status':
        host.workloads = new Map(body.value.workloads.slice(0, 8192).map((w) => [w.localId, w]));
        if (body.value.tables.length > 0) host.tables = body.value.tables.slice(0, CONDITIONS_MAX);
        host.tags = body.value.tags;
        host.conditions = body.value.conditions.slice(0, CONDITIONS_MAX);
        return this.#checkCapacity(host);
      case 'logins':
        return this.#options.logins.take(this.hostId, body.value);
      case 'translations': {
        const { value } = body;
        const problems = await this.#options.store.update((tx) => takeSourceTranslations(tx, this.hostId, value));
        if (problems.length > 0)
          this.#options.log.warn({ hostId: this.hostId, problems: problems.slice(0, 5) }, 'translations not taken');
        return;
      }
      case 'resync':
        this.#options.log.info(
          { hostId: this.hostId, reason: cut(body.value.reason) },
          'agent asked for the full state',
        );
        this.#session.onResync();
        void this.#pump();
        return;
      default:
        throw new ProtocolError('Cannot take a message: found no known body, wanted one of this protocol version');
    }
  }

  async #onHello(hello: Hello, host: HostRuntime): Promise<void> {
    if (this.#greeted) throw new ProtocolError('Cannot take Hello: found a second one, wanted one per stream');
    const { distributor, revisions, epoch, store, log } = this.#options;
    this.#greeted = true;
    const revision = revisionOf(hello.revision);
    this.#owner.enter(this, hello);
    const state = await distributor.attach(this.hostId);
    if (hello.epoch === epoch && revision > revisions.last) await revisions.raise(revision);
    // What the machine is and can do is on record before anything is sent to it.
    const facts = factsRecord(hello.facts);
    const name = cut(hello.facts?.hostname ?? '');
    await store.update((tx) => {
      const record = tx.get('host', this.hostId);
      if (record !== undefined)
        tx.set('host', this.hostId, {
          ...record,
          facts,
          name: name === '' ? record.name : name,
          unpaired: hello.isolateUnpaired ? 'isolate' : 'visibility',
        });
    });
    if (!this.#open) return;
    this.#state = state;
    this.#noteSets(state.keys('set'));
    const { resumed } = this.#session.onHello({ protocol: hello.protocol, epoch: hello.epoch, revision }, state);
    host.session = this.#session;
    host.peerAddress = this.peer.address;
    host.facts = hello.facts;
    if (hello.capacities.length > 0) host.tables = hello.capacities.slice(0, CONDITIONS_MAX);
    // Before the pump: no Update may come ahead of Welcome.
    this.#call.write({ body: { $case: 'welcome', value: { hostId: this.hostId, epoch, resumed } } });
    this.sendTags();
    this.#afterAnswer(host);
    log.info(
      { hostId: this.hostId, address: this.peer.address, resumed, agent: hello.facts?.agentVersion },
      'agent connected',
    );
    this.#checkCapacity(host);
  }

  async #onInventory(inventory: Inventory, host: HostRuntime): Promise<void> {
    const { store, index, now, pair } = this.#options;
    const { problems } = await store.update((tx) =>
      takeInventory(tx, this.hostId, index.ofHost(this.hostId), inventory, now(), pair),
    );
    if (problems.length > 0 || inventory.full) host.own.delete('RF_INVENTORY_INVALID');
    if (problems.length > 0) {
      host.own.set('RF_INVENTORY_INVALID', {
        code: 'RF_INVENTORY_INVALID',
        severity: 'warning',
        title: `${problems.length} workloads of ${this.hostId} could not be taken`,
        text: problems.slice(0, 5).join('; '),
        sinceMs: BigInt(now()),
      });
    }
  }

  /** The session's standing may have changed: shows it and goes on. */
  #afterAnswer(host: HostRuntime): void {
    const { acked, ackedPolicyVersion, refusal } = this.#session;
    host.ackedRevision = acked;
    if (ackedPolicyVersion !== 0 && host.ackedPolicyVersion !== ackedPolicyVersion) {
      host.ackedPolicyVersion = ackedPolicyVersion;
      this.#options.hosts.policyLatency.acknowledged(ackedPolicyVersion, this.#options.now());
    }
    host.refusal = refusal === undefined ? undefined : { ...refusal, revision: BigInt(refusal.revision) };
    void this.#pump();
  }

  /** Notes sets that no message can carry. */
  #noteSets(keys: Iterable<CellKey>): void {
    for (const key of keys) {
      const cell = this.#state?.cell(key);
      if (cell?.table !== 'set') continue;
      const bytes = cell.value === undefined ? 0 : setBytes(cell.value);
      if (bytes > SET_BYTES_MAX) this.#tooLarge.set(key, bytes);
      else this.#tooLarge.delete(key);
    }
  }

  /** Holds updates back while they would not fit the host's tables. */
  #checkCapacity(host: HostRuntime): void {
    const { distributor, now } = this.#options;
    const need = distributor.capacity(this.hostId);
    const problems = need === undefined ? [] : capacityProblems(need, host.tables);
    for (const bytes of this.#tooLarge.values()) {
      problems.push(`a policy set takes ${bytes} bytes, wanted at most ${SET_BYTES_MAX}`);
    }
    if (problems.length === 0) {
      this.#session.hold(undefined);
      host.own.delete('RF_CAPACITY');
    } else {
      this.#session.hold(problems.join('; '));
      host.own.set('RF_CAPACITY', {
        code: 'RF_CAPACITY',
        severity: 'alarm',
        title: `Policy does not fit the kernel tables of ${this.hostId}`,
        text: `${problems.join('; ')}. The last good state stays in force. Raise mapSizes in the agent's config, or shrink the policy.`,
        sinceMs: BigInt(host.own.get('RF_CAPACITY')?.sinceMs ?? now()),
      });
    }
    void this.#pump();
  }

  /** Sends what is to be sent, as far as the peer reads. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const outgoing = this.#open ? this.#session.next(this.#options.now()) : undefined;
        if (outgoing === undefined) break;
        for (const update of updatesOf(outgoing)) {
          if (!this.#open) return;
          if (!this.#write(update)) await this.#drained();
        }
      }
      this.#wakeForRetry();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = false;
    }
  }

  #write(update: Update): boolean {
    return this.#call.write({ body: { $case: 'update', value: update } });
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        for (const event of ['drain', 'close', 'cancelled', 'error']) this.#call.off(event, done);
        resolve();
      };
      for (const event of ['drain', 'close', 'cancelled', 'error']) this.#call.once(event, done);
    });
  }

  #wakeForRetry(): void {
    const at = this.#session.retryAtMs();
    clearTimeout(this.#retry);
    if (at === undefined || !this.#open) return;
    this.#retry = setTimeout(() => void this.#pump(), Math.max(1, at - this.#options.now()));
    this.#retry.unref();
  }
}

function revisionOf(value: bigint): number {
  if (value > BigInt(REVISION_MAX))
    throw new ProtocolError(`Cannot take revision ${value}: wanted at most ${REVISION_MAX}`);
  return Number(value);
}

function cut(text: string, length = 255): string {
  return text.slice(0, length);
}

function fail(call: SyncCall, code: status, rfCode: string, why: string): void {
  const metadata = new Metadata();
  metadata.set('rf-code', rfCode);
  call.emit('error', { code, details: `${rfCode}: Cannot go on with this stream: ${why}`, metadata });
}
