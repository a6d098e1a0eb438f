// One world in a process of its own, so that its memory is its own. Prints one JSON line.
//   node --expose-gc run.js SPACES WORKLOADS SEED ROUNDS
import { setPriority } from 'node:os';
import { createCompiler } from '@ringfence/controller/compile/graph.js';
import { resolvePolicy } from '@ringfence/controller/policy/parse.js';
import { identityNumbers, ruleNumbers } from '@ringfence/controller/policy/testing/numbers.js';
import { SpaceTree } from '@ringfence/controller/topology/spaces.js';
import { type Cost, measure } from '../compile/changes.js';
import { CHANGES, type ChangeName, changesOf, withSpareMappings } from './changes.js';
import { makeWorld } from './fleet.js';

/** What it cost to compile everything. Bytes. */
export interface FullCost {
  readonly ms: number;
  readonly cpuMs: number;
  readonly inputHeapBytes: number;
  readonly heapBytes: number;
  readonly peakRssBytes: number;
  readonly hosts: number;
  readonly identities: number;
  readonly bindings: number;
  readonly mappings: number;
}

export interface RunResult {
  readonly full: FullCost;
  readonly changes: Record<ChangeName, readonly Cost[]>;
}

const [spaces, workloads, seed, rounds] = process.argv.slice(2).map(Number);
if (!spaces || !workloads || seed === undefined || !rounds || !globalThis.gc) {
  throw new Error('Cannot run: wanted node --expose-gc run.js SPACES WORKLOADS SEED ROUNDS');
}
try {
  // Ahead of other work on the machine, so that it disturbs little.
  setPriority(-20);
} catch {
  // Not root: the load average beside the table says how much to believe.
}

/** Made and not counted before each kind of change: the engine learns which code is hot. */
const WARM_UP = 20;

const world = withSpareMappings(makeWorld({ spaces, workloads }, seed));
const policy = resolvePolicy(world.document, ruleNumbers());
const identities = identityNumbers();
globalThis.gc();
const inputHeapBytes = process.memoryUsage().heapUsed;
const compiler = createCompiler({ identities, classes: identityNumbers(), quarantineMs: 60_000 });
const cpu = process.cpuUsage();
const startMs = performance.now();
compiler.tick(1);
compiler.setSpaces(new SpaceTree(world.spaces));
compiler.setPolicy(policy, 1);
for (const host of world.hosts) compiler.setHost(host);
for (const workload of world.workloads) compiler.setWorkload(workload);
let deltas = compiler.flush();
const ms = performance.now() - startMs;
const { user, system } = process.cpuUsage(cpu);
const bindings = deltas.reduce((sum, delta) => sum + delta.bindings.length, 0);
const mappings = deltas.reduce((sum, delta) => sum + (delta.nats?.length ?? 0), 0);
const peakRssBytes = process.resourceUsage().maxRSS * 1024;
deltas = [];
globalThis.gc();
const full: FullCost = {
  ms,
  cpuMs: (user + system) / 1000,
  inputHeapBytes,
  heapBytes: process.memoryUsage().heapUsed,
  peakRssBytes,
  hosts: world.hosts.length,
  identities: identities.live.size,
  bindings,
  mappings,
};
const changes = changesOf(compiler, world);
const costs: [ChangeName, Cost[]][] = [];
for (const name of Object.keys(CHANGES) as ChangeName[]) {
  const made: Cost[] = [];
  for (let round = -WARM_UP; round < rounds; round++) {
    const cost = measure(compiler, changes[name](Math.abs(round)));
    if (round >= 0) made.push(cost);
  }
  costs.push([name, made]);
}
const result: RunResult = { full, changes: Object.fromEntries(costs) as Record<ChangeName, Cost[]> };
process.stdout.write(`${JSON.stringify(result)}\n`);
