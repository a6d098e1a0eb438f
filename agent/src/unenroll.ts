// Takes this host out of its fleet without a controller: what `ringfence host remove` has a connected agent do, for one that cannot be
// reached any more. The agent must not run.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ABI_VERSION } from '@ringfence/bpf';
import type { AgentConfig } from './config.js';
import { adminFailsafes } from './control/failsafes.js';
import { bootId } from './control/host-facts.js';
import { type LastGood, LastGoodFile } from './control/last-good.js';
import { forgetIdentity } from './control/leave.js';
import type { LeaveOutcome } from './control/left-mark.js';
import { Datapath } from './datapath/datapath.js';
import { clearTagPins } from './datapath/tag-maps.js';
import { openedInstructions } from './desired/instructions.js';
import { Renderer } from './desired/renderer.js';
import { AgentError } from './errors.js';
import { AgentLock } from './store/agent-lock.js';
import { findCgroupMount } from './workloads/cgroup-tree.js';
import type { InterfaceReader } from './workloads/container-place.js';
import type { FoundWorkload } from './workloads/found-workload.js';
import { stillThere } from './workloads/remembered.js';

/** What the datapath is opened with, whoever opens it. */
export function datapathOptions(config: AgentConfig, cgroupRoot: string) {
  const { pinPath, mapSizes, ringBytes, denyRingBytes } = config;
  // A controller may have containers held at any time: where there can be any, the programs are ready for it.
  const guardsContainers = config.unassigned === 'isolate' || config.dockerSockets.length > 0;
  return { pinPath, cgroupRoot, mapSizes, ringBytes, denyRingBytes, guardsContainers };
}

/** Does it and says what was done. Throws RF_LOCKED while an agent runs on the pin path. */
export async function unenroll(config: AgentConfig, outcome: LeaveOutcome, kernel: InterfaceReader): Promise<string> {
  const lock = AgentLock.take(config.pinPath);
  try {
    const pinned = existsSync(join(config.pinPath, `v${ABI_VERSION}`));
    forgetIdentity(config.stateDir, outcome, Date.now());
    if (pinned && outcome !== 'remove') clearTagPins(join(config.pinPath, `v${ABI_VERSION}`, 'maps'));
    if (outcome === 'keep')
      return `left the fleet; ${pinned ? 'the last good policy stays in force' : 'nothing is in the kernel'}`;
    const { cgroupRoot = findCgroupMount().path, pinPath } = config;
    if (outcome === 'remove') {
      if (pinned) Datapath.remove({ pinPath, cgroupRoot });
      return `left the fleet; ${pinned ? `removed everything under ${pinPath}` : 'nothing was in the kernel'}`;
    }
    const opened = await openOnDisk(config);
    if (pinned && opened !== undefined) await openInKernel(config, cgroupRoot, opened, kernel);
    return 'left the fleet; everything stays attached, and nothing is blocked';
  } finally {
    lock.release();
  }
}

/** The last good state on disk, opened; undefined when there is none. */
async function openOnDisk(config: AgentConfig): Promise<LastGood<FoundWorkload> | undefined> {
  const file = new LastGoodFile<FoundWorkload>(join(config.stateDir, 'state.cbor'));
  const state = file.read();
  if (state === undefined) return undefined;
  const opened = { ...state, epoch: '', instructions: openedInstructions(state.instructions), pending: undefined };
  await file.write(() => opened);
  return opened;
}

async function openInKernel(
  config: AgentConfig,
  cgroupRoot: string,
  state: LastGood<FoundWorkload>,
  kernel: InterfaceReader,
): Promise<void> {
  const datapath = Datapath.open(datapathOptions(config, cgroupRoot));
  try {
    const failsafes = adminFailsafes(config.adminSources);
    const { unassigned, rejectMode } = config;
    const renderer = new Renderer({ unassigned, rejectMode, failsafes }, datapath.recovered);
    const found = state.bootId === bootId() ? stillThere(state.workloads, kernel.listInterfaces()) : [];
    const desired = renderer.render(
      state.instructions,
      found.map(({ local }) => local),
    );
    const applied = await datapath.apply(desired);
    if (applied.kind !== 'ok')
      throw new AgentError(applied.code, `Cannot open the kernel's policy: ${applied.message}`);
  } finally {
    datapath.close();
  }
}
