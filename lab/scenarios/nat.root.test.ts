// Issue 5, must show 1: every host sees its peers under the right address. Real dockerds with their own NAT and the same private
// range on every host, with and without Docker's userland proxy; a gateway that translates sources and destinations, one address
// to one. Each cell is an exchange of real packets with the expected outcome and the expected record of who talked to whom.
import { parseAddress, wireAddress } from '@ringfence/proto/address.js';
import {
  Confidence,
  confidenceToJSON,
  Direction,
  directionToJSON,
  Reason,
  Verdict,
  verdictToJSON,
} from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from '../src/fleet.js';
import type { Place } from '../src/place.js';
import { until } from '../src/until.js';
import { type Cell, cells, fleetSpec, labels, natPolicy, openGateway, type SeenBy, spaces } from './nat-cells.js';

const PROTOCOL = { tcp: 6, udp: 17 } as const;
/** Agents tell wall time from a sampled distance to their own clock. */
const CLOCK_US = 15_000;
const NO_ADDRESS = new Uint8Array(16);

interface Exchange {
  readonly ok: boolean;
  /** Unix microseconds. */
  readonly beginUs: number;
  readonly endUs: number;
}

describe('every host sees its peers under the right address', () => {
  let fleet: Fleet;
  const started = new Map<string, Exchange>();

  beforeAll(async () => {
    fleet = await Fleet.start(fleetSpec, 180_000);
    await openGateway(fleet);
    for (const [name, roles] of Object.entries(labels)) await fleet.label(name, roles);
    for (const name of Object.keys(labels).filter((each) => /web|svc/.test(each)))
      await fleet.place(name).serve('tcp:80', 'tcp:81', 'tcp:82', 'udp:53', 'udp:54', 'udp:55');
    await spaces(fleet);
    await fleet.provision(natPolicy);
    await fleet.converged();
    // One after the other: the records of a cell are told from those of others by their time.
    for (const cell of cells(fleet)) {
      const beginUs = Date.now() * 1000;
      const from = await placeOf(fleet, cell.from);
      const { ok } = await from.probe(cell.protocol, cell.address, cell.port, 1500);
      started.set(cell.name, { ok, beginUs, endUs: Date.now() * 1000 });
    }
  }, 240_000);
  afterAll(() => fleet?.close());

  it('passes and refuses what it should, and records who it was', async () => {
    const lines: string[] = [];
    const wrong: string[] = [];
    for (const cell of cells(fleet)) {
      const exchange = started.get(cell.name) ?? { ok: !cell.allowed, beginUs: 0, endUs: 0 };
      const { ok } = exchange;
      const problems = ok === cell.allowed ? [] : [`exchange ${ok ? 'went through' : 'failed'}`];
      for (const seen of cell.records) {
        const found = await recordOf(fleet, cell, seen, exchange);
        if (found !== undefined) problems.push(found);
      }
      lines.push(
        `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${cell.name}${problems.map((each) => `\n       ${each}`).join('')}`,
      );
      if (problems.length > 0) wrong.push(cell.name);
    }
    process.stdout.write(`${lines.length} cells\n${lines.join('\n')}\n`);
    expect(wrong).toEqual([]);
  }, 240_000);
});

async function placeOf(fleet: Fleet, name: string): Promise<Place> {
  const member = fleet.members.get(name);
  return member === undefined ? fleet.place(name) : member.host.self();
}

/** Waits for the record; what is wrong about it. */
async function recordOf(fleet: Fleet, cell: Cell, seen: SeenBy, exchange: Exchange): Promise<string | undefined> {
  const { direction, confidence } = seen;
  const own = direction === Direction.DIRECTION_OUTBOUND ? cell.from : cell.to;
  const wanted = {
    source: direction === Direction.DIRECTION_OUTBOUND ? cell.from : (seen.names ?? cell.from),
    destination: direction === Direction.DIRECTION_OUTBOUND ? (seen.names ?? cell.to) : cell.to,
    servicePort: cell.servicePort,
    verdict: verdictToJSON(seen.allowed ? Verdict.VERDICT_ALLOWED : Verdict.VERDICT_BLOCKED),
    confidence: confidenceToJSON(confidence),
  };
  let last: Flow[] = [];
  try {
    await until(
      `the ${directionToJSON(direction)} record of ${cell.name}`,
      async () => {
        const flows = await fleet.api.flows();
        last = flows.filter(
          (flow) =>
            flow.protocol === PROTOCOL[cell.protocol] &&
            flow.direction === direction &&
            flow.reason !== Reason.REASON_LOOPBACK &&
            Number(flow.firstSeenUs) >= exchange.beginUs - CLOCK_US &&
            Number(flow.firstSeenUs) <= exchange.endUs + CLOCK_US &&
            flow.servicePort === cell.servicePort &&
            (direction === Direction.DIRECTION_INBOUND ||
              Buffer.from(wireAddress(parseAddress(cell.observed) ?? NO_ADDRESS)).equals(
                flow.destination?.ip ?? NO_ADDRESS,
              )) &&
            (direction === Direction.DIRECTION_OUTBOUND ? flow.source : flow.destination)?.workloadName === own,
        );
        return last.length > 0;
      },
      { timeoutMs: 6000, intervalMs: 100 },
    );
  } catch {
    return `no ${directionToJSON(direction)} record of ${own}`;
  }
  last.sort((a, b) => Number(a.firstSeenUs) - Number(b.firstSeenUs));
  const [flow] = last;
  const found = {
    source: flow?.source?.workloadName,
    destination: flow?.destination?.workloadName,
    servicePort: flow?.servicePort,
    verdict: verdictToJSON(flow?.verdict ?? Verdict.UNRECOGNIZED),
    confidence: confidenceToJSON(flow?.confidence ?? Confidence.UNRECOGNIZED),
  };
  return JSON.stringify(found) === JSON.stringify(wanted)
    ? undefined
    : `found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`;
}
