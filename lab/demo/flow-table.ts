import { formatAddress } from '@ringfence/proto/address.js';
import { Confidence, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow, FlowEnd } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Attempt, Family } from './attempt.js';

const protocols = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'icmpv6'],
]);

function service(flow: Flow): string {
  const name = protocols.get(flow.protocol) ?? `protocol ${flow.protocol}`;
  return name.startsWith('icmp') ? `${name}/${flow.servicePort >> 8}` : `${name}/${flow.servicePort}`;
}

function word(value: string, prefix: string): string {
  return value.replace(prefix, '').toLowerCase().replaceAll('_', ' ');
}

/** Who, by name and labels; an end that no agent could tell apart from others on its address, by that address. */
function end(e: FlowEnd | undefined): string {
  if (!e) return '?';
  const labels = e.labels.map((l) => `${l.dimension}=${l.value}`).join(',');
  const name = e.workloadName || formatAddress(e.ip);
  return labels === '' ? name : `${name} [${labels}]`;
}

/** Records folded by who, what and verdict, as an operator would want to read the demo's traffic. */
export function foldFlows(flows: readonly Flow[]): string[][] {
  const folded = new Map<string, { cells: string[]; records: number; packets: bigint; bytes: bigint }>();
  for (const flow of flows) {
    const verdict = word(Verdict[flow.verdict] ?? '', 'VERDICT_');
    const reason = word(Reason[flow.reason] ?? '', 'REASON_');
    const cells = [end(flow.source), end(flow.destination), service(flow), verdict, reason, flow.ruleId || '-'];
    const key = cells.join('\u0000');
    const entry = folded.get(key) ?? { cells, records: 0, packets: 0n, bytes: 0n };
    entry.records += 1;
    entry.packets += flow.packetsForward + flow.packetsBack;
    entry.bytes += flow.bytesForward + flow.bytesBack;
    folded.set(key, entry);
  }
  return [...folded.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, e]) => [...e.cells, String(e.records), String(e.packets), String(e.bytes)]);
}

export const flowHeader = [
  'source',
  'destination',
  'service',
  'verdict',
  'reason',
  'rule',
  'records',
  'packets',
  'bytes',
];

const unsure = new Set([Confidence.CONFIDENCE_SHARED, Confidence.CONFIDENCE_UNKNOWN]);

/**
 * True when the record tells of this attempt. Several workloads share a host's address: a refused connection to one of them reached none,
 * so its record may name the address only, and then says so by its confidence.
 */
function matches(flow: Flow, attempt: Attempt, family: Family, address: string): boolean {
  const v6 = family === 'ip6';
  const [protocol, port] =
    attempt.protocol === 'ping'
      ? v6
        ? [58, 128 << 8]
        : [1, 8 << 8]
      : [attempt.protocol === 'tcp' ? 6 : 17, attempt.port ?? 0];
  return (
    flow.source?.workloadName === attempt.from &&
    flow.destination !== undefined &&
    (flow.destination.workloadName === attempt.to ||
      (unsure.has(flow.confidence) && formatAddress(flow.destination.ip) === address)) &&
    flow.protocol === protocol &&
    flow.servicePort === port &&
    (flow.destination.ip.length === 16) === v6 &&
    (flow.verdict === Verdict.VERDICT_ALLOWED) === attempt.allowed
  );
}

/** Attempts of which no flow record tells, as text. */
export function unrecorded(
  flows: readonly Flow[],
  attempts: readonly Attempt[],
  addressOf: (name: string, family: Family) => string,
): string[] {
  return attempts.flatMap((attempt) =>
    (['ip4', 'ip6'] as const).flatMap((family) =>
      flows.some((flow) => matches(flow, attempt, family, addressOf(attempt.to, family)))
        ? []
        : [`${attempt.from} -> ${attempt.to} ${attempt.protocol} ${attempt.port ?? ''} ${family}`],
    ),
  );
}
