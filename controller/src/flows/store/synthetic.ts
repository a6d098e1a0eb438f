// Batches as the store takes them, made up: for tests and benchmarks of the store without agents.
import type { FlowEndInfo } from '../block.js';
import { STORED_COLUMNS } from './columns.js';
import type { BatchMessage, StoreBatch } from './messages.js';
import { packColumns } from './packed-batch.js';

export interface SyntheticOptions {
  readonly firstId: number;
  readonly sequence: bigint;
  readonly count: number;
  /** First packet of the first record, Unix microseconds; each further one is 100 µs later. */
  readonly startUs: number;
  /** Workloads that talk to each other; 50 when not given. */
  readonly workloads?: number;
  /** Others that each of them talks to; 1 when not given. */
  readonly peers?: number;
}

const ROLES = ['web', 'api', 'db', 'cache', 'queue', 'job', 'edge', 'mail'];

/** The same input gives the same batch. */
export function syntheticBatch({
  firstId,
  sequence,
  count,
  startUs,
  workloads = 50,
  peers = 1,
}: SyntheticOptions): StoreBatch {
  const called = (i: number) => (i * 31 + (Math.floor(i / workloads) % peers) * 7) % workloads;
  const fill: Readonly<Record<string, (i: number) => number>> = {
    first_us: (i) => startUs + i * 100,
    last_us: (i) => startUs + i * 100 + ((i * 7919) % 5_000_000),
    bytes_in: (i) => (i * 2_654_435_761) % 100_000,
    bytes_out: (i) => (i * 40_503) % 1_000_000,
    packets_in: (i) => i % 97,
    packets_out: (i) => i % 89,
    local_ip_a: () => 0,
    remote_ip_a: () => 0,
    local_ip_b: (i) => 0xffff_0000 + (i % workloads) * 0x1_0000_0000,
    remote_ip_b: (i) => 0xffff_0000 + called(i) * 0x1_0000_0000,
    local_port: (i) => 32_768 + (i % 28_000),
    remote_port: (i) => [80, 443, 5432, 6379][i % 4] ?? 0,
    service_port: (i) => [80, 443, 5432, 6379][i % 4] ?? 0,
    protocol: () => 6,
    direction: (i) => 1 + (i % 2),
    verdict: (i) => (i % 50 === 0 ? 2 : 1),
    reason: (i) => (i % 50 === 0 ? 3 : 1),
    mode: () => 2,
    kind: (i) => 1 + (i % 5),
    rule: (i) => i % 12,
    policy_version: () => 1,
    attempts: () => 1,
    pid: (i) => 1000 + (i % workloads),
    tcp_flags: () => 0x12,
    confidence: () => 1,
    local_end: (i) => i % workloads,
    remote_end: called,
    process: (i) => i % 4,
    reporter: () => 4,
    views: (i) => 2 - (i % 2),
    decider: (i) => 1 + (i % 2),
  };
  const columns: Record<string, Uint8Array> = {};
  for (const { name, width } of STORED_COLUMNS) columns[name] = numbers(count, width, fill[name] ?? (() => 0));
  return {
    hostId: 'h1',
    run: '05'.repeat(16),
    sequence,
    firstId,
    count,
    columns,
    ends: Array.from({ length: workloads }, (_, i) => end(i)),
    replaced: new Float64Array(0),
    strings: ['', 'nginx', 'postgres', 'node', 'h1'],
    loss: undefined,
    gaps: [],
  };
}

/** The same on its way between the threads; names all of its ends. */
export function syntheticMessage(options: SyntheticOptions): BatchMessage {
  const { columns, ends, ...head } = syntheticBatch(options);
  return { ...head, bytes: packColumns(columns, options.count), freshEnds: ends };
}

function end(i: number): FlowEndInfo {
  const labels = { role: ROLES[i % ROLES.length] ?? '', app: `app-${i % 20}`, env: i % 3 === 0 ? 'prod' : 'test' };
  return { workloadId: `h${i % 10}/w${i}`, workloadName: `w${i}`, hostId: `h${i % 10}`, labels, identity: 100 + i };
}

function numbers(count: number, width: number, value: (i: number) => number): Uint8Array {
  const bytes = new Uint8Array(count * width);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i += 1) {
    const n = value(i);
    if (width === 1) view.setUint8(i, n);
    else if (width === 2) view.setUint16(2 * i, n, true);
    else view.setUint32(width * i, n % 0x1_0000_0000, true);
    if (width === 8) view.setUint32(8 * i + 4, Math.floor(n / 0x1_0000_0000), true);
  }
  return bytes;
}
