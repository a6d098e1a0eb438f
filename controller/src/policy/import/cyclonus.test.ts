// Every cell of every step of the cyclonus data: imported, evaluated, compiled incrementally and from scratch.
import { Direction, Mode, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { decideCompiledShared } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import { createCompiler } from '../../compile/graph.js';
import { HostMirror } from '../../compile/testing/host-mirror.js';
import type { Compiler, CompilerWorkload } from '../../compile/types.js';
import { evaluate } from '../evaluate.js';
import type { Policy } from '../model.js';
import { protocolNumber } from '../ports.js';
import { baseCluster, Cluster, cyclonusData } from '../testing/cyclonus.js';
import { identityNumbers, ruleNumbers } from '../testing/numbers.js';

const IN = Direction.DIRECTION_INBOUND;
const OUT = Direction.DIRECTION_OUTBOUND;

type Verdicts = (from: CompilerWorkload, to: CompilerWorkload, protocol: number, port: number) => boolean;

/** What the evaluator says: a connection passes when neither end blocks it. */
function evaluated(policy: Policy): Verdicts {
  return (from, to, protocol, port) => {
    const at = (own: CompilerWorkload, other: CompilerWorkload, direction: typeof IN | typeof OUT) => {
      const remote = other.addresses[0]?.address ?? new Uint8Array(0);
      return (
        evaluate(policy, own, [other], { protocol, port, remote }, direction, 0).verdict !== Verdict.VERDICT_BLOCKED
      );
    };
    return at(from, to, OUT) && at(to, from, IN);
  };
}

/** The compiled form: what every host was told. */
class Compiled {
  readonly mirrors = new Map<string, HostMirror>();
  readonly #compiler: Compiler;
  #workloads = new Map<string, string>();

  constructor(identities: ReturnType<typeof identityNumbers>, classes: ReturnType<typeof identityNumbers>) {
    this.#compiler = createCompiler({ identities, classes: { ...classes, release: () => {} }, quarantineMs: 1e15 });
    for (const host of ['a', 'b', 'c', 'd']) this.#compiler.setHost(host);
  }

  update(workloads: readonly CompilerWorkload[], policy: Policy): void {
    const now = new Map(workloads.map((workload) => [workload.id, JSON.stringify(workload)]));
    for (const workload of workloads) {
      if (this.#workloads.get(workload.id) !== now.get(workload.id)) this.#compiler.setWorkload(workload);
    }
    for (const id of this.#workloads.keys()) if (!now.has(id)) this.#compiler.removeWorkload(id);
    this.#workloads = now;
    this.#compiler.setPolicy(policy, 1);
    for (const delta of this.#compiler.flush()) {
      const mirror = this.mirrors.get(delta.hostId) ?? new HostMirror();
      this.mirrors.set(delta.hostId, mirror);
      mirror.apply(delta);
    }
  }

  state() {
    return [...this.mirrors].sort(([a], [b]) => (a < b ? -1 : 1)).map(([host, mirror]) => [host, mirror.state()]);
  }

  verdicts(): Verdicts {
    return (from, to, protocol, port) => {
      const at = (own: CompilerWorkload, other: CompilerWorkload, inbound: boolean) => {
        const mirror = this.mirrors.get(own.hostId);
        const assignment = mirror?.assignments.get(own.localId);
        if (mirror === undefined || assignment === undefined) throw new Error(`wanted an assignment for ${own.id}`);
        if ((inbound ? assignment.modeIn : assignment.modeOut) !== Mode.MODE_ENFORCE) return true;
        const remote = other.addresses[0]?.address ?? new Uint8Array(0);
        const set = mirror.sets.get(inbound ? assignment.setIn : assignment.setOut);
        return (
          decideCompiledShared(set, mirror.candidates(remote), mirror.classOf(remote), protocol, port)?.allow === true
        );
      };
      return at(from, to, false) && at(to, from, true);
    };
  }
}

/** Compares a grid; returns the number of cells looked at. Rows are from, columns to. */
function compareGrid(
  verdicts: Verdicts,
  workloads: readonly CompilerWorkload[],
  order: readonly string[],
  service: string,
  grid: readonly string[],
  where: string,
): number {
  const [protocolText, portText] = service.split('/');
  const protocol = protocolNumber((protocolText ?? '').toLowerCase()) ?? -1;
  const byId = new Map(workloads.map((workload) => [workload.id, workload]));
  let cells = 0;
  const found = order.map((fromId, row) =>
    order
      .map((toId, column) => {
        const cell = grid[row]?.[column];
        const [from, to] = [byId.get(fromId), byId.get(toId)];
        if (from === undefined || to === undefined || cell === undefined)
          throw new Error(`${where}: no pod ${fromId} or ${toId}`);
        // Not served: the data has no word about policy here.
        if (cell === 'N') return 'N';
        cells += 1;
        return verdicts(from, to, protocol, Number(portText)) ? '.' : 'X';
      })
      .join(''),
  );
  expect(found, `${where} ${service}`).toEqual(grid);
  return cells;
}

describe('NetworkPolicy import against cyclonus', () => {
  const data = cyclonusData();

  it('agrees in every cell of every case, evaluated and compiled, step by step and from scratch', {
    timeout: 120_000,
  }, () => {
    const count = { cases: 0, steps: 0, cells: 0 };
    for (const { id, description, steps } of data.cases) {
      const cluster = baseCluster(data);
      const [numbers, identities, classes] = [ruleNumbers(), identityNumbers(), identityNumbers()];
      const incremental = new Compiled(identities, classes);
      incremental.update(cluster.workloads(), cluster.policy(numbers));
      count.cases += 1;
      steps.forEach((step, index) => {
        for (const action of step.actions ?? []) cluster.apply(action);
        const where = `case ${id} (${description}) step ${index}`;
        const [policy, workloads] = [cluster.policy(numbers), cluster.workloads()];
        incremental.update(workloads, policy);
        const scratch = new Compiled(identities, classes);
        scratch.update(workloads, policy);
        expect(incremental.state(), where).toEqual(scratch.state());
        count.steps += 1;
        for (const [service, grid] of Object.entries(step.expected)) {
          count.cells += compareGrid(evaluated(policy), workloads, step.order, service, grid, `${where} evaluated`);
          compareGrid(incremental.verdicts(), workloads, step.order, service, grid, `${where} compiled`);
        }
      });
    }
    console.log(
      `cyclonus: ${count.cases} cases, ${count.steps} steps, ${count.cells} cells agree (evaluated and compiled)`,
    );
    expect(count).toEqual({ cases: 230, steps: 256, cells: 123_669 });
  });

  it('agrees in every cell of every recipe', () => {
    let cells = 0;
    data.recipes.forEach((recipe, index) => {
      const cluster = new Cluster(recipe.namespaces, recipe.pods, []);
      for (const policy of recipe.policies) cluster.apply({ createPolicy: policy });
      const [policy, workloads] = [cluster.policy(ruleNumbers()), cluster.workloads()];
      const compiled = new Compiled(identityNumbers(), identityNumbers());
      compiled.update(workloads, policy);
      const service = `${recipe.protocol}/${recipe.port}`;
      cells += compareGrid(
        evaluated(policy),
        workloads,
        recipe.order,
        service,
        recipe.expected,
        `recipe ${index} evaluated`,
      );
      compareGrid(compiled.verdicts(), workloads, recipe.order, service, recipe.expected, `recipe ${index} compiled`);
    });
    // Beside these, the 81 cells of recipe 12 ask for a port that no pod serves.
    expect(cells).toBe(1153);
  });
});
