// Issue 5, must show 1: every host sees its peers under the right address. Real dockerds with their own NAT and the same private
// range on every host, with and without Docker's userland proxy; a gateway that translates sources and destinations, one address
// to one, from a pool, from a block of ports. Each cell is an exchange of real packets with the expected outcome and the expected record
// of who talked to whom.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from '../src/fleet.js';
import { until } from '../src/until.js';
import { cells, fleetSpec, labels, natPolicy } from './nat-cells.js';
import { type GatewayKind, openGateway, spaces } from './nat-gateway.js';
import { type Cell, type Exchange, exchange, problemsOf } from './nat-matrix.js';
import { blockCells, poolCells, wideCells, widen } from './nat-wide-cells.js';

describe('every host sees its peers under the right address', () => {
  let fleet: Fleet;
  const exchanged: (readonly [Cell, Exchange])[] = [];

  const run = async (all: readonly Cell[]) => {
    for (const cell of all) exchanged.push([cell, await exchange(fleet, cell)]);
  };
  const replaceGateway = async (kind: GatewayKind) => {
    await openGateway(fleet, kind);
    await spaces(fleet, kind);
    await fleet.converged();
  };

  beforeAll(async () => {
    fleet = await Fleet.start(fleetSpec, 180_000);
    await widen(fleet);
    await openGateway(fleet);
    for (const [name, roles] of Object.entries(labels)) await fleet.label(name, roles);
    for (const name of Object.keys(labels).filter((each) => /web|svc|two|hostnet/.test(each)))
      await fleet.place(name).serve('tcp:80', 'tcp:81', 'tcp:82', 'udp:53', 'udp:54', 'udp:55');
    await spaces(fleet);
    await fleet.provision(natPolicy);
    await fleet.converged();
    await run([...cells(fleet), ...(await wideCells(fleet))]);
    await replaceGateway('pool');
    await run(poolCells(fleet));
    await replaceGateway('ports');
    await run(blockCells(fleet));
  }, 300_000);
  afterAll(() => fleet?.close());

  it('passes and refuses what it should, and records each connection once, with who it was', async () => {
    let problems = new Map<string, readonly string[]>();
    const look = async () => {
      const flows = await fleet.api.flows();
      problems = new Map(exchanged.map(([cell, outcome]) => [cell.name, problemsOf(flows, cell, outcome)]));
      return [...problems.values()].every((each) => each.length === 0);
    };
    // The last of them are given their other end, or given up, some seconds after they came.
    await until('all records', look, { timeoutMs: 30_000, intervalMs: 500 }).catch(() => undefined);
    const lines = [...problems].map(
      ([name, each]) =>
        `${each.length === 0 ? 'ok  ' : 'FAIL'} ${name}${each.map((line) => `\n       ${line}`).join('')}`,
    );
    process.stdout.write(`${lines.length} cells\n${lines.join('\n')}\n`);
    expect(exchanged.length).toBe(problems.size);
    expect([...problems].filter(([, each]) => each.length > 0).map(([name]) => name)).toEqual([]);
  }, 240_000);
});
