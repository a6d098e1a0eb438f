// The agent runs as uid 0 and needs little of what that brings. Before anything is opened it replaces itself by itself without the rest.
import type { AgentConfig } from './config.js';
import { AgentError } from './errors.js';
import { FOOTPRINT_ENVIRONMENT, FOOTPRINT_FLAGS } from './footprint.js';

/** Set in the process that has given up what it does not need. */
const MARK = 'RINGFENCE_BOUNDED';

/** What the native addon does for it. */
export interface PrivilegePorts {
  effectiveCapabilities(): ReadonlySet<string>;
  ensureBpffs(path: string): boolean;
  /** Replaces this process; does not return. */
  execBounded(
    keep: Iterable<string>,
    path: string,
    argv: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
  ): never;
}

/** What this configuration needs. native/DESIGN.md says which call needs what. */
export function neededCapabilities(config: AgentConfig): Set<string> {
  const needed = new Set(['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON']);
  // A container's revoked sockets are closed from inside its network namespace, and a key in a file is read through its root.
  if (config.dockerSockets.length > 0) for (const name of ['CAP_SYS_ADMIN', 'CAP_SYS_PTRACE']) needed.add(name);
  if (config.dockerSockets.length > 0 && config.pairing.keyFile !== undefined) needed.add('CAP_DAC_READ_SEARCH');
  const port = Number(config.metrics?.listen.split(':').at(-1) ?? Number.NaN);
  if (port < 1024) needed.add('CAP_NET_BIND_SERVICE');
  return needed;
}

/**
 * Returns in a process that has no capability beyond those needed, or, started by another user than root, the ones that it was given. Else
 * it does not return: this process begins anew without them. Throws RF_CAPABILITIES when that did not help.
 */
export function boundPrivileges(config: AgentConfig, system: PrivilegePorts): void {
  if (!config.dropCapabilities || process.getuid?.() !== 0) return;
  const needed = neededCapabilities(config);
  const beyond = [...system.effectiveCapabilities()].filter((name) => !needed.has(name)).sort();
  if (beyond.length === 0) return;
  if (process.env[MARK] !== undefined) {
    throw new AgentError(
      'RF_CAPABILITIES',
      `Cannot give up capabilities: found ${beyond.join(', ')} still there, wanted none beyond ${[...needed].join(', ')}`,
    );
  }
  // Mounting takes a capability that is not kept.
  system.ensureBpffs(config.pinPath);
  // What the operator gave comes later and counts.
  const argv = [process.execPath, ...FOOTPRINT_FLAGS, ...process.execArgv, ...process.argv.slice(1)];
  system.execBounded(needed, process.execPath, argv, { ...FOOTPRINT_ENVIRONMENT, ...process.env, [MARK]: '1' });
}
