// One size in a process of its own, so that its memory is its own. Prints one JSON line.
//   node --expose-gc run.js WORKLOADS RULES SEED ROUNDS DOUBLED(0|1)
// With 1 a second compiler holds the fleet beside an equally large one that no change concerns, and every change is made to both in turn.
import { setPriority } from 'node:os';
import { createCompiler } from '@ringfence/controller/compile/graph.js';
import { resolvePolicy } from '@ringfence/controller/policy/parse.js';
import { identityNumbers, ruleNumbers } from '@ringfence/controller/policy/testing/numbers.js';
import { CHANGES, type ChangeName, type Compiled, type Cost, changesOf, measureChange } from './changes.js';
import { type Fleet, type FleetSize, makeFleet } from './fleet.js';

/** What a full compile cost. Bytes. */
export interface FullCost {
  readonly ms: number;
  /** Processor time, garbage collector included. */
  readonly cpuMs: number;
  readonly resolveMs: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  /** Before anything was compiled: the inputs themselves. */
  readonly inputHeapBytes: number;
  readonly hosts: number;
  readonly identities: number;
  readonly sets: number;
  readonly bindings: number;
}

export interface RunResult {
  readonly full: FullCost;
  readonly changes: Record<ChangeName, readonly Cost[]>;
  /** The same changes in the doubled fleet; undefined: not asked for. */
  readonly doubled: Record<ChangeName, readonly Cost[]> | undefined;
}

const [workloads, rules, seed, rounds, doubled] = process.argv.slice(2).map(Number);
if (!workloads || !rules || seed === undefined || !rounds || !globalThis.gc) {
  throw new Error('Cannot run: wanted node --expose-gc run.js WORKLOADS RULES SEED ROUNDS [0|1]');
}
const size: FleetSize = { workloads, rules };
try {
  // Ahead of other work on the machine, so that it disturbs little.
  setPriority(-20);
} catch {
  // Not root: the load average beside the table says how much to believe.
}

function compile(fleet: Fleet): { compiled: Compiled; full: FullCost } {
  const numbers = ruleNumbers();
  const identities = identityNumbers();
  globalThis.gc?.();
  const resolveStart = performance.now();
  const policy = resolvePolicy(fleet.document, numbers);
  const resolveMs = performance.now() - resolveStart;
  globalThis.gc?.();
  const inputHeapBytes = process.memoryUsage().heapUsed;
  const compiler = createCompiler({ identities, classes: identityNumbers(), quarantineMs: 60_000 });
  const cpu = process.cpuUsage();
  const start = performance.now();
  compiler.tick(1);
  compiler.setPolicy(policy, 1);
  for (const host of fleet.hosts) compiler.setHost(host);
  for (const workload of fleet.workloads) compiler.setWorkload(workload);
  let deltas = compiler.flush();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const hashes = new Set(deltas.flatMap((delta) => delta.sets.map((set) => set.hash)));
  const bindings = deltas.reduce((sum, delta) => sum + delta.bindings.length, 0);
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  deltas = [];
  globalThis.gc?.();
  const memory = process.memoryUsage();
  const full: FullCost = {
    ms,
    cpuMs: (user + system) / 1000,
    resolveMs,
    inputHeapBytes,
    heapBytes: memory.heapUsed,
    rssBytes: memory.rss,
    peakRssBytes,
    hosts: fleet.hosts.length,
    identities: identities.live.size,
    sets: hashes.size,
    bindings,
  };
  return { compiled: { compiler, fleet, policy, numbers }, full };
}

/** The fleet with another of its size beside it. */
function twice(fleet: Fleet): Fleet {
  const other = makeFleet(size, (seed ?? 0) + 1, size);
  return {
    hosts: [...fleet.hosts, ...other.hosts],
    workloads: [...fleet.workloads, ...other.workloads],
    document: { ...fleet.document, rules: [...fleet.document.rules, ...other.document.rules] },
  };
}

const fleet = makeFleet(size, seed);
const { compiled, full } = compile(fleet);
const beside = doubled === 1 ? compile(twice(fleet)).compiled : undefined;
const costs = (): Record<ChangeName, Cost[]> => ({ relabel: [], 'relabel-new': [], add: [], rule: [], 'rule-all': [] });
const result = { full, changes: costs(), doubled: beside && costs() };
for (const name of Object.keys(CHANGES) as ChangeName[]) {
  // The first few teach the engine which code is hot.
  // What touches every agent costs seconds and shows no more when it is repeated often.
  const few = name === 'rule-all';
  for (let round = few ? -1 : -10; round < (few ? 3 : rounds); round++) {
    const at = Math.abs(round);
    const turns = [
      () => ({ to: result.changes, cost: measureChange(compiled.compiler, changesOf(compiled, size)[name], at) }),
      () => beside && { to: result.doubled, cost: measureChange(beside.compiler, changesOf(beside, size)[name], at) },
    ];
    for (const turn of at % 2 === 0 ? turns : turns.toReversed()) {
      const done = turn();
      if (round >= 0 && done?.to) done.to[name].push(done.cost);
    }
  }
}
process.stdout.write(`${JSON.stringify(result satisfies RunResult)}\n`);
