// The composition root of one agent: every concrete part is made and joined here, and nowhere else.
//
//            controller ◄────────────── sync stream ──────────────► SyncSession
//                ▲                                                     │ revisions        ▲ inventory, status
//                │ flow stream                                         ▼                  │
//   FlowUploader ┤                       last good state ◄──────► PolicyKeeper            │
//                │ ▲                                                   │                  │
//   FlowSpool ◄──┘ │ batches                                           ▼                  │
//            FlowDriver ◄── rings, sweeps ── Datapath ◄── apply ── Enforcement ◄── WorkloadRegistry ◄── docker, cgroups, host
//                │ cut sockets                  ▲                      │ endpoints
//                └──────────────────────────────┘     EndpointDirectory ◄─┘ (names flows)
//   ConntrackWatch ─► translations on the flow stream, source translations on the sync stream
//
// Order at boot: lock → open the datapath, adopting what is pinned → apply the last good state → discover workloads → controller.
// Until the last step nothing needs a network. Nothing here logs in a loop: each condition is logged when it begins and ends.
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { Hello } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import type { AgentConfig } from './config.js';
import { ControllerChannel } from './control/controller-channel.js';
import { writeCredentials } from './control/credentials.js';
import { FailsafeKeeper } from './control/failsafe-keeper.js';
import { adminFailsafes } from './control/failsafes.js';
import { bootId, hostFacts } from './control/host-facts.js';
import { LastGoodFile } from './control/last-good.js';
import { forgetIdentity } from './control/leave.js';
import { type LeaveOutcome, markLeft } from './control/left-mark.js';
import { PolicyKeeper } from './control/policy-keeper.js';
import { Reconnector } from './control/reconnect.js';
import { CertificateRenewer, signOverChannel } from './control/renewal.js';
import { runSyncConnection } from './control/sync-connection.js';
import type { SyncSession } from './control/sync-session.js';
import { TAG_FILE, TAG_FILE_FORMAT, TagKeeper } from './control/tag-keeper.js';
import { Datapath } from './datapath/datapath.js';
import { openedInstructions } from './desired/instructions.js';
import type { LocalCgroup } from './desired/local.js';
import { Renderer } from './desired/renderer.js';
import type { FailsafeState } from './desired/update.js';
import { Enforcement } from './enforcement.js';
import { codeOf, messageOf } from './errors.js';
import { EndpointDirectory } from './flows/endpoint-directory.js';
import { runFlowConnection } from './flows/flow-connection.js';
import { FlowDriver } from './flows/flow-driver.js';
import { FlowSpool } from './flows/spool.js';
import { FlowUploader } from './flows/uploader.js';
import { Caretaker } from './health/caretaker.js';
import { ConditionBoard } from './health/conditions.js';
import { serveMetrics } from './health/metrics.js';
import { capacityOf, judge, statusMessage } from './health/status.js';
import { StatusReporter } from './health/status-reporter.js';
import { LoginFollower, loginSource } from './logins/login-follower.js';
import { ConntrackWatch } from './nat/conntrack-watch.js';
import { AgentLock } from './store/agent-lock.js';
import { StateFile } from './store/state-file.js';
import { systemTimers as timers } from './timers.js';
import { datapathOptions } from './unenroll.js';
import { findCgroupMount } from './workloads/cgroup-tree.js';
import { containerCgroups } from './workloads/container-cgroups.js';
import type { InterfaceReader } from './workloads/container-place.js';
import type { FoundWorkload } from './workloads/found-workload.js';
import { openSources, type Sources } from './workloads/open-sources.js';
import { withoutPairingKey } from './workloads/pairing-key.js';
import { WorkloadRegistry } from './workloads/registry.js';
import { stillThere } from './workloads/remembered.js';

/** Between two looks at attachments, conntrack and health. */
const TICK_MS = 1000;
const BACKOFF = { firstMs: 200, maxMs: 30_000 };
/** Flow batches in memory beyond those on their way. */
const MEMORY_BATCHES = 32;

/** Names of the features that this kernel has; and those that it lacks, with why. */
export interface KernelFeatures {
  readonly found: readonly string[];
  readonly missing: readonly string[];
}

/** What the agent asks of the kernel beside the datapath. */
export interface KernelPorts extends InterfaceReader {
  features(): KernelFeatures;
}

export class Agent {
  readonly #config: AgentConfig;
  readonly #log: Logger;
  readonly #lock: AgentLock;
  readonly #run = randomBytes(16);
  readonly #board: ConditionBoard;
  /** Made when the unpaired are to be cut off for the first time. */
  #containerCgroups: readonly LocalCgroup[] | undefined;
  readonly #channel: ControllerChannel;
  readonly #datapath: Datapath;
  readonly #failsafes: FailsafeKeeper;
  readonly #enforcement: Enforcement;
  readonly #keeper: PolicyKeeper<FoundWorkload>;
  readonly #sources: Sources;
  readonly #registry: WorkloadRegistry;
  readonly #logins: LoginFollower | undefined;
  readonly #endpoints = new EndpointDirectory();
  readonly #spool: FlowSpool;
  readonly #uploader: FlowUploader;
  readonly #flows: FlowDriver;
  readonly #nat: ConntrackWatch | undefined;
  readonly #reconnectors: readonly Reconnector[];
  readonly #renewer: CertificateRenewer;
  readonly #tags: TagKeeper;
  readonly #caretaker: Caretaker;
  readonly #reporter: StatusReporter;
  readonly #features: KernelFeatures;
  readonly #restored: boolean;
  #metrics: Server | undefined;
  #session: SyncSession | undefined;
  #cancelTick: (() => void) | undefined;
  /** Policy version that this run took back last. */
  #returnedFrom = 0;
  #detachOnExit = false;
  #onLeft: () => void = () => {};
  #onApplied: (seconds: number) => void = () => {};
  /** Resolves when the host has left its fleet and nothing shall be enforced any more: the process is to end. */
  readonly left = new Promise<void>((resolve) => {
    this.#onLeft = resolve;
  });

  private constructor(config: AgentConfig, log: Logger, kernel: KernelPorts, lock: AgentLock) {
    this.#config = config;
    this.#log = log;
    this.#lock = lock;
    this.#board = new ConditionBoard(timers.now, (condition, holds) => {
      const level = !holds ? 'info' : condition.severity === 'info' ? 'info' : 'warn';
      log[level]({ code: condition.code, severity: condition.severity, holds, text: condition.text }, condition.title);
      this.#reporter.soon();
    });
    this.#reporter = new StatusReporter({ timers, session: () => this.#session, status: () => this.#status() });
    const mount = findCgroupMount();
    const cgroupRoot = config.cgroupRoot ?? mount.path;
    const heldCgroups = () => (this.#containerCgroups ??= containerCgroups(cgroupRoot, config.pairing));
    if (config.unassigned === 'isolate') heldCgroups();
    this.#channel = new ControllerChannel(config.stateDir, config.controller);
    this.#datapath = Datapath.open({
      ...datapathOptions(config, cgroupRoot),
      onSwept: (events) => this.#flows?.takeSwept(events),
    });
    const admin = adminFailsafes(config.adminSources);
    const renderConfig = {
      unassigned: config.unassigned,
      containerCgroups: heldCgroups,
      rejectMode: config.rejectMode,
      failsafes: admin as readonly FailsafeState[],
    };
    const renderer = new Renderer(renderConfig, this.#datapath.recovered);
    this.#enforcement = new Enforcement({
      datapath: this.#datapath,
      render: (instructions, locals) => renderer.render(instructions, locals),
      onApplied: (desired) => {
        this.#endpoints.set(desired.endpoints);
        this.#reporter.soon();
      },
    });
    this.#failsafes = new FailsafeKeeper({
      admin,
      address: () => this.#channel.address,
      apply: async (failsafes) => {
        renderConfig.failsafes = failsafes;
        await this.#enforcement.reapply();
      },
      onProblem: (error) => log.debug({ code: codeOf(error, '') }, messageOf(error)),
    });
    this.#keeper = new PolicyKeeper({
      enforcement: this.#enforcement,
      file: new LastGoodFile<FoundWorkload>(join(config.stateDir, 'state.cbor')),
      timers,
      bootId: bootId(),
      workloads: () => this.#registry.found.map(withoutPairingKey),
      onUnreadable: (code, message) => this.#board.set('RF_STATE_CORRUPT', `${code}: ${message}`),
      onSaved: (problem) => this.#board.set('RF_STATE_UNSAVED', problem),
      onReturned: (rollout, outcome) => {
        const how = outcome.kind === 'ok' ? '' : `; returning failed: ${outcome.message}`;
        this.#board.set('RF_ROLLOUT_RETURNED', `Policy version ${rollout.policyVersion} was not confirmed${how}`);
        this.#returnedFrom = rollout.policyVersion;
        // A controller that came back in this very moment counts on the state that was left.
        if (outcome.kind === 'ok') this.#session?.resync(`policy version ${rollout.policyVersion} was taken back`);
      },
    });
    this.#tags = new TagKeeper({
      apply: (tables) => this.#datapath.setTags(tables),
      file: new StateFile(join(config.stateDir, TAG_FILE), TAG_FILE_FORMAT),
      bootMs: () => uptime() * 1000,
      nowMs: timers.now,
      onProblem: (problem) => this.#board.set('RF_TAGS', problem),
    });
    const lastGood = this.#keeper.load();
    this.#restored = lastGood !== undefined;
    if (!lastGood && this.#datapath.status().start !== 'fresh') this.#enforcement.hold();
    this.#sources = openSources(config, { mount: mount.path, cgroupRoot }, kernel, timers);
    const sameBoot = lastGood?.bootId === bootId();
    const remembered = sameBoot ? stillThere(lastGood?.workloads ?? [], kernel.listInterfaces()) : [];
    this.#registry = new WorkloadRegistry(this.#sources.all, remembered, {
      onLocals: (locals) => {
        this.#nat?.setWorkloads(this.#registry.found);
        void this.#enforcement.setLocals(locals);
        this.#keeper.saveSoon();
      },
      onInventory: (delta) => this.#session?.sendInventory(delta),
    });
    const source = loginSource(config.logins, timers, Math.random);
    this.#logins =
      source && new LoginFollower({ source, timers, onLogins: (logins) => this.#session?.sendLogins(logins) });
    const run = this.#run.toString('hex');
    this.#spool = new FlowSpool({ directory: join(config.stateDir, 'spool'), bytesMax: config.flows.spoolBytes }, run);
    this.#uploader = new FlowUploader({ run, window: config.flows.window, memoryBatches: MEMORY_BATCHES }, this.#spool);
    this.#flows = new FlowDriver(
      { run, ...config.flows },
      {
        rings: () => this.#datapath.rings(),
        denied: () => this.#datapath.denied(),
        lanes: () => this.#datapath.lanes(),
        resolve: (endpoint) => this.#endpoints.resolve(endpoint),
        onCut: (cut) => this.#closeSocket(cut),
        uploader: this.#uploader,
        spool: this.#spool,
        timers,
      },
    );
    this.#nat = config.nat.conntrack ? this.#conntrackWatch(config) : undefined;
    this.#caretaker = this.#takingCare(config);
    this.#features = kernel.features();
    this.#reconnectors = [this.#syncReconnector(), this.#flowReconnector()];
    this.#renewer = new CertificateRenewer({
      read: () => this.#channel.credentials(),
      write: (renewed) => writeCredentials(config.stateDir, renewed),
      sign: (csr) => signOverChannel(this.#channel, csr),
      timers,
      random: Math.random,
      onRenewed: (renewed) => {
        log.info({ notAfter: new Date(renewed.notAfterMs).toISOString() }, 'certificate renewed');
        this.#board.set('RF_CERT_EXPIRING', undefined);
      },
      onFailed: (message, retryInMs) => {
        log.debug({ retryInMs }, message);
        this.#board.set('RF_CERT_EXPIRING', message);
      },
    });
  }

  /**
   * Boots in the order that keeps enforcement without a gap; resolves when the last good state is applied and everything else is
   * under way. Throws RF_LOCKED, or what opening the datapath throws; the kernel is then as it was.
   */
  static async start(config: AgentConfig, log: Logger, kernel: KernelPorts): Promise<Agent> {
    const lock = AgentLock.take(config.pinPath);
    let agent: Agent;
    try {
      agent = new Agent(config, log, kernel, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
    await agent.#boot();
    return agent;
  }

  /** What is in force, and whether it came from the state on disk. */
  get standing(): { policyVersion: number; revision: number; source: 'state' | 'none' } {
    const { policyVersion, revision } = this.#enforcement.instructions;
    return { policyVersion, revision, source: this.#restored ? 'state' : 'none' };
  }

  async #boot(): Promise<void> {
    this.#enforcement.expect(this.#registry.locals);
    await this.#failsafes.learn();
    await this.#enforcement.setLocals(this.#registry.locals);
    this.#tags.load();
    this.#log.info(
      { start: this.#datapath.status().start, revision: this.#keeper.inForce.revision, held: this.#enforcement.held },
      'enforcing from the last good state',
    );
    this.#flows.start();
    this.#nat?.setWorkloads(this.#registry.found);
    this.#nat?.start();
    this.#registry.start();
    this.#logins?.start();
    for (const reconnector of this.#reconnectors) reconnector.start();
    this.#renewer.start();
    if (this.#config.metrics) this.#metrics = await serveMetrics(this.#config.metrics.listen, this.#metricsPorts());
    this.#tick();
  }

  /** Ends in order: nothing new comes in, everything known goes out or to disk; the kernel keeps enforcing unless told not to. */
  async stop(): Promise<void> {
    this.#cancelTick?.();
    this.#reporter.stop();
    this.#renewer.stop();
    this.#metrics?.close();
    await this.#registry.stop();
    await this.#logins?.stop();
    await this.#nat?.close();
    await this.#flows.close();
    await Promise.all(this.#reconnectors.map((reconnector) => reconnector.stop()));
    this.#uploader.detach();
    this.#spool.close();
    const { spoolProblem } = this.#uploader;
    if (spoolProblem !== undefined) this.#log.error(spoolProblem, 'flows may be lost when this machine loses power');
    await this.#keeper.stop();
    if (this.#config.keepOnExit && !this.#detachOnExit) this.#datapath.close();
    else this.#datapath.detachAll();
    if (this.#detachOnExit) forgetIdentity(this.#config.stateDir, 'remove', timers.now());
    this.#lock.release();
  }

  #takingCare(config: AgentConfig): Caretaker {
    return new Caretaker({
      board: this.#board,
      pinPath: config.pinPath,
      enforcement: this.#enforcement,
      registry: this.#registry,
      logins: this.#logins,
      nat: this.#nat,
      spool: this.#spool,
      uploader: this.#uploader,
      flows: this.#flows,
      now: timers.now,
      credentials: () => (this.#enrolled() ? this.#channel.credentials() : undefined),
      holding: () =>
        (this.#keeper.inForce.unpaired ?? config.unassigned) === 'isolate'
          ? (this.#containerCgroups ?? []).map(({ path }) => path)
          : undefined,
    });
  }

  #conntrackWatch(config: AgentConfig): ConntrackWatch {
    const { role, translations } = config.nat;
    return new ConntrackWatch(
      { gateway: role === 'gateway', rowsMax: translations, file: join(config.stateDir, 'translations.json') },
      {
        upload: (columns) => this.#flows.offerTranslations(columns),
        onTranslations: (report) => this.#session?.sendTranslations(report),
        timers,
        random: Math.random,
      },
    );
  }

  #syncReconnector(): Reconnector {
    const connect = (established: () => void, signal: AbortSignal) =>
      runSyncConnection(
        this.#channel,
        {
          hello: () => this.#hello(),
          inventory: () => this.#registry.inventory(),
          logins: () => this.#logins?.logins,
          onPairAgain: (localIds) => void this.#registry.reportAgain(localIds),
          onUnenroll: (outcome) => this.#leave(outcome),
          status: () => this.#status(),
          translations: () => this.#nat?.translations(),
          inForce: () => this.#keeper.inForce,
          apply: async (next, epoch, terms) => {
            const begunMs = performance.now();
            const applied = await this.#keeper.apply(next, epoch, terms);
            if (applied.kind === 'ok') this.#onApplied((performance.now() - begunMs) / 1000);
            const refused = applied.kind === 'refused' ? `Revision ${next.revision}: ${applied.message}` : undefined;
            this.#board.set('RF_NACK', refused);
            if (!refused) this.#board.set('RF_STATE_CORRUPT', undefined);
            if (!refused && next.policyVersion > this.#returnedFrom) this.#board.set('RF_ROLLOUT_RETURNED', undefined);
            return applied;
          },
          onTags: (tags) => this.#tags.take(tags),
          onWelcome: (hostId) => {
            this.#log.info({ hostId }, 'connected to the controller');
            this.#keeper.onConnected();
            for (const code of ['RF_CONTROLLER_AWAY', 'RF_NOT_ENROLLED', 'RF_CREDENTIALS'] as const)
              this.#board.set(code, undefined);
          },
          onSession: (session) => {
            this.#session = session;
          },
        },
        established,
        signal,
      );
    return this.#reconnector(connect, (error) => {
      this.#keeper.onLost();
      const message = messageOf(error);
      const enrolled = this.#enrolled();
      this.#board.set('RF_NOT_ENROLLED', enrolled === false ? message : undefined);
      this.#board.set('RF_CREDENTIALS', enrolled === undefined ? message : undefined);
      this.#board.set('RF_CONTROLLER_AWAY', enrolled ? message : undefined);
      void this.#failsafes.learn();
    });
  }

  /** The controller lets this host go. */
  async #leave(outcome: LeaveOutcome): Promise<void> {
    this.#log.warn({ outcome }, 'the controller removed this host from its fleet');
    if (outcome === 'remove') {
      // What is on disk goes at the very end: stopping writes once more. The mark has the next start finish what a crash interrupts.
      markLeft(this.#config.stateDir, outcome, timers.now());
      this.#detachOnExit = true;
      this.#onLeft();
      return;
    }
    this.#tags.forget();
    const { inForce } = this.#keeper;
    const left = await this.#keeper.leave(outcome === 'open' ? openedInstructions(inForce) : inForce);
    if (left.kind === 'refused') this.#board.set('RF_APPLY_FAILED', `${left.code}: ${left.message}`);
    forgetIdentity(this.#config.stateDir, outcome, timers.now());
  }

  #flowReconnector(): Reconnector {
    return this.#reconnector(
      (established, signal) => {
        this.#nat?.onStream();
        return runFlowConnection(this.#channel, this.#uploader, established, signal);
      },
      () => {},
    );
  }

  #reconnector(
    connect: (established: () => void, signal: AbortSignal) => Promise<void>,
    onEnd: (error: unknown) => void,
  ): Reconnector {
    return new Reconnector({
      connect,
      onEnd: (error, waitMs, attempt) => {
        this.#log.debug({ waitMs, attempt, code: codeOf(error, '') }, messageOf(error));
        onEnd(error);
      },
      backoff: BACKOFF,
      timers,
      random: Math.random,
    });
  }

  /** undefined: the credentials cannot be used. */
  #enrolled(): boolean | undefined {
    try {
      return this.#channel.credentials() !== undefined;
    } catch {
      return undefined;
    }
  }

  #closeSocket(cut: Parameters<Datapath['destroySocket']>[0]): void {
    try {
      this.#datapath.destroySocket(cut);
    } catch (error) {
      // Its packets are dropped all the same; only the application learns it later.
      this.#log.debug({ code: codeOf(error, ''), endpoint: cut.endpoint }, messageOf(error));
    }
  }

  /** Tags are read wherever the programs run; writing them takes a kernel that lets sockets add options. */
  #tagFeatures(): string[] {
    return this.#datapath.status().tags.canWrite ? ['syn_tags', 'syn_tags_write'] : ['syn_tags'];
  }

  #hello(): Hello {
    const { revision } = this.#keeper.inForce;
    return Hello.create({
      protocol: 1,
      facts: hostFacts({
        hostName: this.#config.host.name,
        runtimes: this.#sources.runtimes(),
        features: [...this.#features.found, ...this.#tagFeatures()],
        missingFeatures: this.#features.missing,
        spaceOf: this.#sources.spaceOf,
      }),
      epoch: this.#enforcement.held ? '' : this.#keeper.epoch,
      revision: BigInt(revision),
      capacities: this.#datapath.tables().map(capacityOf),
      run: this.#run,
      isolateUnpaired: this.#config.unassigned === 'isolate',
    });
  }

  #status() {
    const inputs = {
      instructions: this.#keeper.inForce,
      datapath: this.#datapath.status(),
      endpoints: this.#datapath.endpoints(),
    };
    judge(inputs, this.#board);
    return statusMessage(inputs, this.#board);
  }

  /** Once per second: put back what others removed, decide flows anew, look after itself. */
  #tick(): void {
    try {
      const { reattached, broken } = this.#datapath.verify();
      this.#datapath.sweepFlows();
      if (reattached.length > 0) this.#board.set('RF_REATTACHED', reattached.join(', '));
      this.#board.set('RF_DETACHED', broken.join(', '));
      void this.#enforcement.retry();
      this.#caretaker.look();
      this.#reporter.tick();
      this.#renewer.checkClock();
    } catch (error) {
      this.#board.set('RF_APPLY_FAILED', `${codeOf(error, 'RF_APPLY')}: ${messageOf(error)}`);
    }
    this.#cancelTick = timers.after(TICK_MS, () => this.#tick());
  }

  #metricsPorts(): Parameters<typeof serveMetrics>[1] {
    return {
      counters: () => this.#datapath.counters(),
      tables: () => this.#datapath.tables(),
      helperErrors: () => this.#datapath.status().helperErrors,
      tags: () => this.#datapath.status().tags.tally,
      loss: () => this.#flows.loss(),
      connections: () => this.#flows.aggregator.size,
      baselineUnknown: () => this.#flows.aggregator.counters.baselineUnknown,
      spoolBytes: () => this.#spool.bytes,
      translations: () => this.#nat?.counters(),
      workloads: () => this.#registry.found.length,
      revision: () => this.#keeper.inForce.revision,
      connected: () => this.#session?.open ?? false,
      onApplied: (listener) => {
        this.#onApplied = listener;
      },
      board: this.#board,
    };
  }
}
