// One container to a workload, whatever its runtime.
import { LocalWorkload as InventoryEntry } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { LocalCgroup, LocalInterface } from '../desired/local.js';
import type { ContainerFacts } from './container-runtime.js';
import { boundedMetadata, type FoundWorkload } from './found-workload.js';
import { findPairingKey, type PairingKeyPlaces, withoutKey } from './pairing-key.js';

/** What the host side says about a container's process. */
export interface ContainerPlace {
  /** Host ends of its veth pairs. */
  readonly interfaces: readonly LocalInterface[];
  readonly cgroup: LocalCgroup | undefined;
  /** cgroup path relative to the agent's cgroup root; '' when outside or unknown. */
  readonly cgroupPath: string;
}

/** The agent's id of a container. */
export function containerLocalId(id: string): string {
  return `container:${id}`;
}

/**
 * One that shares the host's network is a cgroup workload: it is decided at its cgroup, and has no addresses of its own. undefined for one
 * that shares another container's network: it is that container to the network.
 */
export function containerWorkload(
  facts: ContainerFacts,
  place: ContainerPlace,
  source: string,
  keys: PairingKeyPlaces,
): FoundWorkload | undefined {
  if (facts.network === 'shared') return undefined;
  const onHost = facts.network === 'host';
  if (onHost && place.cgroup === undefined) return undefined;
  const localId = containerLocalId(facts.id);
  const kind = onHost ? WorkloadKind.WORKLOAD_KIND_CGROUP : WorkloadKind.WORKLOAD_KIND_CONTAINER;
  return {
    inventory: InventoryEntry.create({
      localId,
      kind,
      name: facts.name,
      source,
      image: facts.image,
      addresses: onHost ? [] : [...facts.addresses],
      published: [...facts.published],
      metadata: boundedMetadata(withoutKey(facts.labels, keys)),
      cgroupPath: place.cgroupPath,
      pairingKey: findPairingKey(facts, keys),
    }),
    local: {
      localId,
      kind,
      interfaces: onHost ? [] : place.interfaces,
      cgroup: place.cgroup,
      addresses: [],
      netns: onHost ? undefined : `/proc/${facts.pid}/ns/net`,
    },
  };
}
