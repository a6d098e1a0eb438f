// One agent's stream: gRPC on one side, AgentSession on the other. Messages are handled one after the other.
import { Metadata, status } from '@grpc/grpc-js';
import type {
  AgentMessage,
  Hello,
  Inventory,
  TagKeys,
  UnenrollOutcome,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import type { Peer } from '../api/peer.js';
import { asCaller } from '../audit/caller.js';
import { factsRecord } from '../ca/host-facts.js';
import { type PairStep, takeInventory } from '../discovery/inventory.js';
import type { LoginIntake } from '../discovery/login-intake.js';
import { takeSourceTranslations } from '../discovery/source-translations.js';
import type { StateStore } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { AgentSession, ProtocolError } from './agent-session.js';
import { CapacityWatch } from './capacity-watch.js';
import type { Distributor } from './distributor.js';
import { CONDITIONS_MAX, type HostRuntime, type HostRuntimes } from './host-runtime.js';
import type { CellKey, HostState } from './host-state.js';
import type { Revisions } from './revisions.js';
import { type SyncCall, UpdatePump } from './update-pump.js';

/** In HostFacts.features of agents that take TagKeys. */
export const TAGS_FEATURE = 'syn_tags';

export interface AgentStreamOptions {
  readonly epoch: string;
  readonly store: StateStore;
  readonly index: WorkloadIndex;
  readonly distributor: Distributor;
  /** Decides on pairing keys, and on labels that follow logins. */
  readonly pair: PairStep;
  readonly logins: LoginIntake;
  readonly revisions: Revisions;
  /** What hosts are told of in-band tags: after Welcome, at each change, and every TAGS_AGAIN_MS for the time in it. */
  readonly tags: { readonly message: () => TagKeys };
  readonly hosts: HostRuntimes;
  /** Why a certificate is no longer good, as a sentence fragment; undefined while it is. */
  readonly refusal: (peer: Peer) => string | undefined;
  readonly now: () => number;
  readonly log: Logger;
}

/** Who keeps a host to one stream. */
export interface StreamOwner {
  /** Makes a stream the host's only one. Throws ProtocolError when it must not be. */
  enter(stream: AgentStream, hello: Hello): void;
  leave(stream: AgentStream): void;
}

const HELLO_TIMEOUT_MS = 10_000;
/** Above any revision that can have been given; numbers stay exact in JavaScript. */
const REVISION_MAX = 2 ** 52;

/** One open stream. Messages are handled one after the other; reading pauses while one is being handled. */
export class AgentStream {
  readonly hostId: string;
  readonly peer: Peer;
  readonly #owner: StreamOwner;
  readonly #options: AgentStreamOptions;
  readonly #call: SyncCall;
  readonly #session: AgentSession;
  readonly #timer: NodeJS.Timeout;
  #open = true;
  #greeted = false;
  #state: HostState | undefined;
  readonly #capacity = new CapacityWatch();
  readonly #pump: UpdatePump;
  #chain: Promise<void> = Promise.resolve();

  constructor(owner: StreamOwner, options: AgentStreamOptions, peer: Peer, call: SyncCall) {
    this.hostId = peer.name;
    this.peer = peer;
    this.#owner = owner;
    this.#options = options;
    this.#call = call;
    this.#session = new AgentSession(options.epoch, () => options.revisions.next());
    this.#pump = new UpdatePump(this.#session, call, options.now, (error) => this.#fail(error));
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
    this.#capacity.noteSets(this.#state, keys);
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
    this.#pump.stop();
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
        void this.#pump.run();
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
    this.#capacity.noteSets(state, state.keys('set'));
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
    void this.#pump.run();
  }

  /** Holds updates back while they would not fit the host's tables. */
  #checkCapacity(host: HostRuntime): void {
    const { distributor, now } = this.#options;
    this.#session.hold(this.#capacity.check(host, distributor.capacity(this.hostId), now()));
    void this.#pump.run();
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

/** Ends a stream with a status and our code. */
export function fail(call: SyncCall, code: status, rfCode: string, why: string): void {
  const metadata = new Metadata();
  metadata.set('rf-code', rfCode);
  call.emit('error', { code, details: `${rfCode}: Cannot go on with this stream: ${why}`, metadata });
}
