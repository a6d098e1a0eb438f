// The cgroups that containers start in. They are there before the first container, so that none ever starts outside of a guarded one.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PairingConfig } from '../config.js';
import type { LocalCgroup } from '../desired/local.js';
import { AgentError, messageOf } from '../errors.js';
import { cgroupAt } from './cgroup-tree.js';

/** Makes those that are missing. Throws RF_CONFIG when one cannot be had: starting without it would leave a gap. */
export function containerCgroups(cgroupRoot: string, { containerCgroups: paths }: PairingConfig): LocalCgroup[] {
  return paths.map((path) => {
    const full = join(cgroupRoot, path);
    try {
      mkdirSync(full, { recursive: true });
    } catch (error) {
      throw new AgentError('RF_CONFIG', `Cannot hold containers in cgroup ${full}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const cgroup = cgroupAt(full);
    if (cgroup === undefined)
      throw new AgentError('RF_CONFIG', `Cannot hold containers in cgroup ${full}: found no cgroup v2, wanted one`);
    return cgroup;
  });
}
