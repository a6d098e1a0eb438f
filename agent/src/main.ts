// The agent process: argv in, exit code out. Commands: run (default), detach, enroll. The wiring is in agent.ts.
import '@ringfence/proto/node-abi.js';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import {
  effectiveCapabilities,
  ensureBpffs,
  execBounded,
  type FeatureName,
  listInterfaces,
  netnsIdOfProcess,
  probeFeatures,
} from '@ringfence/native';
import { pino } from 'pino';
import { Agent, type KernelFeatures } from './agent.js';
import { type AgentConfig, loadConfig } from './config.js';
import { enrollHost } from './control/enroll.js';
import { hostFacts } from './control/host-facts.js';
import { LEAVE_OUTCOMES, leftWith } from './control/left-mark.js';
import { detach } from './detach.js';
import { AgentError, messageOf } from './errors.js';
import { boundPrivileges } from './privileges.js';
import { writeFileAtomic } from './store/atomic-file.js';
import { unenroll } from './unenroll.js';

const EPERM = 1;

const USAGE = `ringfence agent
  main.js [run] --config FILE [--ready-file F]                       enforce and report until told to stop; F is written once
                                                                     the last good policy (or, without one, none) is in the kernel
  main.js detach --config FILE                                       remove every program, link and map from the kernel
  main.js unenroll --outcome keep|open|remove --config FILE          leave the fleet without its controller; the agent must not run:
                                                                     keep the last good policy, block nothing, or remove everything
  main.js enroll --controller HOST:PORT --token-file F --config FILE get this host's certificate by a one-time token
`;

/** Exit codes: 0 done, 1 failed, 2 called wrongly or configured wrongly. */
async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      controller: { type: 'string' },
      'token-file': { type: 'string' },
      'ready-file': { type: 'string' },
      outcome: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [command = 'run', ...more] = positionals;
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.config === undefined || more.length > 0) {
    process.stderr.write(USAGE);
    return 2;
  }
  const config = loadConfig(values.config);
  switch (command) {
    case 'run':
      return run(config, values['ready-file']);
    case 'detach':
      process.stdout.write(`${detach(config)}\n`);
      return 0;
    case 'unenroll':
      return leave(config, values.outcome);
    case 'enroll':
      return enroll(config, values.controller, values['token-file']);
    default:
      process.stderr.write(USAGE);
      return 2;
  }
}

async function run(config: AgentConfig, readyFile: string | undefined): Promise<number> {
  boundPrivileges(config, { effectiveCapabilities, ensureBpffs, execBounded });
  const log = pino({ level: config.log.level, base: { host: config.host.name ?? hostname() } });
  if (leftWith(config.stateDir) === 'remove') {
    const done = await unenroll(config, 'remove', { listInterfaces, netnsIdOfProcess });
    log.info({ code: 'RF_LEFT', done }, 'this host left its fleet and enforces nothing; next: ringfence enroll');
    return 0;
  }
  // Before anything is begun: a signal in the middle of the boot waits for its end and then stops in order.
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  const agent = await Agent.start(config, log, { listInterfaces, netnsIdOfProcess, features });
  if (readyFile !== undefined)
    writeFileAtomic(readyFile, `${JSON.stringify({ pid: process.pid, ...agent.standing })}\n`);
  const signal = await Promise.race([stopped, agent.left]);
  log.info({ signal, keepOnExit: config.keepOnExit }, 'stopping');
  await agent.stop();
  return 0;
}

async function leave(config: AgentConfig, wanted: string | undefined): Promise<number> {
  const outcome = LEAVE_OUTCOMES.find((known) => known === wanted);
  if (outcome === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  process.stdout.write(`${await unenroll(config, outcome, { listInterfaces, netnsIdOfProcess })}\n`);
  return 0;
}

/** What this kernel can do. What this process may not try is in neither list. */
function features(): KernelFeatures {
  const probed = probeFeatures();
  const names = (Object.keys(probed) as FeatureName[]).sort();
  return {
    found: names.filter((name) => probed[name].supported),
    missing: names
      .filter((name) => !probed[name].supported && probed[name].errno !== EPERM)
      .map((name) => `${name}: ${probed[name].reason}`),
  };
}

async function enroll(
  config: AgentConfig,
  controller: string | undefined,
  tokenFile: string | undefined,
): Promise<number> {
  if (controller === undefined || tokenFile === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  const token = readFileSync(tokenFile, 'utf8');
  const facts = hostFacts({ hostName: config.host.name });
  const { hostId, notAfterMs } = await enrollHost({ controller, token, stateDir: config.stateDir, facts });
  process.stdout.write(`enrolled as ${hostId}, certificate until ${new Date(notAfterMs).toISOString()}\n`);
  return 0;
}

try {
  // What is printed is written by now: standard output is synchronous for files and pipes. Timers that some library still holds
  // must not keep a stopped agent alive.
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  const code =
    error instanceof AgentError || (error instanceof Error && 'code' in error) ? `${String(error.code)} ` : '';
  process.stderr.write(`${code}${messageOf(error)}\n`);
  process.exit(error instanceof AgentError && error.code === 'RF_CONFIG' ? 2 : 1);
}
