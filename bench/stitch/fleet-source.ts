// The made-up fleet as the controller's ingest asks about it: names of ends, who is behind an address, what hosts told.

import type { EndSource } from '@ringfence/controller/flows/ends.js';
import type { TranslationSource } from '@ringfence/controller/flows/ingest/translations.js';
import type { FakeWorkload } from '@ringfence/controller/flows/stitch/testing/network.js';
import type { Traffic } from '@ringfence/controller/flows/stitch/testing/traffic.js';
import type { InboundTuple, SourceResolver } from '@ringfence/controller/flows/true-source.js';
import type { WorkloadRecord } from '@ringfence/controller/store/records.js';

export interface FleetSource {
  readonly ends: EndSource;
  readonly translations: TranslationSource;
  readonly resolver: SourceResolver;
}

export function fleetSource({ network, connections }: Traffic): FleetSource {
  const records = new Map(network.workloads.map((workload) => [workload.end.workloadId, recordOf(workload)]));
  const byIdentity = new Map(network.workloads.map(({ end }) => [end.identity, [end.workloadId]]));
  const behind = new Map<string, string[]>();
  for (const { end, ip, masqueraded, host } of network.workloads) {
    const seen = host.gateway ?? (masqueraded ? host.ip : ip);
    const key = hexOf(seen);
    behind.set(key, [...(behind.get(key) ?? []), end.workloadId]);
  }
  const told = new Map(
    connections.flatMap((connection) => {
      if (connection === undefined || !connection.told) return [];
      const { near, far } = connection.path;
      const key = tupleKey(far.remoteIp, far.remotePort, far.localIp, far.localPort, connection.to.end.hostId);
      return [[key, { workloadId: connection.from.end.workloadId, ip: near.localIp, port: near.localPort }] as const];
    }),
  );
  const idsAt = (ipHex: string) => behind.get(ipHex) ?? [];
  return {
    ends: {
      workload: (id) => records.get(id),
      at: (ipHex) => idsAt(ipHex).flatMap((id) => records.get(id) ?? []),
      ofHost: () => [],
      identityOf: (id) => network.identityOf(id),
      workloadsOf: (identity) => byIdentity.get(identity) ?? [],
      version: () => 1,
    },
    translations: {
      behind: (_hostId, ipHex) => idsAt(ipHex),
      lately: () => [],
      version: () => 1,
      end: (id) => network.endOf(id),
    },
    resolver: {
      trueSource: (tuple: InboundTuple) =>
        told.get(tupleKey(tuple.sourceIp, tuple.sourcePort, tuple.destinationIp, tuple.destinationPort, tuple.hostId)),
    },
  };
}

function tupleKey(from: Uint8Array, fromPort: number, to: Uint8Array, toPort: number, host: string): string {
  return `${hexOf(from)}:${fromPort} ${hexOf(to)}:${toPort} ${host}`;
}

function hexOf(ip: Uint8Array): string {
  return Buffer.from(ip).toString('hex');
}

function recordOf({ end }: FakeWorkload): WorkloadRecord {
  return {
    id: end.workloadId,
    name: end.workloadName,
    kind: 2,
    hostId: end.hostId,
    localId: end.workloadName,
    source: '',
    image: '',
    addresses: [],
    published: [],
    cgroupPath: '',
    labels: end.labels,
    sticky: false,
    metadata: {},
    present: true,
    goneMs: 0,
    createdMs: 0,
    version: 1,
  };
}
