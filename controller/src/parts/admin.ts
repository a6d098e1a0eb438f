// The admin API: every service with what it needs.
import { readFileSync } from 'node:fs';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { AuditService } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { HostsService } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { LabelsService } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import { NatMappingsService } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import { PairingService } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { type PolicyRef, PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { SpacesService } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { StatusService } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { TagsService } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { WorkloadsService } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { auditService } from '../api/audit-service.js';
import { flowsService } from '../api/flows-service.js';
import { HostView } from '../api/host-view.js';
import { hostsService } from '../api/hosts-service.js';
import { labelsService } from '../api/labels-service.js';
import { natService } from '../api/nat-service.js';
import { pairingService } from '../api/pairing-service.js';
import { policyService, policyToJudge } from '../api/policy-service.js';
import { FLOWS } from '../api/shared-rows.js';
import { spacesService } from '../api/spaces-service.js';
import { statusService } from '../api/status-service.js';
import { carriesTags, tagsService } from '../api/tags-service.js';
import { WorkloadView } from '../api/workload-view.js';
import { workloadsService } from '../api/workloads-service.js';
import type { Enrolment } from '../ca/enrolment.js';
import type { openConnectors } from '../discovery/open-connectors.js';
import type { AgentSync } from '../session/agent-sync.js';
import type { StateStore } from '../store/state-store.js';
import type { TagDesk } from '../tag/tag-desk.js';
import type { Context } from './context.js';
import type { Distribution } from './distribution.js';
import type { FlowParts } from './flows.js';
import type { openLabelling } from './labelling.js';
import type { State } from './state.js';

/** What the admin services are made of. */
export interface AdminParts {
  readonly context: Context;
  readonly state: State;
  readonly distribution: Distribution;
  readonly labelling: ReturnType<typeof openLabelling>['labelling'];
  readonly tags: TagDesk;
  readonly flows: FlowParts;
  readonly connectors: Awaited<ReturnType<typeof openConnectors>>;
  readonly enrolment: Enrolment;
  readonly agentSync: AgentSync;
  /** The address that a new agent enrols at. */
  readonly enrollAddress: () => string;
}

/** Offers every service of the admin API but the page's own; gives what status and metrics are made of. */
export function offerAdmin(
  parts: AdminParts,
  offer: (definition: ServiceDefinition, implementation: UntypedServiceImplementation) => void,
) {
  const { connectors, enrolment, agentSync, enrollAddress, tags } = parts;
  const { log, now } = parts.context;
  const { store, epoch, authority, identities, index, ruleNames, isolation } = parts.state;
  const { distributor, hosts, policy, dimensions } = parts.distribution;
  const { pairing, retries, relabel } = parts.labelling;
  const { translations, history, archive: flowArchive, followers, ingest } = parts.flows;
  const hostView = new HostView({ hosts, index, ingest, distributor, now });
  const workloadView = new WorkloadView({ policy, distributor, hosts, isolation, store, retries });
  const version = programVersion();
  const statusOptions = {
    version,
    startedMs: now(),
    epoch,
    authority,
    store,
    identities,
    distributor,
    policy,
    hosts,
    hostView,
    workloadView,
    history,
    archive: flowArchive,
    followers,
    ingest,
    connectors: () => connectors.map(({ standing }) => standing),
    translations: () => ({ ...translations.counters }),
    now,
    log,
  };
  offer(WorkloadsService, {
    ...workloadsService({
      store,
      index,
      view: workloadView,
      policy,
      groups: (draft) => (draft ? policy.draftDocument() : policy.newest.document),
      relabel,
      dimensions,
      now,
      log,
    }),
  });
  offer(LabelsService, { ...labelsService({ store, distributor, identities, policy, dimensions, log }) });
  const hostsAttached = () => [...hosts.all()].filter((host) => host.session !== undefined).length;
  offer(PolicyService, {
    ...policyService({
      policy,
      index,
      view: workloadView,
      distributor,
      hosts,
      dimensions,
      now,
      log,
      hostsAttached,
      tagged: (from, to) => carriesTags(tags.mode, hosts, from, to),
      store,
      archive: flowArchive,
    }),
  });
  const names = { hostIds: hostIdsOf(store), ruleNumber: (id: string) => store.get('rule', id)?.number };
  const ruleId = (number: number) => ruleNames.idOf(number);
  const policyOf = (ref: PolicyRef | undefined) => policyToJudge(policy, ref);
  offer(FLOWS, { ...flowsService({ archive: flowArchive, followers, names, ruleId, policyOf, now, log }) });
  offer(HostsService, {
    ...hostsService({
      store,
      index,
      view: hostView,
      enrolment,
      dismiss: (hostId, outcome, removal) => agentSync.dismiss(hostId, outcome, removal),
      enrollAddress,
      now,
      log,
    }),
  });
  offer(NatMappingsService, { ...natService({ store, distributor, log }) });
  offer(SpacesService, { ...spacesService({ store, index, distributor, now, log }) });
  offer(PairingService, {
    ...pairingService({ store, index, pairing, isolation, distributor, hosts, now, log }),
  });
  offer(TagsService, { ...tagsService({ store, desk: tags, hosts, log }) });
  offer(AuditService, { ...auditService({ store, log }) });
  offer(StatusService, { ...statusService(statusOptions) });
  return statusOptions;
}

function hostIdsOf(store: StateStore): (text: string) => string[] {
  return (text) =>
    [...store.table('host').values()].filter(({ id, name }) => id === text || name === text).map(({ id }) => id);
}

function programVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
