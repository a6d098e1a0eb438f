// Issue 5, must show 1: every host sees its peers under the right address. Real dockerds with their own NAT and the same private
// range on every host, with and without Docker's userland proxy; a gateway that translates sources and destinations, one address
// to one, from a pool, from a block of ports, and is replaced while connections are open through it. Each cell is an exchange of real
// packets with the expected outcome and the one expected record of who talked to whom, and how surely that is known: nat-expected.ts.
import { Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from '../src/fleet.js';
import type { Stream } from '../src/place.js';
import { until } from '../src/until.js';
import { cells, fleetSpec, labels, natPolicy } from './nat-cells.js';
import { EXPECTED, EXPECTED_STREAMS } from './nat-expected.js';
import { type GatewayKind, openGateway, spaces } from './nat-gateway.js';
import { type Cell, type Exchange, exchange, problemsOf, told } from './nat-matrix.js';
import { blockCells, poolCells, wideCells, widen } from './nat-wide-cells.js';

/** Of connections that stay open while the gateway is replaced. */
const STREAM_PORT = 90;

describe('every host sees its peers under the right address', () => {
  let fleet: Fleet;
  let streams: readonly Stream[] = [];
  const exchanged: (readonly [Cell, Exchange])[] = [];

  const run = async (all: readonly Cell[]) => {
    for (const cell of all) exchanged.push([cell, await exchange(fleet, cell)]);
  };
  const replaceGateway = async (kind: GatewayKind) => {
    await openGateway(fleet, kind);
    await spaces(fleet, kind);
    await fleet.converged();
    // Through the gateway that was there when they began.
    for (const stream of streams) {
      const { received } = await stream.counts();
      await until('an open connection to go on', async () => (await stream.counts()).received > received + 5);
    }
  };

  beforeAll(async () => {
    fleet = await Fleet.start(fleetSpec, 180_000);
    await widen(fleet);
    await openGateway(fleet);
    for (const [name, roles] of Object.entries(labels)) await fleet.label(name, roles);
    for (const name of Object.keys(labels).filter((each) => /web|svc|two|hostnet/.test(each)))
      await fleet.place(name).serve('tcp:80', 'tcp:81', 'tcp:82', 'tcp:84', 'udp:53', 'udp:54', 'udp:55', 'udp:56');
    await spaces(fleet);
    await fleet.provision(natPolicy);
    await fleet.converged();
    await run([...cells(fleet), ...(await wideCells(fleet))]);
    const { ip4 } = fleet.place('e-web').addresses;
    await fleet.place('e-web').serve(`tcp:${STREAM_PORT}`, `udp:${STREAM_PORT}`);
    streams = await Promise.all(
      (['tcp', 'udp'] as const).map((protocol) => fleet.place('g-client').stream(protocol, ip4, STREAM_PORT)),
    );
    await replaceGateway('pool');
    await run(poolCells(fleet));
    await replaceGateway('ports');
    await run(blockCells(fleet));
  }, 300_000);
  afterAll(() => fleet?.close());

  it('has a cell for every expectation and an expectation for every cell', () => {
    expect(exchanged.map(([{ name }]) => name).sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  it('passes and refuses what it should, and records each connection once, with who it was', async () => {
    let problems = new Map<string, readonly string[]>();
    const look = async () => {
      const flows = await fleet.api.flows();
      problems = new Map(
        exchanged.map(([cell, outcome]) => [cell.name, problemsOf(flows, cell, outcome, EXPECTED[cell.name])]),
      );
      return [...problems.values()].every((each) => each.length === 0);
    };
    // The last of them are given their other end, or given up, some seconds after they came.
    await until('all records', look, { timeoutMs: 60_000, intervalMs: 500 }).catch(() => undefined);
    const lines = [...problems].map(
      ([name, each]) =>
        `${each.length === 0 ? 'ok  ' : 'FAIL'} ${name}${each.map((line) => `\n       ${line}`).join('')}`,
    );
    process.stdout.write(`${lines.length} cells\n${lines.join('\n')}\n`);
    expect([...problems].filter(([, each]) => each.length > 0).map(([name]) => name)).toEqual([]);
  }, 240_000);

  it('leaves connections alone that were open when the gateway was replaced', async () => {
    const ended = await Promise.all(streams.map((stream) => stream.stop()));
    expect(ended.map(({ closed }) => closed)).toEqual(['none', 'none']);
    const ofStreams = ({ servicePort }: Flow) => servicePort === STREAM_PORT;
    const records = await until('one record of each', async () => {
      const found = (await fleet.api.flows()).filter(ofStreams);
      const both = found.filter(({ views }) => views.length === 2);
      return found.length === streams.length && both.length === streams.length ? found : undefined;
    });
    expect(records.map(told).sort()).toEqual(EXPECTED_STREAMS);
  }, 120_000);

  it('cuts nothing that policy allows, whatever changed while views converged', async () => {
    // Of the protocols that were exchanged: membership reports of multicast groups are older than the policy, which cuts them.
    const cut = (await fleet.api.flows()).filter(
      ({ protocol, reason, views }) =>
        [1, 6, 17, 58].includes(protocol) &&
        [reason, ...views.map((view) => view.reason)].includes(Reason.REASON_REVOKED),
    );
    expect(cut.map(told)).toEqual([]);
  });
});
