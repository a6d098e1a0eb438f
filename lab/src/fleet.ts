import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApplyPolicyResponse, PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Workload } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { type AgentOverrides, AgentProcess } from './agent.js';
import type { AdminApi } from './api.js';
import { ControllerProcess } from './controller.js';
import type { HostOptions, TestHost } from './host.js';
import { Lab } from './lab.js';
import type { Place } from './place.js';
import { until } from './until.js';

export interface FleetHostSpec extends Omit<HostOptions, 'behind'> {
  name: string;
  /** Name of a host, made before, that forwards for it. */
  behind?: string;
  /** Containers to run. */
  containers?: readonly string[];
  /** Their published ports, as ContainerOptions. */
  publish?: Readonly<Record<string, Record<string, number>>>;
  /** What they run, as ContainerOptions. */
  commands?: Readonly<Record<string, readonly string[]>>;
  /** Plain services: cgroup workloads. */
  services?: readonly string[];
  agent?: AgentOverrides;
}

/** One host with its agent and the places on it, by name. */
export interface Member {
  host: TestHost;
  agent: AgentProcess;
  places: Map<string, Place>;
}

/** A controller and hosts with agents: the whole system in one lab. */
export class Fleet {
  private constructor(
    readonly lab: Lab,
    readonly controller: ControllerProcess,
    readonly members: Map<string, Member>,
  ) {}

  /**
   * Builds, enrols and starts all of it; returns when every workload is known to the controller. `patienceMs` bounds a broken run: each
   * agent's programs take seconds of a processor to load.
   */
  static async start(specs: readonly FleetHostSpec[], patienceMs = 60_000): Promise<Fleet> {
    const lab = await Lab.create();
    try {
      const controller = new ControllerProcess(await lab.addNode('control'));
      const members = new Map<string, Member>();
      const bootAll = (some: readonly FleetHostSpec[]) =>
        Promise.all(some.map(async (spec) => members.set(spec.name, await boot(lab, controller, spec, members))));
      await Promise.all([controller.start(), bootAll(specs.filter(({ behind }) => behind === undefined))]);
      await bootAll(specs.filter(({ behind }) => behind !== undefined));
      const fleet = new Fleet(lab, controller, members);
      await Promise.all(
        [...members.values()].map(async ({ agent }) => {
          await agent.enrol(controller);
          await agent.start();
        }),
      );
      const names = specs.flatMap((s) => [...hostOf(s), ...(s.containers ?? []), ...(s.services ?? [])]);
      await fleet.known(names, patienceMs);
      return fleet;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get api(): AdminApi {
    return this.controller.api;
  }

  member(name: string): Member {
    const found = this.members.get(name);
    if (!found) throw new Error(`Cannot find host ${name}: the fleet has ${[...this.members.keys()].join(', ')}`);
    return found;
  }

  /** A container or service anywhere in the fleet, by its name. */
  place(name: string): Place {
    for (const { places } of this.members.values()) {
      const found = places.get(name);
      if (found) return found;
    }
    throw new Error(`Cannot find ${name}: no host of the fleet runs it`);
  }

  /** Waits until the controller knows workloads of these names. */
  async known(names: readonly string[], timeoutMs = 100_000): Promise<Workload[]> {
    return until(
      `workloads ${names.join(', ')} to be known`,
      async () => {
        for (const { agent } of this.members.values()) {
          if (!agent.running) throw new Error(`the agent of ${agent.host.name} ended: ${agent.log.slice(-2000)}`);
        }
        const workloads = await this.api.listWorkloads();
        const missing = names.filter((name) => !workloads.some((w) => w.name === name && w.present));
        if (missing.length > 0) throw new Error(`missing ${missing.join(', ')}`);
        return workloads;
      },
      { timeoutMs },
    );
  }

  /** Gives a workload its labels; these replace what it had. */
  async label(workload: string, labels: Record<string, string>): Promise<void> {
    const found = (await this.api.listWorkloads()).filter((w) => w.name === workload && w.present);
    const [one, ...others] = found;
    if (!one || others.length > 0) throw new Error(`Cannot label ${workload}: ${found.length} of that name, wanted 1`);
    await this.api.setLabels(one.id, labels);
  }

  /** Provisions a policy that must be accepted, and waits until every connected host has it in its kernel. */
  async provision(files: PolicyFile[]): Promise<ApplyPolicyResponse> {
    const response = await this.api.apply(files);
    if (!response.accepted) {
      const problems = response.problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.code} ${p.message}`);
      throw new Error(`Cannot provision: refused, wanted accepted:\n${problems.join('\n')}`);
    }
    await this.converged(response.version);
    return response;
  }

  /** Waits until every connected host has acknowledged its newest revision and that policy version (newest when left out). */
  async converged(version?: number): Promise<void> {
    await until(
      `all hosts to hold policy ${version ?? 'as wanted'}`,
      async () => {
        const status = await this.api.status();
        const hosts = (await this.api.listHosts()).filter((h) => h.connected);
        const behind = hosts.filter(
          (h) => h.revisionAcked !== h.revisionWanted || h.policyVersion !== (version ?? status.policyVersion),
        );
        if (hosts.length < this.runningAgents) throw new Error(`${hosts.length} of ${this.runningAgents} connected`);
        const [first] = behind;
        if (first) {
          throw new Error(
            `${first.id} has revision ${first.revisionAcked} of ${first.revisionWanted}, policy ${first.policyVersion}` +
              (first.nack ? `, refused: ${first.nack.code} ${first.nack.message}` : ''),
          );
        }
        return true;
      },
      { timeoutMs: 30_000, intervalMs: 20 },
    );
  }

  private get runningAgents(): number {
    return [...this.members.values()].filter((m) => m.agent.running).length;
  }

  async close(): Promise<void> {
    this.controller.close();
    await this.lab.close();
  }
}

async function boot(
  lab: Lab,
  controller: ControllerProcess,
  { behind, ...spec }: FleetHostSpec,
  members: ReadonlyMap<string, Member>,
): Promise<Member> {
  const before = behind === undefined ? undefined : members.get(behind);
  if (behind !== undefined && before === undefined)
    throw new Error(
      `Cannot boot ${spec.name} behind ${behind}: found no such host, wanted one that stands behind nobody`,
    );
  const standing = before === undefined ? {} : { behind: before.host };
  const host = await lab.addHost(spec.name, { ...spec, ...standing, docker: (spec.containers?.length ?? 0) > 0 });
  const places = new Map<string, Place>();
  for (const name of spec.services ?? []) places.set(name, await host.service(name));
  for (const name of spec.containers ?? []) {
    const [publish, command] = [spec.publish?.[name], spec.commands?.[name]];
    places.set(name, await host.container(name, { ...(publish && { publish }), ...(command && { command }) }));
  }
  const agent = await AgentProcess.configure(host, controller, spec.services ?? [], spec.agent);
  return { host, agent, places };
}

/** The host's own workload, unless its agent is told not to make it one. */
function hostOf({ name, agent }: FleetHostSpec): string[] {
  const host = agent?.host as { readonly enabled?: boolean } | undefined;
  return host?.enabled === false ? [] : [name];
}

/** The YAML files of a folder as the API takes them. */
export function policyFiles(dir: string): PolicyFile[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => ({ name, content: readFileSync(join(dir, name), 'utf8') }));
}
