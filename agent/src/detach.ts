// Takes the agent off the machine's traffic: every program, link and map under the pin path goes.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ABI_VERSION } from '@ringfence/bpf';
import type { AgentConfig } from './config.js';
import { Datapath } from './datapath/datapath.js';
import { AgentLock } from './store/agent-lock.js';
import { findCgroupMount } from './workloads/cgroup-tree.js';

/** Removes all of it and says what was done. Throws RF_LOCKED while an agent runs on the pin path. */
export function detach(config: AgentConfig): string {
  const lock = AgentLock.take(config.pinPath);
  try {
    if (!existsSync(join(config.pinPath, `v${ABI_VERSION}`))) return `nothing is pinned under ${config.pinPath}`;
    const { pinPath, cgroupRoot = findCgroupMount().path } = config;
    Datapath.open({ pinPath, cgroupRoot }).detachAll();
    return `removed everything under ${pinPath}`;
  } finally {
    lock.release();
  }
}
