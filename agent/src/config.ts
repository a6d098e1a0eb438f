// The agent's configuration: one YAML file, checked whole before anything starts. A wrong file yields every problem found, each
// with file, line and column, what was found and what was wanted; no part of a wrong file is ever used.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { parsePrefix } from '@ringfence/proto/address.js';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { AgentError, messageOf } from './errors.js';

const absolutePath = z.string().regex(/^\/[^\0]*$/, 'an absolute path');
const hostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):([0-9]{1,5})$/, { error: 'host:port, IPv6 hosts in brackets', abort: true })
  .refine((text) => portOf(text) >= 1 && portOf(text) <= 65535, 'a port between 1 and 65535');
const cidr = z
  .string()
  .refine((text) => !('problem' in parsePrefix(text)), 'an address or prefix such as 10.0.0.0/8 or fd00::/8');
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9@._:\\-]{0,127}$/, 'a name of at most 128 letters, digits and @._:\\-');
const bytes = (low: number, high: number) =>
  z.int({ abort: true }).min(low, { abort: true }).max(high, { abort: true });

const adminSource = z
  .strictObject({
    /** Who: an address or a prefix. */
    from: cidr,
    /** Server port on this host; 0: any. */
    port: z.int().min(0).max(65535).default(22),
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
  })
  .describe('a source that policy can never shut out');

const cgroupPath = z
  .string()
  .regex(/^(?!\.{1,2}(\/|$))[^/\0]+(\/(?!\.{1,2}(\/|$))[^/\0]+)*$/, 'a path below cgroupRoot without a leading slash');

const cgroupWorkload = z.strictObject({
  /** The name operators know it by. */
  name,
  /** cgroup v2 path below cgroupRoot, without a leading slash. */
  path: cgroupPath,
  metadata: z.record(z.string().max(128), z.string().max(1024)).default({}),
});

/** Everything the agent can be told. Sizes in bytes, times in milliseconds. */
export const configSchema = z.strictObject({
  /** host:port of the controller's sync service. Without it the address told at enrolment is used. */
  controller: hostPort.optional(),
  /** Key, certificates, last good state and spool. */
  stateDir: absolutePath.default('/var/lib/ringfence/agent'),
  /** Where programs, links and maps are pinned; a bpffs. */
  pinPath: absolutePath.default('/sys/fs/bpf/ringfence'),
  /** A cgroup v2 directory: cgroup programs attach there and workloads are found below it. Default: the cgroup2 mount. */
  cgroupRoot: absolutePath.optional(),
  /** Docker Engine sockets to watch. */
  dockerSockets: z.array(absolutePath).max(16).default([]),
  /** Workloads that are cgroups, by name. */
  cgroups: z.array(cgroupWorkload).max(1024).default([]),
  /** Treat systemd services and slices below cgroupRoot as workloads. */
  systemd: z.boolean().default(false),
  host: z
    .strictObject({
      /** The host itself is a workload. */
      enabled: z.boolean().default(true),
      /** Interfaces whose addresses are the host's; all but loopback when left out. */
      interfaces: z.array(z.string().min(1).max(15)).optional(),
      /** Name of the host workload; the hostname when left out. */
      name: name.optional(),
    })
    .prefault({}),
  /** Address translation by this host's kernel. */
  nat: z
    .strictObject({
      /** Read conntrack: tell the controller who is behind a translated address, and under which addresses workloads leave this host. */
      conntrack: z.boolean().default(true),
      /** host: its own workloads. gateway: it translates for others as well, and tells what becomes of their addresses. */
      role: z.enum(['host', 'gateway']).default('host'),
      /** Translated connections held at most. */
      translations: z.int().min(1024).max(1_048_576).default(65_536),
    })
    .prefault({}),
  /** Sources that reach this host whatever policy says. */
  adminSources: z
    .array(z.union([cidr.transform((from) => adminSource.parse({ from })), adminSource]))
    .max(1024)
    .default([]),
  /** Entries of each kernel table, by map name; tables not named keep the default. */
  mapSizes: z
    .record(z.string().regex(/^rf_[a-z_]+$/, 'a table name such as rf_peers'), z.int().min(1).max(16_777_216))
    .default({}),
  /** Bytes of each per-CPU ring of flow events; a power of two. */
  ringBytes: bytes(65_536, 268_435_456).refine(isPowerOfTwo, 'a power of two').default(4_194_304),
  /** Bytes of each per-CPU ring of denies; a power of two. */
  denyRingBytes: bytes(65_536, 268_435_456).refine(isPowerOfTwo, 'a power of two').default(1_048_576),
  /** policy: as the assignment says; reject: RST and ICMP unreachable always; drop: silently always. What is isolated: silently. */
  rejectMode: z.enum(['policy', 'reject', 'drop']).default('policy'),
  /**
   * Containers and cgroups that the controller has not assigned: seen but untouched, or cut off but for the failsafes. The controller may
   * say otherwise (`ringfence host set --unpaired`); what it said last counts, also at the next boot.
   */
  unassigned: z.enum(['visibility', 'isolate']).default('visibility'),
  /** Where pairing keys are found, and how containers are held before they are known. */
  pairing: z
    .strictObject({
      /** Container label that carries the key. */
      label: z.string().min(1).max(128).default('ringfence.pairing-key'),
      /** Path inside the container of a file that holds the key, for containers without the label. Symbolic links are not followed. */
      keyFile: absolutePath.optional(),
      /** Environment variable of the container's configuration that holds the key, for containers without the label. */
      keyEnv: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'the name of an environment variable')
        .optional(),
      /**
       * cgroups below cgroupRoot that containers start in: with unassigned: isolate, a container there is cut off from its first
       * instruction on. Made when missing. The engine's own (cgroup-parent), never one that holds other services.
       */
      containerCgroups: z.array(cgroupPath).max(16).default(['docker']),
    })
    .prefault({}),
  /** Who is logged in on this host, for labels that follow logins (userGroups in the policy). Users and groups are told by name. */
  logins: z
    .strictObject({
      /** auto: logind where systemd runs the machine, else utmp. off: nothing is told. */
      follow: z.enum(['auto', 'logind', 'utmp', 'off']).default('auto'),
      /** Where D-Bus is, as D-Bus writes addresses. */
      busAddress: z
        .string()
        .regex(/^unix:(path|abstract)=[^\0;]+$/, 'a bus address such as unix:path=/run/dbus/system_bus_socket')
        .default('unix:path=/run/dbus/system_bus_socket'),
      utmpFile: absolutePath.default('/run/utmp'),
    })
    .prefault({}),
  /** Started as root, the agent gives up every capability that it does not need, for itself and whatever it runs. */
  dropCapabilities: z.boolean().default(true),
  /** SIGTERM leaves the kernel state enforcing. */
  keepOnExit: z.boolean().default(true),
  flows: z
    .strictObject({
      /** How often aggregated records leave for the controller. */
      flushMs: z.int().min(50).max(60_000).default(1000),
      /** How many times a second new connections and denies may leave without waiting for flushMs, in the long run; 0: never. */
      promptPerSecond: z.int().min(0).max(100).default(8),
      /** How often a long-lived connection's counters leave. */
      updateMs: z.int().min(50).max(600_000).default(10_000),
      /** Connections held in the aggregation table between flushes. */
      tableEntries: z.int().min(1024).max(4_194_304).default(65_536),
      /** Records per batch at most. */
      batchRecords: z.int().min(16).max(65_536).default(1024),
      /** Batches sent and not acknowledged at most. */
      window: z.int().min(1).max(1024).default(16),
      /** Disk bound of the spool used while the controller is away. */
      spoolBytes: bytes(1_048_576, 1_099_511_627_776).default(268_435_456),
    })
    .prefault({}),
  /** Prometheus metrics over HTTP; off when left out. Loopback only. */
  metrics: z
    .strictObject({ listen: hostPort.refine(isLoopback, 'a loopback address such as 127.0.0.1:9464') })
    .optional(),
  log: z.strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});

export type AgentConfig = z.output<typeof configSchema>;
export type PairingConfig = AgentConfig['pairing'];
export type LoginsConfig = AgentConfig['logins'];
export type AdminSource = z.output<typeof adminSource>;
export type CgroupWorkloadConfig = z.output<typeof cgroupWorkload>;

/** One thing wrong with the file. line and column are 1-based, 0 when there is no place. */
export interface ConfigProblem {
  file: string;
  line: number;
  column: number;
  found: string;
  wanted: string;
}

/** Code RF_CONFIG. problems is never empty; the message lists all of them, one per line. */
export class ConfigError extends AgentError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map((p) => `${p.file}:${p.line}:${p.column}: found ${p.found}, wanted ${p.wanted}`);
    super('RF_CONFIG', `Cannot use configuration ${file}:\n${lines.join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Reads and checks the file. Throws ConfigError. */
export function loadConfig(file: string): AgentConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(file, [
      { file, line: 0, column: 0, found: messageOf(error), wanted: 'a readable YAML file' },
    ]);
  }
  return parseConfig(text, file);
}

/** Checks the text of a configuration; file is for the problems only. Throws ConfigError. */
export function parseConfig(text: string, file: string): AgentConfig {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter, uniqueKeys: true, prettyErrors: false });
  const place = (offset: number | undefined) => {
    if (offset === undefined) return { line: 0, column: 0 };
    const { line, col } = counter.linePos(offset);
    return { line, column: col };
  };
  if (doc.errors.length > 0) {
    throw new ConfigError(
      file,
      doc.errors.map((e) => ({
        file,
        ...place(e.pos[0]),
        found: e.message.replace(/\s+/g, ' '),
        wanted: 'well-formed YAML',
      })),
    );
  }
  const value: unknown = doc.toJS() ?? {};
  const checked = configSchema.safeParse(value, { reportInput: true });
  if (checked.success) return checked.data;
  const problems = checked.error.issues.flatMap((issue) =>
    problemsOf(issue, doc).map((p) => ({ file, ...place(p.offset), found: p.found, wanted: p.wanted })),
  );
  throw new ConfigError(file, problems);
}

interface LocatedProblem {
  offset: number | undefined;
  found: string;
  wanted: string;
}

function problemsOf(issue: z.core.$ZodIssue, doc: Document): LocatedProblem[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      offset: keyOffset(doc, path, key),
      found: `unknown key ${show(key)}`,
      wanted: 'a known key',
    }));
  }
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1));
    const wanted = issue.issues[0]?.message ?? 'another key';
    return [{ offset: keyOffset(doc, path.slice(0, -1), key), found: show(key), wanted }];
  }
  // A union reports once for all; the branch that got furthest into the value says what is really wrong.
  if (issue.code === 'invalid_union') {
    const branch =
      issue.errors.find((b) => b.some((i) => i.path.length > 0 || i.code === 'unrecognized_keys')) ?? issue.errors[0];
    return (branch ?? []).flatMap((inner) => problemsOf({ ...inner, path: [...issue.path, ...inner.path] }, doc));
  }
  return [
    {
      offset: valueOffset(doc, path),
      found: show(doc.getIn(path) === undefined ? issue.input : plain(doc, path)),
      wanted: wantedBy(issue),
    },
  ];
}

function wantedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`;
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** Where the value at path stands; for a missing one, where its nearest ancestor does. */
function valueOffset(doc: Document, path: readonly (string | number)[]): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? doc.contents : doc.getIn(path.slice(0, length), true);
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range))
      return Number(node.range[0]);
  }
  return undefined;
}

function keyOffset(doc: Document, path: readonly (string | number)[], key: string): number | undefined {
  const node: unknown = path.length === 0 ? doc.contents : doc.getIn(path, true);
  if (isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
    if (pair && isScalar(pair.key) && pair.key.range) return pair.key.range[0];
  }
  return valueOffset(doc, path);
}

function plain(doc: Document, path: readonly (string | number)[]): unknown {
  const node: unknown = doc.getIn(path);
  if (typeof node === 'object' && node !== null && 'toJSON' in node && typeof node.toJSON === 'function')
    return node.toJSON();
  return node;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function portOf(text: string): number {
  return Number(text.slice(text.lastIndexOf(':') + 1));
}

function isLoopback(text: string): boolean {
  const host = text.slice(0, text.lastIndexOf(':'));
  return host === 'localhost' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}
