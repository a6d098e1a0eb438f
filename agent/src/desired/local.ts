// Local workloads as the kernel needs them. The agent's workloads part finds them; nothing here touches the machine.
import type { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';

/** A host-side interface of a container, in the agent's own network namespace. */
export interface LocalInterface {
  readonly name: string;
  readonly ifindex: number;
}

/** A cgroup v2 directory. */
export interface LocalCgroup {
  /** Absolute path. */
  readonly path: string;
  /** The id BPF sees. */
  readonly id: bigint;
}

/**
 * One workload on this host. By kind:
 * container: decided at each interface; its cgroup, when known, is passed by the cgroup programs.
 * cgroup: decided at its cgroup (required).
 * host: everything of the agent's own network namespace that no other claims; cgroup (required) is the agent's cgroup root.
 */
export interface LocalWorkload {
  /** Stable on this host: "host", "cgroup:<path>", "container:<id>". */
  readonly localId: string;
  readonly kind: WorkloadKind;
  readonly interfaces: readonly LocalInterface[];
  readonly cgroup: LocalCgroup | undefined;
  /**
   * host: the machine's own addresses, mapped bytes. A connection of a host workload to one of them never leaves the machine and
   * is loopback to the kernel. Others: empty.
   */
  readonly addresses: readonly Uint8Array[];
  /** Path of the container's network namespace, so that its revoked sockets can be closed too; undefined: the agent's own. */
  readonly netns: string | undefined;
}
