import type { HostDelta } from '@ringfence/proto/instructions.js';
import { describe, expect, it } from 'vitest';
import { checkDocument, resolvePolicy } from '../policy/parse.js';
import { randomDocument, randomWorkload } from '../policy/testing/generate.js';
import { identityNumbers, ruleNumbers } from '../policy/testing/numbers.js';
import { type Random, random } from '../policy/testing/random.js';
import { createCompiler } from './graph.js';
import { HostMirror } from './testing/host-mirror.js';
import { START, STATES, STEPS, type World } from './testing/states.js';
import type { Compiler, CompilerWorkload } from './types.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const FOREVER = Number.MAX_SAFE_INTEGER;

/** A compiler with the agents that follow it, and what it was last told. Numbers are shared, as the store's are. */
class Fleet {
  readonly mirrors = new Map<string, HostMirror>();
  #world: World = START;
  readonly #numbers: Numbers;
  readonly #compiler: Compiler;

  constructor(numbers: Numbers) {
    this.#numbers = numbers;
    this.#compiler = createCompiler({
      identities: numbers.identities,
      classes: numbers.classes,
      quarantineMs: FOREVER,
    });
  }

  /** The single inputs that lead from the world now to the next one, in no particular order. */
  inputs(next: World): (() => void)[] {
    const inputs: (() => void)[] = [];
    const compiler = this.#compiler;
    const now = this.#world;
    for (const id of next.hosts) if (!now.hosts.has(id)) inputs.push(() => compiler.setHost(id));
    for (const id of now.hosts) {
      if (next.hosts.has(id)) continue;
      inputs.push(() => {
        compiler.removeHost(id);
        this.mirrors.delete(id);
      });
    }
    for (const [id, workload] of next.workloads) {
      if (now.workloads.get(id) !== workload) inputs.push(() => compiler.setWorkload(workload));
    }
    for (const id of now.workloads.keys()) if (!next.workloads.has(id)) inputs.push(() => compiler.removeWorkload(id));
    if (now.document !== next.document) {
      inputs.push(() => compiler.setPolicy(resolvePolicy(next.document, this.#numbers.rules), 1));
    }
    if (now.spaces !== next.spaces) inputs.push(() => compiler.setSpaces(next.spaces));
    if (next.nowMs > now.nowMs) inputs.push(() => compiler.tick(next.nowMs));
    this.#world = next;
    return inputs;
  }

  flush(): void {
    for (const delta of this.#compiler.flush()) this.#apply(delta);
  }

  /** Gives the number of rests. */
  flushInTurns(): number {
    let rests = 0;
    for (const delta of this.#compiler.flushInTurns()) {
      if (delta === undefined) rests += 1;
      else this.#apply(delta);
    }
    return rests;
  }

  #apply(delta: HostDelta): void {
    const mirror = this.mirrors.get(delta.hostId) ?? new HostMirror();
    this.mirrors.set(delta.hostId, mirror);
    mirror.apply(delta);
  }

  /** What every agent holds, and the compiler's own idea of it. */
  state() {
    const hosts = [...this.mirrors.keys()].sort();
    return hosts.map((id) => {
      const mirror = new HostMirror();
      const snapshot = this.#compiler.snapshot(id);
      if (snapshot !== undefined) mirror.apply(snapshot);
      const held = this.mirrors.get(id)?.state();
      expect(mirror.state(), `snapshot of ${id} against what its deltas gave`).toEqual(held);
      return { id, held };
    });
  }
}

interface Numbers {
  readonly identities: ReturnType<typeof identityNumbers>;
  readonly classes: ReturnType<typeof identityNumbers>;
  readonly rules: ReturnType<typeof ruleNumbers>;
}

const newNumbers = (): Numbers => {
  const classes = identityNumbers();
  // Class numbers of a from-scratch compile must be those of the chain: tests keep what the store may forget.
  return { identities: identityNumbers(), classes: { ...classes, release: () => {} }, rules: ruleNumbers() };
};

function fromScratch(world: World, numbers: Numbers) {
  const fleet = new Fleet(numbers);
  for (const input of fleet.inputs(world)) input();
  fleet.flush();
  return fleet.state();
}

/** Runs worlds one after the other; `cut` decides how the inputs of each step are given and flushed. */
function run(
  worlds: readonly World[],
  cut: (fleet: Fleet, inputs: (() => void)[], index: number) => boolean,
  numbers = newNumbers(),
) {
  const fleet = new Fleet(numbers);
  worlds.forEach((world, index) => {
    const flushed = cut(fleet, fleet.inputs(world), index);
    if (flushed) expect(fleet.state(), `state ${index}: ${STEPS[index]?.[0]}`).toEqual(fromScratch(world, numbers));
  });
}

const all = (inputs: (() => void)[]) => {
  for (const input of inputs) input();
};
const forward = (fleet: Fleet, inputs: (() => void)[]) => {
  all(inputs);
  fleet.flush();
  return true;
};
/** Time does not run backwards: a reversed chain keeps the latest time throughout. */
const timeless = (worlds: readonly World[]) => worlds.map((world) => ({ ...world, nowMs: STATES.at(-1)?.nowMs ?? 0 }));

describe(`state chains of ${STATES.length} states give what a from-scratch compile gives`, () => {
  it('has at least 40 states, each policy well formed', () => {
    expect(STATES.length).toBeGreaterThanOrEqual(40);
    for (const [index, state] of STATES.entries()) expect(checkDocument(state.document), STEPS[index]?.[0]).toEqual([]);
  });

  it('forward', () => run(STATES, forward));

  it('reversed', () => run(timeless(STATES).reverse(), forward));

  it('split: a flush after every single input', () =>
    run(STATES, (fleet, inputs) => {
      for (const input of inputs) {
        input();
        fleet.flush();
      }
      return true;
    }));

  it('split, inputs of each step in reverse order', () =>
    run(STATES, (fleet, inputs) => {
      for (const input of inputs.reverse()) {
        input();
        fleet.flush();
      }
      return true;
    }));

  it.each([2, 3, 7, STATES.length])('squashed: one flush every %i states', (every) =>
    run(STATES, (fleet, inputs, index) => {
      all(inputs);
      if ((index + 1) % every !== 0 && index !== STATES.length - 1) return false;
      fleet.flush();
      return true;
    }),
  );

  it('duplicated: every input twice, and a flush that has nothing to do changes nothing', () =>
    run(STATES, (fleet, inputs) => {
      all([...inputs, ...inputs]);
      fleet.flush();
      all(inputs);
      fleet.flush();
      fleet.flush();
      return true;
    }));

  it('there and back: every state with a detour over an earlier one, squashed into one flush', () => {
    const worlds = timeless(STATES);
    const numbers = newNumbers();
    const fleet = new Fleet(numbers);
    worlds.forEach((world, index) => {
      all(fleet.inputs(world));
      all(fleet.inputs(worlds[Math.max(0, index - 5)] ?? world));
      all(fleet.inputs(world));
      fleet.flush();
      expect(fleet.state(), STEPS[index]?.[0]).toEqual(fromScratch(world, numbers));
    });
  });

  it('flushed in turns', () => {
    let rests = 0;
    run(STATES, (fleet, inputs) => {
      all(inputs);
      rests += fleet.flushInTurns();
      return true;
    });
    expect(rests).toBeGreaterThan(0);
  });

  it(`jumps at random (seed ${SEED})`, () => {
    const r = random(SEED);
    const worlds = timeless(STATES);
    run(
      Array.from({ length: 150 }, () => r.pick(worlds)),
      forward,
    );
  });

  it(`random worlds (seed ${SEED})`, { timeout: 120_000 }, () => {
    const r = random(SEED);
    const worlds: World[] = [];
    for (let index = 0; index < 150; index += 1) worlds.push(randomWorld(r, worlds.at(-1) ?? START));
    run(worlds, (fleet, inputs) => {
      for (const input of inputs) {
        input();
        if (r.chance(0.3)) fleet.flush();
      }
      fleet.flush();
      return true;
    });
  });
});

function randomWorld(r: Random, from: World): World {
  const workloads = new Map(from.workloads);
  for (let index = r.below(4); index > 0; index -= 1) {
    let workload: CompilerWorkload = randomWorkload(r, r.below(16));
    if (r.chance(0.2)) {
      const { address } = r.pick([...from.workloads.values(), workload]).addresses[0] ?? {};
      if (address !== undefined) workload = { ...workload, addresses: [{ space: r.pick(['site', 'net']), address }] };
    }
    if (r.chance(0.25)) workloads.delete(workload.id);
    else workloads.set(workload.id, workload);
  }
  const hosts = new Set(
    ['h1', 'h2', 'h3'].filter((id) => (r.chance(0.1) ? !from.hosts.has(id) : from.hosts.has(id) || r.chance(0.3))),
  );
  let { document } = from;
  if (r.chance(0.2)) document = randomDocument(r);
  else if (r.chance(0.3)) {
    const other = randomDocument(r, 2);
    document = {
      ...document,
      rules: [...document.rules.slice(r.below(2)), ...other.rules.map((rule) => ({ ...rule, id: `x${r.below(30)}` }))],
    };
    document = { ...document, rules: [...new Map(document.rules.map((rule) => [rule.id, rule])).values()] };
    for (const key of ['labelGroups', 'ipLists', 'services'] as const) {
      if (document[key].length === 0) document = { ...document, [key]: other[key] };
    }
  }
  if (r.chance(0.15))
    document = { ...document, modes: randomDocument(r).modes, ...groupsOf(document, randomDocument(r)) };
  const spaces = r.chance(0.2) ? r.pick(STATES).spaces : from.spaces;
  return { document, workloads, hosts, spaces, nowMs: START.nowMs };
}

function groupsOf(document: World['document'], other: World['document']) {
  return document.labelGroups.length > 0 ? {} : { labelGroups: other.labelGroups };
}
