// What a container runtime is to the agent. Docker's Engine is one (docker-runtime.ts); another brings these few calls, and everything beyond
// them (when to look, what is remembered, keys, interfaces, cgroups, the workload that comes of it) is the same for all.
import type { PublishedPort } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Address } from '@ringfence/proto/gen/ringfence/v1/common.js';

/** A running or paused container as its runtime describes it. */
export interface ContainerFacts {
  /** The runtime's own id: the same over restarts, another for a container made anew. */
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** Its first process, as the host numbers it. */
  readonly pid: number;
  /** Its metadata. */
  readonly labels: Readonly<Record<string, string>>;
  /** Its configured environment, NAME=value. */
  readonly env: readonly string[];
  /** A network namespace of its own, the host's, or that of another container. */
  readonly network: 'own' | 'host' | 'shared';
  /** Each in the space that the runtime's network makes of it. */
  readonly addresses: readonly Address[];
  /** Ports of it on the host. */
  readonly published: readonly PublishedPort[];
}

/** Told by a runtime that is watched. */
export interface RuntimeEvents {
  /** Something about containers or networks may have changed. */
  readonly onChange: () => void;
  /** The stream of events has ended: nothing is told any more. */
  readonly onEnd: (error: Error) => void;
}

export interface ContainerRuntime {
  /** For example "docker:/var/run/docker.sock"; also LocalWorkload.source of its containers. */
  readonly name: string;
  /** For people: "Docker at /var/run/docker.sock". */
  readonly title: string;
  /** "" before it has answered. */
  readonly version: string;
  /** Connects and subscribes. Once it resolves, every change is told. Rejects when the runtime does not answer. */
  watch(events: RuntimeEvents): Promise<{ close(): void }>;
  /** All that run or are paused now. May remember what it was told of those that have not changed. */
  list(): Promise<readonly ContainerFacts[]>;
  /** Asks anew about these at the next list. */
  forget(ids: ReadonlySet<string>): void;
  /** Space of an interface's addresses when it is a bridge of this runtime. */
  spaceOf(interfaceName: string, family: 4 | 6): string | undefined;
}
