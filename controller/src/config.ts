// What the controller process is told: command line first, then environment, then defaults. All problems at once.
import { parseArgs } from 'node:util';

/** Where to listen. Port 0 takes any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface ControllerConfig {
  readonly stateDir: string;
  readonly listenSync: ListenAddress;
  readonly listenAdmin: ListenAddress;
  readonly listenEnroll: ListenAddress;
  /** The web page; undefined: off. `asked`: the address was given, so that it must be had. */
  readonly listenWeb: { readonly address: ListenAddress; readonly asked: boolean } | undefined;
  /** Prometheus metrics over plain HTTP, loopback only; undefined: off. */
  readonly listenMetrics: ListenAddress | undefined;
  /** Written with the real addresses once everything serves. */
  readonly readyFile: string | undefined;
  /** Host name or address that agents are told; undefined: the one by which they reached the enrolment port. */
  readonly advertise: string | undefined;
  /** Flow records kept in memory. */
  readonly flowHistory: number;
  /** Flow records on disk; undefined: in memory only. */
  readonly flowStore: { readonly days: number; readonly bytes: number } | undefined;
  /** How long the audit log is kept. */
  readonly audit: { readonly days: number; readonly entries: number };
  /** File that names the connectors to run; undefined: none. */
  readonly connectorsFile?: string | undefined;
  /** Denied connections are refused (RST, ICMP) rather than dropped silently. */
  readonly reject: boolean;
  /** Which SYNs are given a tag until an operator says otherwise. */
  readonly tags: 'off' | 'peers' | 'anywhere';
  readonly logLevel: string;
}

/** The command line or the environment is wrong. One line per problem. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'RF_CONFIG';
}

const WEB_DEFAULT = '127.0.0.1:7446';
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

export const USAGE = `Usage: node controller/dist/main.js --state-dir DIR [options]
  --state-dir DIR          database, authority and operator certificate (RINGFENCE_STATE_DIR)
  --listen-sync ADDR       agents, mutual TLS; default 0.0.0.0:7443
  --listen-admin ADDR      operators and other orchestrators, mutual TLS; default 127.0.0.1:7444
  --listen-enroll ADDR     enrolment, server TLS; default 0.0.0.0:7445
  --listen-web ADDR|off    the web page: HTTP on loopback, else TLS; default 127.0.0.1:7446
  --listen-metrics ADDR    Prometheus metrics, HTTP, loopback only; default off
  --advertise HOST         name or address that agents are told; default: the one they enrolled at
  --ready-file FILE        written with the real addresses once everything serves
  --flow-history N         newest flow records in memory, 4096 to 4000000; default 200000
  --flow-store on|off      flow records on disk, below the state directory; default on
  --flow-store-days N      days that they are kept, 1 to 3650; default 30
  --flow-store-bytes N     bytes on disk at most, 64 MiB and more, with K, M, G or T; default 100G
  --audit-days N           days that audit entries are kept, 1 to 36500; default 400
  --audit-entries N        audit entries kept at most, 1000 to 100000000; default 1000000
  --connectors FILE        sources of spaces and workloads, such as AWS EC2 (docs/connectors.md)
  --deny-silently          drop denied connections instead of refusing them
  --tags off|peers|anywhere  SYNs that are given a tag (docs/nat.md) until \`ringfence tag set\` says otherwise; default peers
  --log-level LEVEL        ${LEVELS.join(', ')}; default info (RINGFENCE_LOG_LEVEL)
An address is host:port, IPv6 hosts in brackets; port 0 takes any free one.
`;

function isTagMode(text: string): text is ControllerConfig['tags'] {
  return ['off', 'peers', 'anywhere'].includes(text);
}

/** Throws ConfigError with every problem found. */
export function readConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ControllerConfig {
  const { values } = parse(argv);
  const problems: string[] = [];
  const listen = (name: string, text: string): ListenAddress => {
    const address = parseListen(text);
    if (address === undefined) problems.push(`Cannot read ${name}: found ${JSON.stringify(text)}, wanted host:port`);
    return address ?? { host: '', port: 0 };
  };
  const stateDir = values['state-dir'] ?? env.RINGFENCE_STATE_DIR ?? '';
  if (stateDir === '') problems.push('Cannot read --state-dir: found none, wanted a directory');
  const web = values['listen-web'];
  const metrics = values['listen-metrics'];
  const listenMetrics = metrics === undefined ? undefined : listen('--listen-metrics', metrics);
  if (listenMetrics !== undefined && !['127.0.0.1', '::1', 'localhost'].includes(listenMetrics.host)) {
    problems.push(
      `Cannot read --listen-metrics: found host ${listenMetrics.host}, wanted a loopback address (it has no TLS)`,
    );
  }
  const flowHistory = Number(values['flow-history'] ?? '200000');
  if (!Number.isInteger(flowHistory) || flowHistory < 4096 || flowHistory > 4_000_000) {
    problems.push(`Cannot read --flow-history: found ${values['flow-history']}, wanted a number from 4096 to 4000000`);
  }
  const flowStore = readFlowStore(
    values['flow-store'],
    values['flow-store-days'],
    values['flow-store-bytes'],
    problems,
  );
  const audit = {
    days: readWhole(values['audit-days'] ?? '400', '--audit-days', 1, 36_500, problems),
    entries: readWhole(values['audit-entries'] ?? '1000000', '--audit-entries', 1000, 100_000_000, problems),
  };
  const logLevel = values['log-level'] ?? env.RINGFENCE_LOG_LEVEL ?? 'info';
  if (!LEVELS.includes(logLevel))
    problems.push(`Cannot read --log-level: found ${logLevel}, wanted one of ${LEVELS.join(', ')}`);
  const tags = values.tags ?? 'peers';
  if (!isTagMode(tags))
    problems.push(`Cannot read --tags: found ${JSON.stringify(tags)}, wanted off, peers or anywhere`);
  const config: ControllerConfig = {
    stateDir,
    listenSync: listen('--listen-sync', values['listen-sync'] ?? '0.0.0.0:7443'),
    listenAdmin: listen('--listen-admin', values['listen-admin'] ?? '127.0.0.1:7444'),
    listenEnroll: listen('--listen-enroll', values['listen-enroll'] ?? '0.0.0.0:7445'),
    listenWeb:
      web === 'off' ? undefined : { address: listen('--listen-web', web ?? WEB_DEFAULT), asked: web !== undefined },
    listenMetrics,
    readyFile: values['ready-file'],
    advertise: values.advertise,
    flowHistory,
    flowStore,
    audit,
    connectorsFile: values.connectors,
    reject: values['deny-silently'] !== true,
    tags: isTagMode(tags) ? tags : 'off',
    logLevel,
  };
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return config;
}

function readWhole(text: string, name: string, low: number, high: number, problems: string[]): number {
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= low && value <= high))
    problems.push(`Cannot read ${name}: found ${text}, wanted a whole number from ${low} to ${high}`);
  return value;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const FLOW_STORE_BYTES_MIN = 64 * 2 ** 20;

function readFlowStore(
  on = 'on',
  daysText = '30',
  bytesText = '100G',
  problems: string[],
): ControllerConfig['flowStore'] {
  if (on !== 'on' && on !== 'off') problems.push(`Cannot read --flow-store: found ${on}, wanted on or off`);
  const days = Number(daysText);
  if (!Number.isInteger(days) || days < 1 || days > 3650) {
    problems.push(`Cannot read --flow-store-days: found ${daysText}, wanted a number from 1 to 3650`);
  }
  const [, digits = '', unit = ''] = /^(\d{1,15})([KMGT]?)$/.exec(bytesText) ?? [];
  const bytes = Number(digits) * (UNITS[unit] ?? 1);
  if (bytes < FLOW_STORE_BYTES_MIN) {
    problems.push(`Cannot read --flow-store-bytes: found ${bytesText}, wanted at least 64M`);
  }
  return on === 'on' ? { days, bytes } : undefined;
}

/** host:port as people and gRPC write it. */
export function formatListen({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...argv],
      strict: true,
      allowPositionals: false,
      options: {
        'state-dir': text,
        'listen-sync': text,
        'listen-admin': text,
        'listen-enroll': text,
        'listen-web': text,
        'listen-metrics': text,
        'ready-file': text,
        'flow-history': text,
        'flow-store': text,
        'flow-store-days': text,
        'flow-store-bytes': text,
        'audit-days': text,
        'audit-entries': text,
        'log-level': text,
        'deny-silently': { type: 'boolean' },
        connectors: text,
        tags: text,
        advertise: text,
      },
    });
  } catch (error) {
    throw new ConfigError(`Cannot read the command line: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}
