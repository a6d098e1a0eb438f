import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import type { Connection } from '../api/connection.js';
import { allHosts } from '../api/hosts.js';
import { CliError, ExitCode } from '../errors.js';
import { parseDurationOption } from '../filter/time.js';
import type { Invocation } from '../invocation.js';

/** How the hosts stand towards one policy version. */
export interface Rollout {
  /** Connected hosts that count. */
  hosts: number;
  /** Of these, with the version that is meant for them in force in the kernel. */
  current: number;
  /** Hosts that refused, with the reason. */
  refused: { host: string; code: string; message: string }[];
}

/** How connected hosts that are not revoked stand towards what each shall have in force. */
export function rolloutOf(hosts: readonly Host[]): Rollout {
  const counted = hosts.filter(({ connected, revoked }) => connected && !revoked);
  const refused = counted.flatMap(({ id, nack }) =>
    nack === undefined ? [] : [{ host: id, code: nack.code, message: nack.message }],
  );
  const current = counted.filter(
    (host) =>
      host.nack === undefined &&
      host.policyVersion === host.policyVersionWanted &&
      host.revisionAcked >= host.revisionWanted,
  );
  return { hosts: counted.length, current: current.length, refused };
}

const pollMs = 200;

/**
 * Waits until every connected host has a version in force, with a bar on a terminal. `wanted` is the value of --wait. Fails with
 * exit code 1 when a host refuses it or the time ends.
 */
export async function waitForRollout(
  invocation: Invocation,
  connection: Connection,
  version: number,
  wanted: string,
): Promise<Rollout> {
  const waitMs = parseDurationOption(wanted, '--wait', 1000, 3_600_000, 'from 1s to 1h');
  const end = performance.now() + waitMs;
  const bar = await progressBar(invocation);
  try {
    for (;;) {
      const hosts = await allHosts(connection, 'see how hosts follow');
      const rollout = rolloutOf(hosts);
      bar?.update(rollout.current, rollout.hosts);
      const [refusal] = rollout.refused;
      if (refusal !== undefined) {
        throw rolloutError(`host ${refusal.host} refuses: ${refusal.message} [${refusal.code}]`, version, refusal.host);
      }
      if (rollout.current === rollout.hosts) return rollout;
      if (performance.now() >= end)
        throw rolloutError(`${rollout.current} of ${rollout.hosts} hosts after ${wanted}`, version, undefined);
      await sleep(pollMs);
    }
  } finally {
    bar?.stop();
  }
}

function rolloutError(found: string, version: number, host: string | undefined): CliError {
  return new CliError({
    code: 'RF_CLI_ROLLOUT',
    what: `Cannot see version ${version} in force everywhere`,
    found,
    wanted: 'every connected host',
    next: host === undefined ? 'ringfence host list' : `ringfence host show ${host}`,
    exit: ExitCode.refused,
  });
}

interface Bar {
  update(value: number, total: number): void;
  stop(): void;
}

/** A progress bar on standard error; none where that is no terminal. */
async function progressBar(invocation: Invocation): Promise<Bar | undefined> {
  const { stderr } = invocation.io;
  if (!stderr.isTTY || invocation.printer.forPrograms) return undefined;
  const { default: progress } = await import('cli-progress');
  const bar = new progress.SingleBar({
    format: '{bar} {value}/{total} hosts',
    stream: stderr,
    clearOnComplete: true,
    hideCursor: false,
  });
  bar.start(1, 0);
  return {
    update(value, total) {
      bar.setTotal(Math.max(1, total));
      bar.update(value);
    },
    stop: () => bar.stop(),
  };
}
