// Kubernetes policies through the kernel: cases computed by an independent project, imported, compiled, rendered, loaded, and every
// expected cell asked of the real programs at both ends. A cell is allowed when the sender's end lets the packet out and the
// receiver's end lets it in.
import type { CompilerWorkload } from '@ringfence/controller/compile/types.js';
import { protocolNumber } from '@ringfence/controller/policy/ports.js';
import { baseCluster, cyclonusData, type Step } from '@ringfence/controller/policy/testing/cyclonus.js';
import { ruleNumbers } from '@ringfence/controller/policy/testing/numbers.js';
import { random } from '@ringfence/controller/policy/testing/random.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DROP, PASS, REDIRECT, TestKernel } from './kernel.js';
import { connection, HOST, World } from './world.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const CASES = Number(process.env.RINGFENCE_CASES ?? 50);

let kernel: TestKernel;
beforeAll(() => {
  kernel = new TestKernel();
});
afterAll(() => kernel.close());

describe('programs', () => {
  it(`agree with cyclonus in every cell of ${CASES} cases (seed ${SEED}; repeat with RINGFENCE_SEED)`, {
    timeout: 600_000,
  }, () => {
    const data = cyclonusData();
    const r = random(SEED);
    const rest = [...data.cases];
    const sample = Array.from({ length: Math.min(CASES, rest.length) }, () =>
      rest.splice(r.below(rest.length), 1),
    ).flat();
    const count = { steps: 0, cells: 0, allowed: 0, blocked: 0 };
    for (const { id, description, steps } of sample) {
      const cluster = baseCluster(data);
      const numbers = ruleNumbers();
      steps.forEach((step, index) => {
        for (const action of step.actions ?? []) cluster.apply(action);
        const workloads = cluster.workloads().map((workload) => ({ ...workload, hostId: HOST }));
        kernel.clearFlows();
        const world = new World(kernel, cluster.policy(numbers), workloads);
        const where = `seed ${SEED}, case ${id} (${description}), step ${index}`;
        for (const cell of cellsOf(step, workloads)) {
          const found = reaches(world, cell) ? '.' : 'X';
          if (found !== cell.expected) {
            throw new Error(
              `${where}: ${cell.from.id} to ${cell.to.id} ${cell.service}: found ${found}, wanted ${cell.expected}`,
            );
          }
          count.cells += 1;
          count[found === '.' ? 'allowed' : 'blocked'] += 1;
        }
        count.steps += 1;
      });
    }
    console.log(`cyclonus: ${sample.length} cases, ${JSON.stringify(count)} through the kernel, seed ${SEED}`);
    expect(sample.length).toBe(Math.min(CASES, data.cases.length));
    expect(count.allowed).toBeGreaterThan(0);
    expect(count.blocked).toBeGreaterThan(0);
    expect(kernel.failures()).toEqual({});
  });
});

interface Cell {
  readonly from: CompilerWorkload;
  readonly to: CompilerWorkload;
  /** As the data writes it: TCP/80. */
  readonly service: string;
  readonly expected: string;
  /** Tells its packets apart from those of other cells. */
  readonly client: number;
}

/** The cells of a step about which the data has a word: N is a port that nobody serves. */
function* cellsOf(step: Step, workloads: readonly CompilerWorkload[]): Generator<Cell> {
  const byId = new Map(workloads.map((workload) => [workload.id, workload]));
  let client = 20_000;
  for (const [service, grid] of Object.entries(step.expected)) {
    for (const [row, fromId] of step.order.entries()) {
      for (const [column, toId] of step.order.entries()) {
        const [from, to, expected] = [byId.get(fromId), byId.get(toId), grid[row]?.[column]];
        if (!from || !to || !expected)
          throw new Error(`Cannot read ${service}: found no pod ${fromId} or ${toId}, or no cell`);
        client += 1;
        if (expected !== 'N') yield { from, to, service, expected, client };
      }
    }
  }
}

/** A first packet out of one pod and into the other, at the programs of each. */
function reaches(world: World, cell: Cell): boolean {
  const out = passes(world, cell, cell.from, cell.to, Direction.DIRECTION_OUTBOUND);
  const into = passes(world, cell, cell.to, cell.from, Direction.DIRECTION_INBOUND);
  return out && into;
}

function passes(
  world: World,
  { service, client }: Cell,
  own: CompilerWorkload,
  other: CompilerWorkload,
  way: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND,
): boolean {
  const [protocolText = '', port] = service.split('/');
  const protocol = protocolNumber(protocolText.toLowerCase());
  const remote = other.addresses[0]?.address;
  if (protocol === undefined || !remote)
    throw new Error(`Cannot ask for ${service}: found no such protocol, or no address`);
  world.enter(own);
  const { opening } = connection({ protocol, port: Number(port), remote }, way, client);
  const { retval } = way === Direction.DIRECTION_INBOUND ? kernel.receive(opening) : kernel.send(opening);
  if (![PASS, DROP, REDIRECT].includes(retval))
    throw new Error(`Cannot read verdict: found ${retval}, wanted pass, drop or redirect`);
  return retval === PASS;
}
