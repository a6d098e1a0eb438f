import type { FlowGraph, FlowGraphEdge, FlowGraphSums } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Label } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { gapJson } from '../flows/gap.js';
import type { Column } from '../text/table.js';
import { duration, isoFromUs } from '../text/time.js';
import { labelsJson } from './labels.js';
import { protocolText, serviceText } from './protocol.js';
import { directionWords, reasonWords, verdictWords } from './words.js';

/** Services that a line of the table names. */
const servicesShown = 4;

/** A graph in JSON: edges name nodes by id. */
export function graphJson(graph: FlowGraph): object {
  return {
    nodes: graph.nodes.map(({ id, labels }) => ({ id, labels: labelsJson(labels) })),
    edges: graph.edges.map((edge) => ({
      source: edge.source,
      destination: edge.destination,
      verdict: verdictWords.of(edge.verdict),
      ...sumsJson(edge.sums),
      services: edge.services.map((service) => ({
        service: serviceText(service.protocol, service.port),
        protocol: protocolText(service.protocol),
        protocolNumber: service.protocol,
        port: service.port,
        verdict: verdictWords.of(service.verdict),
        processes: service.processes,
        decisions: service.decisions.map((decision) => ({
          direction: directionWords.of(decision.direction),
          reason: reasonWords.of(decision.reason),
          rule: decision.rule,
          ruleId: decision.ruleId || null,
          count: decision.count,
        })),
        ...sumsJson(service.sums),
      })),
    })),
    edgesLeftOut: graph.edgesLeftOut,
    records: graph.records,
    gaps: graph.gaps.map(gapJson),
  };
}

/** Columns of the edges, whose nodes are named by `graph`. */
export function graphColumns(graph: FlowGraph): Column<FlowGraphEdge>[] {
  const names = new Map(graph.nodes.map(({ id, labels }) => [id, nodeText(labels)]));
  const bytes = ({ sums }: FlowGraphEdge) => (sums?.bytesForward ?? 0n) + (sums?.bytesBack ?? 0n);
  return [
    { title: 'FROM', cell: ({ source }) => names.get(source) ?? '', shrinkTo: 12 },
    { title: 'TO', cell: ({ destination }) => names.get(destination) ?? '', shrinkTo: 12 },
    { title: 'VERDICT', cell: ({ verdict }) => verdictWords.of(verdict) },
    { title: 'BYTES', cell: (edge) => String(bytes(edge)), align: 'right' },
    { title: 'COUNT', cell: ({ sums }) => String(sums?.count ?? 0n), align: 'right' },
    { title: 'SERVICES', cell: servicesText, shrinkTo: 8 },
    { title: 'PROCESSES', cell: processesText, shrinkTo: 9 },
    { title: 'DURATION', cell: ({ sums }) => duration(Number((sums?.durationUs ?? 0n) / 1000n)), align: 'right' },
    {
      title: 'LAST',
      cell: ({ sums }) =>
        isoFromUs(sums?.lastSeenUs ?? 0n)
          ?.slice(0, 19)
          .concat('Z') ?? '',
    },
  ];
}

function servicesText({ services }: FlowGraphEdge): string {
  const names = [...new Set(services.map(({ protocol, port }) => serviceText(protocol, port)))];
  const shown = names.slice(0, servicesShown).join(' ');
  return names.length > servicesShown ? `${shown} +${names.length - servicesShown}` : shown;
}

function processesText({ services }: FlowGraphEdge): string {
  return [...new Set(services.flatMap(({ processes }) => processes))].sort().join(' ');
}

function nodeText(labels: readonly Label[]): string {
  return labels.length === 0 ? '(none)' : labels.map(({ dimension, value }) => `${dimension}=${value}`).join(' ');
}

function sumsJson(sums: FlowGraphSums | undefined): object {
  return {
    bytesForward: sums?.bytesForward ?? 0n,
    bytesBack: sums?.bytesBack ?? 0n,
    packetsForward: sums?.packetsForward ?? 0n,
    packetsBack: sums?.packetsBack ?? 0n,
    count: sums?.count ?? 0n,
    connections: sums?.connections ?? 0n,
    durationUs: sums?.durationUs ?? 0n,
    firstSeen: isoFromUs(sums?.firstSeenUs ?? 0n),
    lastSeen: isoFromUs(sums?.lastSeenUs ?? 0n),
  };
}
