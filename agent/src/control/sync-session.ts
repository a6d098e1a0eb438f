// One stream of AgentSync from the agent's side, without gRPC: messages in, messages out. A new one for each connection.
//
//   greeting   Hello is sent; only Welcome may come
//   open       updates are taken one after the other; every whole revision is answered by Ack or Nack
//   lost       the stream's content contradicts itself; a resync was asked for and everything but a full state is passed over
//   broken     the peer broke the protocol; the driver ends the connection
import type {
  AgentMessage,
  AgentStatus,
  ControllerMessage,
  Hello,
  Inventory,
  Logins,
  SourceTranslations,
  TagKeys,
  Update,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { applyUpdate, type Instructions, type StagedRevision } from '../desired/instructions.js';
import { updateFromWire } from '../desired/update.js';
import type { Applied } from '../enforcement.js';
import { AgentError, messageOf } from '../errors.js';
import { outcomeFromWire } from './leave.js';
import type { LeaveOutcome } from './left-mark.js';
import type { RolloutTerms } from './rollout.js';

/** What the session needs of the agent. */
export interface SyncPorts {
  readonly send: (message: AgentMessage) => void;
  readonly hello: () => Hello;
  /** Everything on this host, for the first inventory of the connection. */
  readonly inventory: () => Inventory;
  readonly status: () => AgentStatus;
  /** Who is logged in; undefined: not followed, or not looked yet. */
  readonly logins: () => Logins | undefined;
  /** Under which addresses connections leave this host, for the first report of the connection; undefined: not known here. */
  readonly translations?: () => SourceTranslations | undefined;
  /** In force now. */
  readonly inForce: () => Instructions;
  /** Tries a whole revision in the kernel; what is in force afterwards is inForce(). */
  readonly apply: (next: Instructions, epoch: string, terms: RolloutTerms) => Promise<Applied>;
  readonly onWelcome: (hostId: string) => void;
  /** Keys of in-band tags; whole. */
  readonly onTags?: (tags: TagKeys) => void;
  /** Looks at these workloads anew and reports them, changed or not. */
  readonly onPairAgain: (localIds: readonly string[]) => void;
  /** The host leaves the fleet. */
  readonly onUnenroll: (outcome: LeaveOutcome) => Promise<void>;
}

export class SyncSession {
  readonly #ports: SyncPorts;
  #epoch: string | undefined;
  #mustBeFull = false;
  #staged: StagedRevision | undefined;
  #terms: RolloutTerms = { confirmWithinMs: 0, confirmedPolicyVersion: 0 };
  /** Chunks of this revision are passed over: it was refused. */
  #refusedRevision: bigint | undefined;

  constructor(ports: SyncPorts) {
    this.#ports = ports;
  }

  get open(): boolean {
    return this.#epoch !== undefined;
  }

  /** Says Hello. */
  start(): void {
    this.#ports.send({ body: { $case: 'hello', value: this.#ports.hello() } });
  }

  /** Takes one message; resolves when it is dealt with. One call at a time. Throws RF_STREAM when the peer broke the protocol. */
  async receive(message: ControllerMessage): Promise<void> {
    switch (message.body?.$case) {
      case 'welcome':
        return this.#welcome(message.body.value);
      case 'update':
        return this.#update(message.body.value);
      case 'tags':
        if (!this.open)
          throw new AgentError('RF_STREAM', 'Cannot read the controller: found TagKeys, wanted Welcome first');
        this.#ports.onTags?.(message.body.value);
        return;
      case 'pairAgain':
        this.#ports.onPairAgain(message.body.value.localIds);
        return;
      case 'unenroll':
        if (!this.open)
          throw new AgentError('RF_STREAM', 'Cannot read the controller: found Unenroll, wanted Welcome first');
        return this.#ports.onUnenroll(outcomeFromWire(message.body.value.outcome));
      default:
        throw new AgentError(
          'RF_STREAM',
          'Cannot read the controller: found a message of unknown kind, wanted one that this version knows',
        );
    }
  }

  /** Sends what changed on this host; nothing before Welcome, since the full inventory that follows it says all. */
  sendInventory(delta: Inventory): void {
    if (this.open) this.#ports.send({ body: { $case: 'inventory', value: delta } });
  }

  sendLogins(logins: Logins): void {
    if (this.open) this.#ports.send({ body: { $case: 'logins', value: logins } });
  }

  sendStatus(status: AgentStatus): void {
    if (this.open) this.#ports.send({ body: { $case: 'status', value: status } });
  }

  /** Sends the whole of what is known of source translations. */
  sendTranslations(translations: SourceTranslations): void {
    if (this.open) this.#ports.send({ body: { $case: 'translations', value: translations } });
  }

  /** Asks for everything anew. */
  resync(reason: string): void {
    this.#staged = undefined;
    this.#mustBeFull = true;
    this.#ports.send({ body: { $case: 'resync', value: { reason } } });
  }

  #welcome(welcome: { hostId: string; epoch: string; resumed: boolean }): void {
    if (this.open)
      throw new AgentError('RF_STREAM', 'Cannot read the controller: found a second Welcome, wanted one per stream');
    this.#epoch = welcome.epoch;
    // A resync may have been asked for since Hello: then nothing resumes, whatever the controller says to that Hello.
    if (!welcome.resumed) this.#mustBeFull = true;
    this.#ports.onWelcome(welcome.hostId);
    this.#ports.send({ body: { $case: 'inventory', value: this.#ports.inventory() } });
    const logins = this.#ports.logins();
    if (logins !== undefined) this.sendLogins(logins);
    this.#ports.send({ body: { $case: 'status', value: this.#ports.status() } });
    const translations = this.#ports.translations?.();
    if (translations !== undefined) this.sendTranslations(translations);
  }

  async #update(wire: Update): Promise<void> {
    if (this.#epoch === undefined) {
      throw new AgentError('RF_STREAM', 'Cannot read the controller: found an Update, wanted Welcome first');
    }
    if (wire.revision === this.#refusedRevision && !wire.full) return; // the rest of a revision that is refused already
    this.#refusedRevision = undefined;
    if (this.#mustBeFull && !wire.full && this.#staged === undefined) {
      if (!wire.more) this.resync(`found a change to revision ${wire.revision}, wanted a full state first`);
      return;
    }
    let result: ReturnType<typeof applyUpdate>;
    try {
      result = applyUpdate(this.#ports.inForce(), this.#staged, updateFromWire(wire));
    } catch (error) {
      return this.#nack(wire.revision, 'RF_UPDATE_INVALID', messageOf(error), '');
    }
    if (result.kind === 'refused') {
      if (result.code === 'RF_UPDATE_ORDER') return this.resync(result.message);
      return this.#nack(wire.revision, result.code, result.message, '');
    }
    const fresh = this.#staged === undefined || wire.full;
    this.#terms = {
      confirmWithinMs: Math.max(fresh ? 0 : this.#terms.confirmWithinMs, wire.confirmWithinMs),
      confirmedPolicyVersion: Math.max(fresh ? 0 : this.#terms.confirmedPolicyVersion, wire.confirmedPolicyVersion),
    };
    if (result.kind === 'staged') {
      this.#staged = result.staged;
      return;
    }
    this.#staged = undefined;
    const applied = await this.#ports.apply(result.next, this.#epoch, this.#terms);
    if (applied.kind === 'refused') return this.#nack(wire.revision, applied.code, applied.message, applied.table);
    this.#mustBeFull = false;
    this.#ports.send({ body: { $case: 'ack', value: { revision: wire.revision } } });
  }

  #nack(revision: bigint, code: string, message: string, table: string): void {
    this.#staged = undefined;
    this.#refusedRevision = revision;
    this.#ports.send({ body: { $case: 'nack', value: { revision, code, message, table } } });
  }
}
