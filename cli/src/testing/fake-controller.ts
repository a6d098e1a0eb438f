import {
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { type FlowsServer, FlowsService } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { type HostsServer, HostsService } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { type LabelsServer, LabelsService } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import { type NatMappingsServer, NatMappingsService } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import { type PolicyServer, PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { type StatusServer, StatusService } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { type TagsServer, TagsService } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { type WorkloadsServer, WorkloadsService } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import type { Pair } from './certificates.js';

/** Handlers of a fake controller; a method without one answers UNIMPLEMENTED. */
export interface Handlers {
  status?: Partial<StatusServer>;
  hosts?: Partial<HostsServer>;
  workloads?: Partial<WorkloadsServer>;
  labels?: Partial<LabelsServer>;
  policy?: Partial<PolicyServer>;
  flows?: Partial<FlowsServer>;
  nat?: Partial<NatMappingsServer>;
  tags?: Partial<TagsServer>;
}

/** An admin API over real mutual TLS on a loopback port. */
export interface FakeController {
  address: string;
  port: number;
  /** Ends at once, open streams too. */
  stop(): void;
}

/** Starts one. `port` 0 takes a free one. */
export async function startFakeController(
  ca: string,
  server: Pair,
  handlers: Handlers,
  port = 0,
): Promise<FakeController> {
  const grpc = new Server();
  add(grpc, StatusService, handlers.status);
  add(grpc, HostsService, handlers.hosts);
  add(grpc, WorkloadsService, handlers.workloads);
  add(grpc, LabelsService, handlers.labels);
  add(grpc, PolicyService, handlers.policy);
  add(grpc, FlowsService, handlers.flows);
  add(grpc, NatMappingsService, handlers.nat);
  add(grpc, TagsService, handlers.tags);
  const pair = { private_key: Buffer.from(server.key), cert_chain: Buffer.from(server.cert) };
  const credentials = ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
  const bound = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync(`127.0.0.1:${port}`, credentials, (error, found) => (error ? reject(error) : resolve(found)));
  });
  return { address: `127.0.0.1:${bound}`, port: bound, stop: () => grpc.forceShutdown() };
}

function add(grpc: Server, service: object, handlers: object | undefined): void {
  const implementation: Record<string, UntypedHandleCall> = {};
  const methods = service as Record<string, { responseStream: boolean }>;
  for (const [name, method] of Object.entries(methods)) {
    const handler = (handlers as Record<string, UntypedHandleCall> | undefined)?.[name];
    implementation[name] = handler ?? (method.responseStream ? refuseStream : refuse);
  }
  grpc.addService(service as ServiceDefinition, implementation);
}

const unimplemented = failure(status.UNIMPLEMENTED, 'not part of this test');
const refuse: UntypedHandleCall = (_call: unknown, done: (error: object) => void) => done(unimplemented);
const refuseStream: UntypedHandleCall = (call: { emit(event: 'error', error: Error): void }) =>
  call.emit('error', unimplemented);

/** An error as the controller sends it. */
export function failure(code: status, details: string, rfCode?: string) {
  const metadata = new Metadata();
  if (rfCode !== undefined) metadata.set('rf-code', rfCode);
  return Object.assign(new Error(details), { code, details, metadata });
}
