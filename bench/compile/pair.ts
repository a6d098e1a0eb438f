// A fleet and the same fleet beside an equally large one, each in a process of its own, that make the same changes in turn.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CHANGES, type ChangeName, type Cost } from './changes.js';
import type { FleetSize } from './fleet.js';
import type { Ask, FullCost, Told } from './run.js';

export interface RunResult {
  readonly full: FullCost;
  readonly changes: Record<ChangeName, readonly Cost[]>;
  /** The same changes in the doubled fleet, pair by pair; undefined: not asked for. */
  readonly doubled: Record<ChangeName, readonly Cost[]> | undefined;
}

/** Changes of each kind that are made but not counted: the engine learns which code is hot, and sweeps what the full compile left. */
const WARM_UP = 100;
/** What walks over everything shows no more when it is repeated often. */
const FEW: Partial<Record<ChangeName, number>> = { 'rule-anew': 20, 'rule-all': 3 };

export async function runPair(size: FleetSize, seed: number, rounds: number, withDouble: boolean): Promise<RunResult> {
  const one = new Runner(size, seed, false);
  const full = await one.full;
  const two = withDouble ? new Runner(size, seed, true) : undefined;
  await two?.full;
  const costs = (): Record<ChangeName, Cost[]> => ({
    relabel: [],
    'relabel-new': [],
    add: [],
    rule: [],
    'rule-anew': [],
    'rule-all': [],
  });
  const result = { full, changes: costs(), doubled: two && costs() };
  const names = Object.keys(CHANGES) as ChangeName[];
  for (const name of names.filter((each) => FEW[each] === undefined)) {
    for (let round = 0; round < WARM_UP; round++)
      await Promise.all([one, two].map((runner) => runner?.make({ name, round })));
  }
  for (const name of names) {
    for (let round = 0; round < Math.min(rounds, FEW[name] ?? rounds); round++) {
      const ask: Ask = { name, round };
      const turns = [
        async () => result.changes[name].push(await one.make(ask)),
        async () => two && result.doubled?.[name].push(await two.make(ask)),
      ];
      // In turn, so that neither always comes first.
      for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn();
    }
  }
  one.stop();
  two?.stop();
  return result;
}

/** A process that holds one fleet. */
class Runner {
  readonly #process: ChildProcess;
  #next: { resolve(told: Told): void; reject(error: Error): void } | undefined;
  readonly full: Promise<FullCost>;

  constructor({ workloads, rules }: FleetSize, seed: number, doubled: boolean) {
    const file = fileURLToPath(new URL('run.js', import.meta.url));
    // The heap limit is far above what may be needed: a compiler that grows must show in the table, not end the run.
    this.#process = fork(file, [workloads, rules, seed, doubled ? 1 : 0].map(String), {
      execArgv: ['--expose-gc', '--max-old-space-size=8192'],
    });
    this.#process.on('message', (told: Told) => this.#next?.resolve(told));
    this.#process.on('exit', (code) =>
      this.#next?.reject(new Error(`Cannot go on: the fleet's process ended with ${code}`)),
    );
    this.full = this.#told().then((told) => {
      if ('full' in told) return told.full;
      throw new Error('Cannot take an answer: found the cost of a change, wanted that of the full compile');
    });
  }

  async make(ask: Ask): Promise<Cost> {
    const answer = this.#told();
    this.#process.send(ask);
    const told = await answer;
    if ('cost' in told) return told.cost;
    throw new Error('Cannot take an answer: found the cost of the full compile, wanted that of a change');
  }

  stop(): void {
    this.#next = undefined;
    this.#process.disconnect();
  }

  #told(): Promise<Told> {
    return new Promise((resolve, reject) => {
      this.#next = { resolve, reject };
    });
  }
}
