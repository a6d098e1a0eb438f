import type { SpaceInfo, SpacePathResponse } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Column } from '../text/table.js';
import { protocolText } from './protocol.js';

/** The name under which people speak of a space. */
export function spaceName(name: string): string {
  return name === '' ? 'world' : name;
}

/** A space in JSON. */
export function spaceJson(space: SpaceInfo): object {
  return {
    name: space.name,
    parent: space.parent,
    declared: space.declared,
    origin: space.origin,
    gateway: space.gateway,
    hosts: space.hosts,
    networks: space.networks,
    sources: space.sources,
    destinations: space.destinations,
    workloads: space.workloads,
  };
}

/** Columns of `space list`. */
export const spaceColumns: readonly Column<SpaceInfo>[] = [
  { title: 'SPACE', cell: (s) => spaceName(s.name), tone: () => 'strong' },
  { title: 'INSIDE', cell: (s) => (s.name === '' ? '' : spaceName(s.parent)) },
  { title: 'KNOWN BY', cell: (s) => s.origin },
  { title: 'WORKLOADS', cell: (s) => String(s.workloads), align: 'right' },
  { title: 'LEAVES AS', cell: (s) => s.sources.join('; ') || (s.name === '' ? '' : 'itself'), shrinkTo: 16 },
  { title: 'MAPPINGS', cell: (s) => String(s.destinations.length), align: 'right' },
];

const confidenceWords: Readonly<Record<number, string>> = {
  [Confidence.CONFIDENCE_EXACT]: 'exact',
  [Confidence.CONFIDENCE_TAGGED]: 'tagged',
  [Confidence.CONFIDENCE_MAPPED]: 'mapped',
  [Confidence.CONFIDENCE_SHARED]: 'shared',
};

function confidenceText(confidence: Confidence): string {
  return confidenceWords[confidence] ?? 'unknown';
}

/** A path in JSON. */
export function pathJson(path: SpacePathResponse): object {
  return {
    sourceId: path.sourceId,
    destinationId: path.destinationId,
    reachable: path.reachable,
    hops: path.hops.map(({ space, address, by }) => ({ space, address, by })),
    sourceConfidence: confidenceText(path.sourceConfidence),
    sharedWith: path.sharedWith,
    alsoSeenAs: path.alsoSeenAs,
    destinationAddress: path.destinationAddress,
    destinationConfidence: confidenceText(path.destinationConfidence),
    services: path.services.map(({ protocol, address, port, workloadPort }) => ({
      protocol: protocolText(protocol),
      address,
      port,
      workloadPort,
    })),
  };
}

/** The path drawn, one line per hop: what stands in front, and the hop. */
export function pathText(path: SpacePathResponse): [string, string][] {
  const lines: [string, string][] = [['source', path.sourceId]];
  for (const { space, address, by } of path.hops) {
    if (by !== '') lines.push(['', `│ ${by}`]);
    lines.push(['', `${address}   in ${spaceName(space)}`]);
  }
  if (path.hops.length > 0) {
    const shared = path.sharedWith.length === 0 ? '' : ` with ${path.sharedWith.join(', ')}`;
    lines.push(['', `▼ the destination's host sees this address: ${confidenceText(path.sourceConfidence)}${shared}`]);
  }
  for (const address of path.alsoSeenAs) lines.push(['', `it was seen to leave as ${address} too`]);
  if (path.destinationAddress !== '') {
    lines.push(['calls', `${path.destinationAddress}   ${confidenceText(path.destinationConfidence)}`]);
  }
  for (const { protocol, address, port, workloadPort } of path.services) {
    lines.push(['calls', `${protocolText(protocol)} ${bracketed(address)}:${port}   mapped to port ${workloadPort}`]);
  }
  lines.push(['destination', path.destinationId]);
  if (!path.reachable) lines.push(['', 'no path']);
  return lines;
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
