// What agents of a fleet report on connections between their workloads: each connection by both of its hosts. One batch of an agent is like
// the next, a second later and from other ports, so that it is encoded once (upload-stream.ts moves times and ports).

import { type FlowRow, flowColumns } from '@ringfence/controller/testing/flow-columns.js';
import { parseAddress } from '@ringfence/proto/address.js';
import type { LocalWorkload } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Direction, EventKind, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** Workloads of a host. */
export const WORKLOADS = 20;
/** From one batch of an agent to the next, by the clock of their records. */
export const BATCH_APART_US = 1_000_000;
export const FIRST_PORT = 32_768;
export const PORTS = 28_000;
/** Batches after which a long connection ends: its begin is stored by then, and replaced. */
const LONG_BATCHES = 15;
/** One connection in five is long: told when it begins and when it ends. The others are told when they have ended. */
const LONG_ONE_IN = 5;

interface Reported extends FlowRow {
  readonly kind: EventKind;
}

/** The workloads of host n as its agent reports them. */
export function workloadsOf(host: number): Partial<LocalWorkload>[] {
  return Array.from({ length: WORKLOADS }, (_, w) => ({
    localId: `container:w${w}`,
    name: `w${w}`,
    kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
    source: 'docker',
    addresses: [{ ip: Buffer.from(parseAddress(addressOf(host, w)) ?? []), space: '' }],
    metadata: {},
  }));
}

/** A batch of about `records` records for each host, by its place; `hostIds` are what the controller calls them. */
export function fleetBatches(hostIds: readonly string[], records: number): FlowColumns[] {
  const random = lcg(1);
  const nowUs = Date.now() * 1000;
  const rows = hostIds.map((): Reported[] => []);
  // A connection makes two records, a long one four.
  const connections = Math.round((hostIds.length * records) / (2 + 2 / LONG_ONE_IN));
  for (let n = 0; n < connections; n += 1) {
    const [from, to] = [n % hostIds.length, random(hostIds.length)];
    const [client, server] = [random(WORKLOADS), random(WORKLOADS)];
    const servicePort = [80, 443, 5432][random(3)] ?? 0;
    const port = random(PORTS);
    const startUs = nowUs + random(BATCH_APART_US);
    const bytes = { bytesIn: random(100_000), bytesOut: random(1_000_000) };
    const report = (kind: EventKind, sourcePort: number, firstSeenUs: number, lastSeenUs: number) => {
      const both = { kind, servicePort, firstSeenUs, lastSeenUs, policyVersion: 1, rule: 1 + (n % 40) };
      rows[from]?.push({
        ...{ ...both, ...bytes, workload: `${hostIds[from]}/container:w${client}`, process: `client-${client % 4}` },
        ...{ local: addressOf(from, client), localPort: sourcePort },
        ...{ remote: addressOf(to, server), remotePort: servicePort, direction: Direction.DIRECTION_OUTBOUND },
      });
      rows[to]?.push({
        ...{ ...both, workload: `${hostIds[to]}/container:w${server}`, process: `server-${servicePort}` },
        ...{ bytesIn: bytes.bytesOut, bytesOut: bytes.bytesIn, local: addressOf(to, server), localPort: servicePort },
        ...{ remote: addressOf(from, client), remotePort: sourcePort, direction: Direction.DIRECTION_INBOUND },
      });
    };
    const { EVENT_KIND_NEW, EVENT_KIND_END } = EventKind;
    if (n % LONG_ONE_IN !== 0) report(EVENT_KIND_END, FIRST_PORT + port, startUs, startUs + random(900_000));
    else {
      report(EVENT_KIND_NEW, FIRST_PORT + port, startUs, startUs);
      // The connection that began so many batches before.
      const begunUs = startUs - LONG_BATCHES * BATCH_APART_US;
      report(EVENT_KIND_END, FIRST_PORT + ((port + PORTS - LONG_BATCHES) % PORTS), begunUs, startUs);
    }
  }
  return rows.map((own) => ({ ...flowColumns(own), kind: Buffer.from(own.map(({ kind }) => kind)) }));
}

function addressOf(host: number, workload: number): string {
  return `10.${1 + (host >> 8)}.${host & 255}.${1 + workload}`;
}

/** Numbers below `bound`, the same for the same seed. */
export function lcg(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * bound);
  };
}
