// What a host does to containers that are not paired, and who says so. Pure.
import { Unpaired } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { UnpairedTreatment } from '../pairing/profile.js';
import type { HostRecord } from '../store/records.js';

type Says = Pick<HostRecord, 'unpaired' | 'unpairedByProfile' | 'unpairedByOperator'>;

/** An operator before the profile that the host enrolled by, and that before its agent's configuration. */
export function unpairedOf(host: Says): {
  readonly treatment: UnpairedTreatment;
  readonly by: 'operator' | 'profile' | 'configuration';
} {
  if (host.unpairedByOperator !== undefined) return { treatment: host.unpairedByOperator, by: 'operator' };
  if (host.unpairedByProfile !== undefined) return { treatment: host.unpairedByProfile, by: 'profile' };
  return { treatment: host.unpaired ?? 'visibility', by: 'configuration' };
}

/** What its agent is told; undefined: to do as it is configured. */
export function unpairedToldOf(host: Says | undefined): UnpairedTreatment | undefined {
  return host?.unpairedByOperator ?? host?.unpairedByProfile;
}

export function unpairedToWire(treatment: UnpairedTreatment | undefined): Unpaired {
  if (treatment === undefined) return Unpaired.UNPAIRED_UNSPECIFIED;
  return treatment === 'isolate' ? Unpaired.UNPAIRED_ISOLATE : Unpaired.UNPAIRED_VISIBILITY;
}

/** undefined: not said. */
export function unpairedFromWire(wire: Unpaired): UnpairedTreatment | undefined {
  if (wire === Unpaired.UNPAIRED_ISOLATE) return 'isolate';
  return wire === Unpaired.UNPAIRED_VISIBILITY ? 'visibility' : undefined;
}
