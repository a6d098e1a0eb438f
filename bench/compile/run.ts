// One fleet in a process of its own, so that its memory and its garbage are its own. Compiles it from nothing, tells what that cost, and
// then makes the changes that it is asked for, one at a time, telling what each cost.
//   fork(run.js, [WORKLOADS, RULES, SEED, DOUBLED(0|1)], --expose-gc): messages to it are Ask, messages from it Told
// With 1 the fleet stands beside an equally large one that no change concerns.
import { setPriority } from 'node:os';
import { createCompiler } from '@ringfence/controller/compile/graph.js';
import { resolvePolicy } from '@ringfence/controller/policy/parse.js';
import { identityNumbers, ruleNumbers } from '@ringfence/controller/policy/testing/numbers.js';
import { type ChangeName, type Compiled, type Cost, changesOf, measure } from './changes.js';
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

/** Make this change, number `round` of many. */
export interface Ask {
  readonly name: ChangeName;
  readonly round: number;
}

export type Told = { readonly full: FullCost } | { readonly cost: Cost };

const [workloads, rules, seed, doubled] = process.argv.slice(2).map(Number);
if (!workloads || !rules || seed === undefined || !globalThis.gc || !process.send) {
  throw new Error('Cannot run: wanted a fork with --expose-gc and WORKLOADS RULES SEED 0|1');
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

const tell = (told: Told): void => void process.send?.(told);
const fleet = makeFleet(size, seed);
const { compiled, full } = compile(doubled === 1 ? twice(fleet) : fleet);
const changes = changesOf(compiled, size);
process.on('message', ({ name, round }: Ask) => {
  tell({ cost: measure(compiled.compiler, changes[name](round)) });
});
tell({ full });
