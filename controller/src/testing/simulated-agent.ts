// An agent without a kernel: enrols, keeps a stream, holds the state that it is sent, acks or nacks it, reports workloads, uploads flows.
// For tests and benchmarks; many fit into one process.
import { randomBytes } from 'node:crypto';
import { type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { prefixKey } from '@ringfence/proto/address.js';
import {
  type AgentMessage,
  AgentStatus,
  AgentSyncClient,
  type Condition,
  type ControllerMessage,
  EnrollmentClient,
  type EnrollResponse,
  Hello,
  HostFacts,
  Inventory,
  LocalWorkload,
  Logins,
  type Nack,
  type TableCapacity,
  type TagKeys,
  type UnenrollOutcome,
  type Unpaired,
  type Update,
  type Welcome,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import {
  type FlowColumns,
  type FlowUploadAck,
  FlowUploadClient,
  type FlowUploadMessage,
  LossCounters,
} from '@ringfence/proto/gen/ringfence/v1/flows.js';
import {
  type AssignmentState,
  assignmentFromWire,
  type BindingState,
  bindingAddressFromWire,
  bindingFromWire,
  bindingKey,
  type CidrState,
  cidrFromWire,
  prefixFromWire,
} from '@ringfence/proto/instructions.js';
import { hashFromBytes, type PolicySet, policySetFromWire } from '@ringfence/proto/policy-set.js';
import { createSigningRequest, SERVER_NAME } from '../ca/certificates.js';

/** What an agent needs to connect. PEM. */
export interface AgentCredentials {
  readonly hostId: string;
  readonly syncAddress: string;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

const CHANNEL_OPTIONS = {
  'grpc.ssl_target_name_override': SERVER_NAME,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
};

/** Gets a certificate by a token. `caPem` is what the client trusts (the real agent pins it by the token's last part). */
export async function enrollAgent(
  enrollAddress: string,
  token: string,
  caPem: string,
  facts: Partial<HostFacts> = {},
): Promise<AgentCredentials> {
  const { der, keyPem } = await createSigningRequest();
  const client = new EnrollmentClient(enrollAddress, credentials.createSsl(Buffer.from(caPem)), CHANNEL_OPTIONS);
  try {
    const request = { token, csrDer: der, facts: HostFacts.fromPartial({ hostname: 'simulated', ...facts }) };
    const response = await new Promise<EnrollResponse>((resolve, reject) => {
      client.enroll(request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
    const { hostId, certificatePem, syncAddress } = response;
    return { hostId, certificatePem, syncAddress, keyPem, caPem: response.caPem };
  } finally {
    client.close();
  }
}

/** How a simulated agent answers. */
export interface SimulatedAgentOptions {
  /** Acks or nacks a complete revision; undefined leaves it unanswered. Default: acks everything. */
  readonly answer?: (update: Update, agent: SimulatedAgent) => 'ack' | Nack | undefined;
  readonly capacities?: readonly TableCapacity[];
  readonly facts?: Partial<HostFacts>;
  /** Random when not given. */
  readonly run?: Buffer;
  readonly isolateUnpaired?: boolean;
  /** State of an earlier stream: resumes from it. */
  readonly resumeFrom?: SimulatedAgent;
}

export class SimulatedAgent {
  readonly credentials: AgentCredentials;
  readonly run: Buffer;
  readonly sets = new Map<string, PolicySet>();
  /** By local id. */
  readonly assignments = new Map<string, AssignmentState>();
  readonly bindings = new Map<string, BindingState>();
  readonly cidrs = new Map<string, CidrState>();
  /** By `${space}|${ip hex}|${protocol}|${port}`: identity and port. */
  readonly nats = new Map<string, { readonly identity: number; readonly port: number }>();
  readonly welcomes: Welcome[] = [];
  /** Every message of every revision, in order. */
  updates = 0;
  fullUpdates = 0;
  epoch = '';
  revision = 0n;
  policyVersion = 0;
  /** What the newest revision said of containers that are not paired. */
  unpaired: Unpaired = 0;
  /** What the newest revision said of confirmation. */
  terms = { confirmWithinMs: 0, confirmedPolicyVersion: 0 };
  /** What it was told of in-band tags, oldest first. */
  readonly tags: TagKeys[] = [];
  /** Workloads that it was asked to report again. */
  readonly pairAgain: string[] = [];
  /** Set when it was told to leave. */
  dismissed: UnenrollOutcome | undefined;
  /** How the stream ended. */
  ended: ServiceError | 'closed' | undefined;
  readonly #options: SimulatedAgentOptions;
  readonly #client: AgentSyncClient;
  readonly #stream: ClientDuplexStream<AgentMessage, ControllerMessage>;
  readonly #watchers = new Set<() => void>();
  #parts: Update[] = [];

  constructor(own: AgentCredentials, options: SimulatedAgentOptions = {}) {
    this.credentials = own;
    this.#options = options;
    this.run = options.run ?? randomBytes(16);
    const before = options.resumeFrom;
    if (before !== undefined) this.#adopt(before);
    this.#client = new AgentSyncClient(own.syncAddress, clientCredentials(own), CHANNEL_OPTIONS);
    this.#stream = this.#client.sync();
    this.#stream.on('data', (message: ControllerMessage) => this.#onMessage(message));
    this.#stream.on('error', (error: ServiceError) => this.#end(error));
    this.#stream.on('end', () => this.#end('closed'));
    const facts = HostFacts.fromPartial({
      hostname: own.hostId,
      agentVersion: 'simulated',
      machineId: own.hostId,
      ...options.facts,
    });
    const hello = Hello.fromPartial({
      protocol: 1,
      facts,
      epoch: this.epoch,
      revision: this.revision,
      capacities: [...(options.capacities ?? [])],
      run: this.run,
      isolateUnpaired: options.isolateUnpaired ?? false,
    });
    this.send({ body: { $case: 'hello', value: hello } });
  }

  send(message: AgentMessage): void {
    if (this.ended === undefined) this.#stream.write(message);
  }

  sendInventory(workloads: readonly Partial<LocalWorkload>[], full = true, removed: readonly string[] = []): void {
    const value = Inventory.fromPartial({
      full,
      workloads: workloads.map((workload) => LocalWorkload.fromPartial(workload)),
      removed: [...removed],
    });
    this.send({ body: { $case: 'inventory', value } });
  }

  /** Tells who is logged in: users with their groups. */
  sendLogins(users: Readonly<Record<string, { readonly uid?: number; readonly groups?: readonly string[] }>>): void {
    const value = Logins.fromPartial({
      source: 'logind',
      users: Object.entries(users).map(([user, { uid, groups = [] }]) => ({ user, uid, groups: [...groups] })),
    });
    this.send({ body: { $case: 'logins', value } });
  }

  /** Reports every assigned workload as in force with the modes that were asked for. */
  sendStatus(conditions: readonly Condition[] = []): void {
    const workloads = [...this.assignments.values()].map(({ localId, modeIn, modeOut }) => ({
      localId,
      modeIn,
      modeOut,
      inForce: true,
      why: '',
      attachments: [`simulated ${localId}`],
    }));
    const value = AgentStatus.fromPartial({
      revision: this.revision,
      policyVersion: this.policyVersion,
      workloads,
      conditions: [...conditions],
    });
    this.send({ body: { $case: 'status', value } });
  }

  /** Resolves once `condition` holds; rejects after `timeoutMs`, or when the stream ends before that. */
  until(condition: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: Error) => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = () => {
        if (condition()) finish();
        else if (this.ended !== undefined)
          finish(new Error(`stream of ${this.credentials.hostId} ended before ${what}: ${String(this.ended)}`));
      };
      const timer = setTimeout(
        () => finish(new Error(`${this.credentials.hostId}: no ${what} within ${timeoutMs} ms`)),
        timeoutMs,
      );
      this.#watchers.add(check);
      check();
    });
  }

  /** Resolves with how the stream ended. */
  async untilEnded(timeoutMs = 60_000): Promise<ServiceError | 'closed'> {
    await this.until(() => this.ended !== undefined, 'end of stream', timeoutMs);
    return this.ended ?? 'closed';
  }

  /** Breaks the connection without a word. */
  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.cancel();
    this.#client.close();
  }

  /** Opens a flow stream under the same run. */
  openFlows(run: Buffer = this.run): FlowStream {
    return new FlowStream(this.credentials, run);
  }

  #onMessage(message: ControllerMessage): void {
    if (message.body?.$case === 'welcome') {
      this.welcomes.push(message.body.value);
      this.epoch = message.body.value.epoch;
    } else if (message.body?.$case === 'update') this.#onUpdate(message.body.value);
    else if (message.body?.$case === 'tags') this.tags.push(message.body.value);
    else if (message.body?.$case === 'pairAgain') this.pairAgain.push(...message.body.value.localIds);
    else if (message.body?.$case === 'unenroll') this.dismissed = message.body.value.outcome;
    this.#notify();
  }

  #onUpdate(update: Update): void {
    if (this.welcomes.length === 0) throw new Error('found an Update before Welcome');
    this.updates += 1;
    this.#parts.push(update);
    if (update.more) return;
    const parts = this.#parts;
    this.#parts = [];
    const answer = this.#options.answer === undefined ? 'ack' : this.#options.answer(update, this);
    if (answer === 'ack') {
      for (const part of parts) this.#apply(part);
      this.revision = update.revision;
      this.policyVersion = update.policyVersion;
      const { confirmWithinMs, confirmedPolicyVersion } = update;
      this.unpaired = update.unpaired;
      this.terms = { confirmWithinMs, confirmedPolicyVersion };
      this.send({ body: { $case: 'ack', value: { revision: update.revision } } });
    } else if (answer !== undefined) this.send({ body: { $case: 'nack', value: answer } });
  }

  #apply(update: Update): void {
    if (update.full) {
      this.fullUpdates += 1;
      for (const table of [this.sets, this.assignments, this.bindings, this.cidrs, this.nats]) table.clear();
    }
    for (const set of update.sets) this.sets.set(hashFromBytes(set.hash), policySetFromWire(set));
    for (const assignment of update.assignments)
      this.assignments.set(assignment.localId, assignmentFromWire(assignment));
    for (const wire of update.bindings) {
      const binding = bindingFromWire(wire);
      this.bindings.set(bindingKey(binding), binding);
    }
    for (const wire of update.cidrs) {
      const cidr = cidrFromWire(wire);
      this.cidrs.set(prefixKey(cidr.prefix), cidr);
    }
    for (const { key, identity, port } of update.nats) {
      if (key !== undefined)
        this.nats.set(`${key.space}|${key.ip.toString('hex')}|${key.protocol}|${key.port}`, { identity, port });
    }
    for (const hash of update.removedSets) this.sets.delete(hashFromBytes(hash));
    for (const localId of update.removedAssignments) this.assignments.delete(localId);
    for (const key of update.removedBindings) this.bindings.delete(bindingKey(bindingAddressFromWire(key)));
    for (const prefix of update.removedCidrs) this.cidrs.delete(prefixKey(prefixFromWire(prefix)));
    for (const key of update.removedNats)
      this.nats.delete(`${key.space}|${key.ip.toString('hex')}|${key.protocol}|${key.port}`);
  }

  #adopt(before: SimulatedAgent): void {
    for (const [key, value] of before.sets) this.sets.set(key, value);
    for (const [key, value] of before.assignments) this.assignments.set(key, value);
    for (const [key, value] of before.bindings) this.bindings.set(key, value);
    for (const [key, value] of before.cidrs) this.cidrs.set(key, value);
    for (const [key, value] of before.nats) this.nats.set(key, value);
    this.epoch = before.epoch;
    this.revision = before.revision;
    this.policyVersion = before.policyVersion;
  }

  #end(how: ServiceError | 'closed'): void {
    // A status follows the end of the messages: it says more.
    if (this.ended === undefined || this.ended === 'closed') this.ended = how;
    this.#notify();
  }

  #notify(): void {
    for (const check of [...this.#watchers]) check();
  }
}

/** One flow stream. */
export class FlowStream {
  /** Highest sequence that was acknowledged. */
  acked = 0n;
  ended: ServiceError | 'closed' | undefined;
  readonly #run: Buffer;
  readonly #client: FlowUploadClient;
  readonly #stream: ClientDuplexStream<FlowUploadMessage, FlowUploadAck>;
  readonly #watchers = new Set<() => void>();

  constructor(own: AgentCredentials, run: Buffer) {
    this.#run = run;
    this.#client = new FlowUploadClient(own.syncAddress, clientCredentials(own), CHANNEL_OPTIONS);
    this.#stream = this.#client.upload();
    this.#stream.on('data', (ack: FlowUploadAck) => {
      this.acked = ack.sequence;
      for (const check of [...this.#watchers]) check();
    });
    const end = (how: ServiceError | 'closed') => {
      if (this.ended === undefined || this.ended === 'closed') this.ended = how;
      for (const check of [...this.#watchers]) check();
    };
    this.#stream.on('error', (error: ServiceError) => end(error));
    this.#stream.on('end', () => end('closed'));
  }

  /** False when the caller should wait for `drained`. */
  send(sequence: bigint, flows: FlowColumns | undefined, loss: Partial<LossCounters> = {}): boolean {
    return this.#stream.write({
      run: this.#run,
      sequence,
      flows,
      loss: LossCounters.fromPartial(loss),
      translations: undefined,
    });
  }

  drained(): Promise<void> {
    return new Promise((resolve) => this.#stream.once('drain', resolve));
  }

  /** Resolves once everything up to `sequence` is acknowledged, or the stream has ended. */
  untilAcked(sequence: bigint): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (this.acked < sequence && this.ended === undefined) return;
        this.#watchers.delete(check);
        resolve();
      };
      this.#watchers.add(check);
      check();
    });
  }

  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.cancel();
    this.#client.close();
  }
}

function clientCredentials(own: AgentCredentials) {
  return credentials.createSsl(Buffer.from(own.caPem), Buffer.from(own.keyPem), Buffer.from(own.certificatePem));
}
