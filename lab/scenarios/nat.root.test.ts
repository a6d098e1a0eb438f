// Issue 5, must show 1: every host sees its peers under the right address. Real dockerds with their own NAT and the same private
// range on every host, with and without Docker's userland proxy; a gateway that translates sources and destinations, one address
// to one, from a pool, from a block of ports. Each cell is an exchange of real packets with the expected outcome and the expected record
// of who talked to whom.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet } from '../src/fleet.js';
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

  it('passes and refuses what it should, and records who it was', async () => {
    const lines: string[] = [];
    const wrong: string[] = [];
    for (const [cell, outcome] of exchanged) {
      const problems = await problemsOf(fleet, cell, outcome);
      lines.push(
        `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${cell.name}${problems.map((each) => `\n       ${each}`).join('')}`,
      );
      if (problems.length > 0) wrong.push(cell.name);
    }
    process.stdout.write(`${lines.length} cells\n${lines.join('\n')}\n`);
    expect(wrong).toEqual([]);
  }, 240_000);
});
