// The open rollout as the API shows it: whom it is for, and how far it has come.
import type { PolicyRollout } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { formatSelector, selectorMatches } from '../policy/selector.js';
import type { Distributor } from '../session/distributor.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import type { StateStore } from '../store/state-store.js';
import type { PolicyBook } from './policy-book.js';

export interface RolloutViewOptions {
  readonly policy: PolicyBook;
  readonly store: StateStore;
  readonly hosts: HostRuntimes;
  readonly distributor: Distributor;
}

/** Undefined when no rollout is open. */
export function rolloutToWire({ policy, store, hosts, distributor }: RolloutViewOptions): PolicyRollout | undefined {
  const { rollout } = policy;
  if (rollout === undefined) return undefined;
  const { version, base, startedMs, author, deadlineMs, canary } = rollout;
  let workloads = 0;
  for (const record of store.table('workload').values()) {
    if (record.present && record.hostId !== '' && (canary === undefined || selectorMatches(canary, record)))
      workloads += 1;
  }
  const concerned = [...hosts.all()].filter(
    ({ hostId, session }) => session !== undefined && distributor.versionOf(hostId) === version,
  );
  return {
    version,
    baseVersion: base,
    startedMs: BigInt(startedMs),
    author,
    confirmByMs: BigInt(deadlineMs),
    canary: canary === undefined ? '' : formatSelector(canary),
    workloads,
    hosts: concerned.length,
    hostsInForce: concerned.filter((host) => host.ackedPolicyVersion === version).length,
  };
}
