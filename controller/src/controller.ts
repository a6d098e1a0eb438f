// The composition root: every part of a controller, wired.
//
//   agents ──sync──► AgentSync ──inventory──► StateStore ──commits──► Distributor ──► AgentSync ──updates──► agents
//          ──flows─► FlowUpload ─► FlowIngest ─► MemoryHistory, Followers ──► Flows service ──► operators
//   operators ──admin──► services ──► StateStore, PolicyBook ──onStanding──► Distributor
//   new agents ──enroll──► Enrolment ──► Authority
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { mappedAddress, parseAddress, parsePrefix, prefixCovers } from '@ringfence/proto/address.js';
import { AuditService } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { HostsService } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { LabelsService } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import { NatMappingsService } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import { PairingService } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { type PolicyRef, PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { SpacesService } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { StatusService } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { TagsService } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { WebService } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import { WorkloadsService } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import {
  AgentSyncService,
  CertificateRenewalService,
  EnrollmentService,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import { auditService } from './api/audit-service.js';
import { knownDimensions } from './api/convert.js';
import { enrollmentService, renewalService } from './api/enrolment-services.js';
import { flowsService } from './api/flows-service.js';
import { HostView } from './api/host-view.js';
import { certificateRefusal, hostsService } from './api/hosts-service.js';
import { labelsService } from './api/labels-service.js';
import { type MetricsServer, serveMetrics } from './api/metrics.js';
import { natService } from './api/nat-service.js';
import { pairingService } from './api/pairing-service.js';
import { PolicyBook } from './api/policy-book.js';
import { policyService, policyToJudge } from './api/policy-service.js';
import { policyVeto } from './api/policy-veto.js';
import { ADMIN_BOUNDS, bind, ENROLL_BOUNDS, newServer, SYNC_BOUNDS, shutDown } from './api/ports.js';
import { addReflectionAndHealth } from './api/reflection.js';
import { RuleNames } from './api/rule-names.js';
import { FLOWS } from './api/shared-rows.js';
import { spacesService } from './api/spaces-service.js';
import { statusService } from './api/status-service.js';
import { carriesTags, standingTagMode, tagsService } from './api/tags-service.js';
import { demandPeer, ServingCertificate, serverCredentials } from './api/tls.js';
import { WorkloadView } from './api/workload-view.js';
import { workloadsService } from './api/workloads-service.js';
import { currentCaller } from './audit/caller.js';
import { auditEntries } from './audit/entries.js';
import { AuditTrimmer } from './audit/retention.js';
import { Authority } from './ca/authority.js';
import { SERVER_NAME } from './ca/certificates.js';
import { Enrolment } from './ca/enrolment.js';
import { makePrivateDirectory } from './ca/files.js';
import { createCompiler } from './compile/graph.js';
import { type ControllerConfig, formatListen, type ListenAddress } from './config.js';
import { gatewaySides } from './discovery/gateway-sides.js';
import { Labelling } from './discovery/labelling.js';
import { LoginIntake } from './discovery/login-intake.js';
import { openConnectors } from './discovery/open-connectors.js';
import { TranslationResolver } from './discovery/translation-resolver.js';
import { EndResolver } from './flows/ends.js';
import { Followers } from './flows/followers.js';
import { MemoryHistory } from './flows/history.js';
import { FlowIngest } from './flows/ingest.js';
import { DuckArchive } from './flows/store/duck-archive.js';
import { MemoryArchive } from './flows/store/memory-archive.js';
import { FlowUpload, UPLOAD } from './flows/upload.js';
import { Isolation } from './keys/isolation.js';
import { PairingDesk } from './keys/pairing-desk.js';
import { loadSecretMac } from './keys/secret-mac.js';
import { VALUE_PATTERN } from './policy/names.js';
import { AgentSync } from './session/agent-sync.js';
import { Distributor } from './session/distributor.js';
import { HostRuntimes } from './session/host-runtime.js';
import { Revisions } from './session/revisions.js';
import { StoreError } from './store/driver.js';
import { PersistentNumbers } from './store/numbers.js';
import { openSqlite } from './store/sqlite.js';
import { StateStore } from './store/state-store.js';
import { WorkloadIndex } from './store/workload-index.js';
import { TagKeyFile } from './tag/key-file.js';
import { TagDesk } from './tag/tag-desk.js';
import { WebPage } from './web/page.js';

/** A running controller. */
export interface Controller {
  /** Real addresses, ports included. */
  readonly addresses: {
    readonly sync: string;
    readonly admin: string;
    readonly enroll: string;
    readonly metrics: string | undefined;
    /** What the web page's links begin with; undefined: it is not served. */
    readonly web: string | undefined;
  };
  /** The operator's context file. */
  readonly contextFile: string;
  /** Ends every stream and closes the store. Idempotent. */
  stop(): Promise<void>;
}

/** How long the number of an identity rests after its last workload has gone: late packets and flow records resolve until then. */
const QUARANTINE_MS = 10 * 60_000;
/** How often connections are looked at whose other end has not reported. */
const STITCH_TICK_MS = 1000;
const STOP_GRACE_MS = 2000;
/** Looked at often rather than slept through: the clock may be set, and a suspended machine's timers are late. */
const RENEWAL_CHECK_MS = 60_000;
const RECHECK_MS = 60_000;

/** Starts everything, or nothing: rejects with what was wrong. Open streams are checked for expired certificates each `recheckMs`. */
export async function startController(
  config: ControllerConfig,
  log: Logger,
  now: () => number,
  recheckMs = RECHECK_MS,
): Promise<Controller> {
  const closers: (() => Promise<void> | void)[] = [];
  const stop = once(async () => {
    for (const close of closers.reverse()) await close();
  });
  try {
    return await start(config, log, now, recheckMs, closers, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  config: ControllerConfig,
  log: Logger,
  now: () => number,
  recheckMs: number,
  closers: (() => Promise<void> | void)[],
  stop: () => Promise<void>,
): Promise<Controller> {
  // ---- state
  const store = openStore(config.stateDir);
  closers.push(() => store.close());
  store.setAuditor((changes) => auditEntries(changes, currentCaller(), now()));
  const trimmer = new AuditTrimmer({
    store,
    retention: config.audit,
    now,
    onError: (error) => log.error({ err: error }, 'the audit log could not be trimmed; trying again'),
  });
  closers.push(() => trimmer.stop());
  const epoch = await epochOf(store, now);
  const authority = await Authority.open(config.stateDir, now);
  const identities = new PersistentNumbers(store, 'identity');
  const ipClasses = new PersistentNumbers(store, 'ipClass');
  const ruleNumbers = new PersistentNumbers(store, 'rule');
  const revisions = new Revisions(store);
  const index = new WorkloadIndex(store);
  const ruleNames = new RuleNames(store);

  // ---- policy and distribution
  const isolation = new Isolation(store);
  const distributor = new Distributor({
    store,
    identities,
    ipClasses,
    isolation,
    revisions,
    newCompiler: (numbers, classes) => createCompiler({ identities: numbers, classes, quarantineMs: QUARANTINE_MS }),
    now,
    reject: config.reject,
    onError: (error) => log.error({ err: error }, 'changes could not be distributed; trying again'),
  });
  closers.push(() => distributor.stop());
  const hosts = new HostRuntimes();
  let onPolicy = () => {};
  const policy = new PolicyBook({
    store,
    ruleNumbers,
    now,
    after: (delayMs, fn) => {
      const timer = setTimeout(fn, delayMs);
      timer.unref();
      return () => clearTimeout(timer);
    },
    veto: policyVeto({ distributor, hosts, index, now }),
    onStanding: (standing, what) => {
      const { version, confirmByMs, canary } = standing;
      log.info({ version, rules: standing.policy.rules.length, confirmByMs, canary }, `policy ${what}`);
      hosts.policyLatency.provisioned(version, now());
      distributor.setPolicy(standing);
      onPolicy();
    },
    onError: (error) => log.error({ err: error }, 'a policy version could not be taken back; trying again'),
  });
  closers.push(() => policy.stop());
  await policy.resume();
  hosts.policyLatency.clear();
  await distributor.flushed();
  const dimensions = () =>
    knownDimensions([policy.current.document, policy.newest.document, ...policy.draftDocuments()]);

  // ---- pairing
  const desk = new PairingDesk({
    state: store,
    mac: loadSecretMac(join(config.stateDir, 'pairing', 'mac.key'), store.table('pairingKey').size > 0),
    nowMs: now,
    randomBytes: (length) => randomBytes(length),
    permittedValues: (dimension) => {
      const known = dimensions();
      return known.has(dimension) ? (known.get(dimension) ?? 'any') : undefined;
    },
    isValue: (text) => text !== '' && VALUE_PATTERN.test(text),
  });
  const fromPrefix = (hostId: string, prefix: string) => comesFrom(hosts.get(hostId)?.peerAddress ?? '', prefix);
  const labelling = new Labelling({
    store,
    desk,
    fromPrefix,
    addressOf: (hostId) => hosts.get(hostId)?.peerAddress ?? '',
    userGroupsFor: (record) => policy.policyFor(record).document.userGroups,
    now,
    random: Math.random,
    onError: (error) => log.error({ err: error }, 'labels could not follow the policy; the next change tries again'),
  });
  const { pairing, retries, relabel } = labelling;
  onPolicy = () => labelling.onPolicy();
  onPolicy();

  // ---- in-band tags
  const tags = new TagDesk({
    mode: () => standingTagMode(store, config.tags),
    file: new TagKeyFile(config.stateDir),
    nowMs: now,
    randomKey: () => randomBytes(16),
    after: (delayMs, fn) => {
      const timer = setTimeout(fn, delayMs);
      timer.unref();
      return () => clearTimeout(timer);
    },
    onError: (error) => log.error({ err: error }, 'keys of in-band tags could not be kept; trying again'),
  });
  // A host that was removed knows the keys.
  closers.push(
    store.onCommit((changes) => {
      if (!changes.some(({ kind, after }) => kind === 'host' && after === undefined)) return;
      try {
        tags.rotate();
      } catch (error) {
        log.error({ err: error }, 'keys of in-band tags could not be changed after a host was removed');
      }
    }),
  );
  closers.push(() => tags.stop());

  // ---- discovery
  const connectors = await openConnectors(config.connectorsFile, { store, dimensions, now, log });
  closers.push(async () => void (await Promise.all(connectors.map((connector) => connector.stop()))));
  for (const connector of connectors) connector.start();

  // ---- flows
  const translations = new TranslationResolver({ now, ...gatewaySides(store, distributor) });
  const archive = await openArchive(config, log, now);
  const history = new MemoryHistory(config.flowHistory, archive?.firstId);
  const flowArchive = archive ?? new MemoryArchive(history);
  closers.push(() => flowArchive.close());
  const followers = new Followers();
  const ends = new EndResolver({
    workload: (id) => store.get('workload', id),
    at: (ipHex, hostId) => distributor.topology.behind(hostId, ipHex).flatMap((id) => store.get('workload', id) ?? []),
    lately: (ipHex, hostId) => distributor.topology.lately(hostId, ipHex),
    serviceAt: (...service) => distributor.topology.serviceAt(...service)?.workloadId,
    ofHost: (hostId) => index.ofHost(hostId),
    identityOf: (id) => distributor.identityOf(id),
    workloadsOf: (identity) => distributor.workloadsOf(identity),
    version: () => distributor.version,
  });
  const ingest = new FlowIngest({
    history,
    followers,
    ends,
    archive: flowArchive,
    translations: {
      behind: (hostId, ipHex) => distributor.topology.behind(hostId, ipHex),
      lately: (hostId, ipHex) => distributor.topology.lately(hostId, ipHex),
      version: () => distributor.version,
      end: (id) => ends.local(id, id.split('/')[0] ?? '', distributor.identityOf(id)),
    },
    resolver: translations,
  });
  await ingest.restore(now() * 1000);
  const stitching = setInterval(() => ingest.tick(), STITCH_TICK_MS);
  stitching.unref();
  closers.push(() => clearInterval(stitching));

  // ---- ports
  const serving = new ServingCertificate(authority.caPem, authority.server);
  const renewal = setInterval(() => void renewServer(authority, serving, log), RENEWAL_CHECK_MS);
  renewal.unref();
  closers.push(() => clearInterval(renewal));
  const refusal = certificateRefusal(store, now);
  const onRefused = (port: string) => (address: string, why: string) =>
    log.warn({ port, address, why }, 'call refused');
  const enrolment = new Enrolment(store, authority, now, { desk, comesFrom });
  const bound: { sync?: ListenAddress; enroll?: ListenAddress } = {};
  const told = (address: ListenAddress | undefined, calledHost: string) =>
    advertised(config.advertise, calledHost, address ?? { host: '', port: 0 });

  const sync = newServer(SYNC_BOUNDS, [demandPeer('host', authority, refusal, onRefused('sync'))]);
  const agentSync = new AgentSync({
    epoch,
    store,
    index,
    distributor,
    revisions,
    tags,
    hosts,
    refusal,
    recheckMs,
    now,
    log,
    pair: labelling.step,
    logins: new LoginIntake({ store, index, relabel, now }),
    retries,
  });
  const flowUpload = new FlowUpload({ ingest, store, translations, refusal, recheckMs, log });
  const enrolmentOptions = {
    enrolment,
    caPem: authority.caPem,
    syncAddress: (calledHost: string) => told(bound.sync, calledHost),
    log,
  };
  sync.addService(AgentSyncService, { sync: agentSync.sync });
  sync.addService({ upload: UPLOAD }, { upload: flowUpload.upload });
  sync.addService(CertificateRenewalService, { ...renewalService(enrolmentOptions) });

  const enroll = newServer(ENROLL_BOUNDS, []);
  enroll.addService(EnrollmentService, { ...enrollmentService(enrolmentOptions) });

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
  const admin = newServer(ADMIN_BOUNDS, [demandPeer('operator', authority, refusal, onRefused('admin'))]);
  const web = new WebPage({
    listen: config.listenWeb,
    advertise: config.advertise,
    authority,
    store,
    refusal,
    now,
    log,
  });
  closers.push(() => web.stop());
  const offer = (definition: ServiceDefinition, implementation: UntypedServiceImplementation) => {
    admin.addService(definition, implementation);
    web.methods.add(definition, implementation);
  };
  offer(WebService, { ...web.service() });
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
  const enrollAddress = () => told(bound.enroll, '');
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
  const health = addReflectionAndHealth(admin);

  closers.push(async () => {
    health.setServing(false);
    agentSync.stop();
    flowUpload.stop();
    await Promise.all([sync, admin, enroll].map((server) => shutDown(server, STOP_GRACE_MS)));
  });
  bound.sync = await bind(sync, config.listenSync, serverCredentials(serving, true));
  const adminBound = await bind(admin, config.listenAdmin, serverCredentials(serving, true));
  bound.enroll = await bind(enroll, config.listenEnroll, serverCredentials(serving, false));
  let metrics: MetricsServer | undefined;
  if (config.listenMetrics !== undefined) {
    metrics = await serveMetrics(config.listenMetrics, statusOptions);
    closers.push(() => metrics?.close());
  }
  const webOrigin = await web.listen();
  const contextFile = await authority.writeOperatorContext('admin', formatListen(reachable(adminBound)));
  health.setServing(true);
  const addresses = {
    sync: formatListen(bound.sync),
    admin: formatListen(adminBound),
    enroll: formatListen(bound.enroll),
    metrics: metrics && config.listenMetrics && formatListen({ host: config.listenMetrics.host, port: metrics.port }),
    web: webOrigin,
  };
  log.info({ ...addresses, version, policyVersion: policy.current.version, contextFile }, 'controller serves');
  return { addresses, contextFile, stop };
}

/** Memory that the flow store's database may take; what needs more spills to disk. */
const FLOW_STORE_MEMORY = 512 * 2 ** 20;

/** The flow store on disk; undefined when it is switched off. */
async function openArchive(
  { stateDir, flowStore }: ControllerConfig,
  log: Logger,
  now: () => number,
): Promise<DuckArchive | undefined> {
  if (flowStore === undefined) return undefined;
  return DuckArchive.open({
    ...flowStore,
    file: join(stateDir, 'flows', 'flows.duckdb'),
    memoryBytes: FLOW_STORE_MEMORY,
    now,
    onDeath: (error) => log.error({ err: error }, 'the flow store has ended; records are shown live and lost'),
  });
}

/** Whether an address lies in a prefix. */
function comesFrom(address: string, prefix: string): boolean {
  const at = parseAddress(address);
  const range = parsePrefix(prefix);
  return at !== undefined && !('problem' in range) && prefixCovers(range, mappedAddress(at));
}

function openStore(stateDir: string): StateStore {
  makePrivateDirectory(stateDir);
  const file = join(stateDir, 'controller.db');
  // The authority is made after the database, so a database that is missing beside it was lost.
  if (Authority.existsIn(stateDir) && !existsSync(file)) {
    throw new StoreError(
      'RF_STORE_CORRUPT',
      `Cannot open database ${file}: found an authority beside it but no database; restore a backup of both`,
    );
  }
  const driver = openSqlite(file);
  try {
    return new StateStore(driver);
  } catch (error) {
    driver.close();
    throw error;
  }
}

/** Names the line of revisions: another database is another line. */
async function epochOf(store: StateStore, now: () => number): Promise<string> {
  return store.update((tx) => {
    const known = tx.get('system', 'system');
    if (known !== undefined) return known.epoch;
    const epoch = randomUUID();
    tx.set('system', 'system', { epoch, createdMs: now() });
    return epoch;
  });
}

async function renewServer(authority: Authority, serving: ServingCertificate, log: Logger): Promise<void> {
  try {
    if (!(await authority.renewServerIfDue())) return;
    serving.replace(authority.server);
    log.info({ renewalMs: authority.serverRenewalMs() }, 'server certificate renewed');
  } catch (error) {
    log.error({ err: error }, 'the server certificate could not be renewed; trying again in an hour');
  }
}

/** The address that a peer is told: as configured, else by the host that it called, else as bound. */
function advertised(configured: string | undefined, calledHost: string, bound: ListenAddress): string {
  const called = calledHost.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  const host = configured ?? (called === '' || called === SERVER_NAME ? reachable(bound).host : called);
  return formatListen({ host, port: bound.port });
}

/** An address that can be dialled from this machine: a wildcard becomes loopback. */
function reachable({ host, port }: ListenAddress): ListenAddress {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port };
  return host === '::' ? { host: '::1', port } : { host, port };
}

function hostIdsOf(store: StateStore): (text: string) => string[] {
  return (text) =>
    [...store.table('host').values()].filter(({ id, name }) => id === text || name === text).map(({ id }) => id);
}

function programVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

function once(body: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= body();
    return running;
  };
}
