import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type ClientReadableStream, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  type FlowFilter,
  type FlowStreamMessage,
  FlowsClient,
  type FollowFlowsRequest,
} from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { type CreateTokenResponse, type Host, HostsClient } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import {
  type ApplyPolicyResponse,
  PolicyClient,
  type PolicyFile,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import {
  type ApplySpacesResponse,
  type SpaceInfo,
  type SpacePathResponse,
  SpacesClient,
} from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { StatusClient, type SystemStatus } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { TagsClient, type TagsState } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { type Workload, WorkloadsClient } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import type { TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';

interface ContextFile {
  caFile: string;
  certFile: string;
  keyFile: string;
  serverName: string;
}

export interface UnmanagedSpec {
  id: string;
  addresses: Uint8Array[];
  /** Default: the routed world. */
  space?: string;
  labels: Record<string, string>;
}

type Callback<R> = (error: ServiceError | null, response: R) => void;

function call<R>(start: (callback: Callback<R>) => unknown): Promise<R> {
  return new Promise((resolveCall, reject) => {
    start((error, response) => (error ? reject(error) : resolveCall(response)));
  });
}

/** The admin API as an operator has it, over the operator certificate that the controller made. */
export class AdminApi {
  private readonly workloads: WorkloadsClient;
  private readonly hosts: HostsClient;
  private readonly policy: PolicyClient;
  private readonly flowClient: FlowsClient;
  private readonly statusClient: StatusClient;
  private readonly spaceClient: SpacesClient;
  private readonly tagClient: TagsClient;

  /** `target` as gRPC wants it; `contextFile` is the controller's operator/context.json. */
  constructor(target: string, contextFile: string) {
    const context = JSON.parse(readFileSync(contextFile, 'utf8')) as ContextFile;
    const file = (path: string) => readFileSync(resolve(dirname(contextFile), path));
    const tls = credentials.createSsl(file(context.caFile), file(context.keyFile), file(context.certFile));
    const options = {
      'grpc.ssl_target_name_override': context.serverName,
      'grpc.default_authority': context.serverName,
      'grpc.max_receive_message_length': 64 << 20,
      'grpc.max_send_message_length': 64 << 20,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 500,
    };
    this.workloads = new WorkloadsClient(target, tls, options);
    this.hosts = new HostsClient(target, tls, options);
    this.policy = new PolicyClient(target, tls, options);
    this.flowClient = new FlowsClient(target, tls, options);
    this.spaceClient = new SpacesClient(target, tls, options);
    this.statusClient = new StatusClient(target, tls, options);
    this.tagClient = new TagsClient(target, tls, options);
  }

  status(): Promise<SystemStatus> {
    return call((done) => this.statusClient.get({}, done));
  }

  /** The switch of in-band tags, their epochs, and what hosts reported of them. */
  tags(): Promise<TagsState> {
    return call((done) => this.tagClient.getTags({}, done));
  }

  setTagMode(mode: TagMode): Promise<TagsState> {
    return call((done) => this.tagClient.setTagMode({ mode }, done));
  }

  rotateTagKeys(): Promise<TagsState> {
    return call((done) => this.tagClient.rotateTagKeys({}, done));
  }

  createToken(hostId: string): Promise<CreateTokenResponse> {
    return call((done) => this.hosts.createToken({ ttlSeconds: 600, hostId, note: 'lab' }, done));
  }

  async listHosts(): Promise<Host[]> {
    return (await call<{ hosts: Host[] }>((done) => this.hosts.list({}, done))).hosts;
  }

  async listWorkloads(): Promise<Workload[]> {
    const request = { filter: undefined, page: undefined };
    return (await call<{ workloads: Workload[] }>((done) => this.workloads.list(request, done))).workloads;
  }

  setLabels(workload: string, labels: Record<string, string>): Promise<Workload> {
    const request = {
      workload,
      set: Object.entries(labels).map(([dimension, value]) => ({ dimension, value })),
      remove: [],
      replace: true,
      expectedVersion: 0n,
      sticky: true,
    };
    return call((done) => this.workloads.setLabels(request, done));
  }

  /** Makes these the only workloads without an agent that the lab pushed. Addresses are 4 or 16 bytes. */
  pushUnmanaged(workloads: UnmanagedSpec[]): Promise<{ created: number; removed: number }> {
    const request = {
      source: 'lab',
      prune: true,
      workloads: workloads.map((w) => ({
        id: w.id,
        name: w.id,
        addresses: w.addresses.map((ip) => ({ ip: Buffer.from(ip), space: w.space ?? '' })),
        labels: Object.entries(w.labels).map(([dimension, value]) => ({ dimension, value })),
        metadata: {},
      })),
    };
    return call((done) => this.workloads.push(request, done));
  }

  /** Makes the files the whole policy and provisions it. Problems come back in the response. */
  apply(files: PolicyFile[], note = 'lab'): Promise<ApplyPolicyResponse> {
    const request = { files, prune: true, remove: [], draftOnly: false, note, expectedVersion: 0, rollout: undefined };
    return call((done) => this.policy.apply(request, done));
  }

  /** Makes these the declared spaces. Problems come back in the response. */
  applySpaces(content: string): Promise<ApplySpacesResponse> {
    return call((done) => this.spaceClient.apply({ content, file: 'spaces.yaml', dryRun: false }, done));
  }

  /** Every space, with what was observed of it. */
  async listSpaces(): Promise<SpaceInfo[]> {
    return (await call<{ spaces: SpaceInfo[] }>((done) => this.spaceClient.list({ name: '' }, done))).spaces;
  }

  /** The way from one workload to another, by name. */
  spacePath(source: string, destination: string): Promise<SpacePathResponse> {
    return call((done) => this.spaceClient.path({ source, destination, family: 0 }, done));
  }

  /** Kept flow records that match, oldest first. */
  async flows(filter?: FlowFilter, limit = 100_000): Promise<Flow[]> {
    const stream: ClientReadableStream<FlowStreamMessage> = this.flowClient.query({ filter, limit });
    const flows: Flow[] = [];
    for await (const message of stream as AsyncIterable<FlowStreamMessage>) {
      if (message.body?.$case === 'rows') flows.push(...message.body.value.flows);
    }
    return flows;
  }

  /** A live tail; cancel() ends it. */
  follow(request: FollowFlowsRequest): ClientReadableStream<FlowStreamMessage> {
    return this.flowClient.follow(request);
  }

  close(): void {
    for (const client of [
      this.workloads,
      this.hosts,
      this.policy,
      this.flowClient,
      this.spaceClient,
      this.statusClient,
      this.tagClient,
    ])
      client.close();
  }
}
