// The composition root: every part of a controller, wired.
//
//   agents ──sync──► AgentSync ──inventory──► StateStore ──commits──► Distributor ──► AgentSync ──updates──► agents
//          ──flows─► FlowUpload ─► FlowIngest ─► MemoryHistory, Followers ──► Flows service ──► operators
//   operators ──admin──► services ──► StateStore, PolicyBook ──onStanding──► Distributor
//   new agents ──enroll──► Enrolment ──► Authority
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { WebService } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import {
  AgentSyncService,
  CertificateRenewalService,
  EnrollmentService,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import { enrollmentService, renewalService } from './api/enrolment-services.js';
import { certificateRefusal } from './api/hosts-service.js';
import { type MetricsServer, serveMetrics } from './api/metrics.js';
import { OpenSockets } from './api/open-sockets.js';
import { ADMIN_BOUNDS, bind, ENROLL_BOUNDS, newServer, SYNC_BOUNDS, shutDown } from './api/ports.js';
import { addReflectionAndHealth } from './api/reflection.js';
import { demandPeer, ServingCertificate, serverCredentials } from './api/tls.js';
import type { Authority } from './ca/authority.js';
import { Enrolment } from './ca/enrolment.js';
import { type ControllerConfig, formatListen, type ListenAddress } from './config.js';
import { LoginIntake } from './discovery/login-intake.js';
import { openConnectors } from './discovery/open-connectors.js';
import { FlowUpload, UPLOAD } from './flows/upload.js';
import { advertised, reachable } from './parts/addresses.js';
import { offerAdmin } from './parts/admin.js';
import type { Context } from './parts/context.js';
import { openDistribution } from './parts/distribution.js';
import { openFlows } from './parts/flows.js';
import { comesFrom, openLabelling, openTags } from './parts/labelling.js';
import { openState } from './parts/state.js';
import { AgentSync } from './session/agent-sync.js';
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

const STOP_GRACE_MS = 2000;
/** Several times what a peer has to answer a ping (ports.ts). */
const SWEEP_MS = 120_000;
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
    return await start({ config, log, now, recheckMs, closers }, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(context: Context, stop: () => Promise<void>): Promise<Controller> {
  const { config, log, now, recheckMs, closers } = context;
  const state = await openState(context);
  const { store, epoch, authority, revisions, index } = state;
  const distribution = await openDistribution(context, state);
  const { distributor, hosts, policy, dimensions } = distribution;
  const { desk, labelling } = openLabelling(context, state, distribution);
  const { retries, relabel } = labelling;
  const tags = openTags(context, state);
  const connectors = await openConnectors(config.connectorsFile, { store, dimensions, now, log });
  closers.push(async () => void (await Promise.all(connectors.map((connector) => connector.stop()))));
  for (const connector of connectors) connector.start();
  const flows = await openFlows(context, state, distribution);
  const { ingest, translations } = flows;

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
  const enrollAddress = () => told(bound.enroll, '');
  const statusOptions = offerAdmin(
    { context, state, distribution, labelling, tags, flows, connectors, enrolment, agentSync, enrollAddress },
    offer,
  );
  const health = addReflectionAndHealth(admin);

  const sockets = new OpenSockets();
  const sweeping = setInterval(() => sockets.sweep(), SWEEP_MS);
  sweeping.unref();
  closers.push(() => {
    clearInterval(sweeping);
    sockets.stop();
  });
  closers.push(async () => {
    health.setServing(false);
    agentSync.stop();
    flowUpload.stop();
    await Promise.all([sync, admin, enroll].map((server) => shutDown(server, STOP_GRACE_MS, () => sockets.cut())));
  });
  bound.sync = await bind(sync, config.listenSync, serverCredentials(serving, true));
  const adminBound = await bind(admin, config.listenAdmin, serverCredentials(serving, true));
  bound.enroll = await bind(enroll, config.listenEnroll, serverCredentials(serving, false));
  for (const { port } of [bound.sync, adminBound, bound.enroll]) sockets.watch(port);
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
  log.info(
    { ...addresses, version: statusOptions.version, policyVersion: policy.current.version, contextFile },
    'controller serves',
  );
  return { addresses, contextFile, stop };
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

function once(body: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= body();
    return running;
  };
}
