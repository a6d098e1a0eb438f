import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { decideCompiledShared } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import { createCompiler } from '../compile/graph.js';
import { HostMirror } from '../compile/testing/host-mirror.js';
import { decidingRule, effectiveMode, evaluate } from './evaluate.js';
import type { Selector } from './model.js';
import { selectorMatches } from './selector.js';
import { policyOf, sideBySide } from './side-by-side.js';
import { randomPolicy, randomTuple, randomWorkload } from './testing/generate.js';
import { identityNumbers } from './testing/numbers.js';
import { random } from './testing/random.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const NOW = Date.parse('2030-01-01T00:00:00Z');
const DIRECTIONS = [Direction.DIRECTION_INBOUND, Direction.DIRECTION_OUTBOUND] as const;
const CANARIES: readonly Selector[] = [
  { kind: 'label', dimension: 'role', values: ['web', 'cache'] },
  { kind: 'not', of: { kind: 'label', dimension: 'env', values: ['prod'] } },
  {
    kind: 'all',
    of: [
      { kind: 'exists', dimension: 'app' },
      { kind: 'label', dimension: 'env', values: ['test'] },
    ],
  },
];

describe(`two policies side by side (seed ${SEED}; repeat with RINGFENCE_SEED)`, () => {
  it('every end is decided by its own policy: rule, verdict, reason and mode', () => {
    const r = random(SEED);
    let differing = 0;
    for (let round = 0; round < 60; round += 1) {
      // Numbers come from the same allocator order, so rules of one number and two contents occur, as after an edit.
      const [base, candidate] = [randomPolicy(r), randomPolicy(r)];
      const canary = CANARIES[round % CANARIES.length] as Selector;
      const merged = sideBySide(base, candidate, canary);
      const workloads = Array.from({ length: 8 }, (_, index) => randomWorkload(r, index));
      const remotes = workloads.flatMap((workload) => workload.addresses.map((at) => at.address));
      for (const subject of workloads) {
        for (let index = 0; index < 20; index += 1) {
          const tuple = randomTuple(r, remotes);
          const candidates = workloads.filter(() => r.below(3) === 0);
          for (const direction of DIRECTIONS) {
            const own = policyOf(base, candidate, canary, subject);
            const wanted = evaluate(own, subject, candidates, tuple, direction, NOW);
            expect(evaluate(merged, subject, candidates, tuple, direction, NOW)).toEqual(wanted);
            const other = own === base ? candidate : base;
            if (evaluate(other, subject, candidates, tuple, direction, NOW).verdict !== wanted.verdict) differing += 1;
          }
        }
      }
    }
    expect(differing).toBeGreaterThan(1000);
  });

  it('compiles to exactly that, on the way in and on the way back to one policy', () => {
    const r = random(SEED + 1);
    for (let round = 0; round < 20; round += 1) {
      const [base, candidate] = [randomPolicy(r), randomPolicy(r)];
      const canary = CANARIES[round % CANARIES.length] as Selector;
      const workloads = Array.from({ length: 10 }, (_, index) => randomWorkload(r, index));
      const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
      compiler.tick(NOW);
      const mirrors = new Map(['h1', 'h2', 'h3'].map((host) => [host, new HostMirror()]));
      for (const host of mirrors.keys()) compiler.setHost(host);
      for (const workload of workloads) compiler.setWorkload(workload);
      const steps = [base, sideBySide(base, candidate, canary), round % 2 === 0 ? candidate : base];
      steps.forEach((policy, step) => {
        compiler.setPolicy(policy, step + 1);
        for (const delta of compiler.flush()) mirrors.get(delta.hostId)?.apply(delta);
        for (const subject of workloads.filter(({ hostId }) => hostId !== '')) {
          const mirror = mirrors.get(subject.hostId) ?? new HostMirror();
          const assignment = mirror.assignments.get(subject.localId);
          const own = step === 1 ? policyOf(base, candidate, canary, subject) : policy;
          for (let index = 0; index < 10; index += 1) {
            const tuple = randomTuple(r, []);
            for (const direction of DIRECTIONS) {
              const inbound = direction === Direction.DIRECTION_INBOUND;
              const behind = mirror.candidates(tuple.remote);
              const peers = workloads.filter((peer) => behind.includes(compiler.identityOf(peer.id)));
              if (peers.length > 0) continue; // known peers are the differential test's; here it is about subjects
              const rule = decidingRule(own, subject, [], tuple, direction, NOW);
              const set = mirror.sets.get((inbound ? assignment?.setIn : assignment?.setOut) ?? '');
              const entry = decideCompiledShared(set, behind, mirror.classOf(tuple.remote), tuple.protocol, tuple.port);
              expect([entry?.rule, entry?.allow]).toEqual([rule?.number, rule && rule.action === 'allow']);
              expect(inbound ? assignment?.modeIn : assignment?.modeOut).toBe(
                effectiveMode(own, subject, direction).mode,
              );
            }
          }
        }
      });
    }
  });

  it('rules and lists that both policies have stay as they are', () => {
    const r = random(SEED + 2);
    const policy = randomPolicy(r);
    const canary = CANARIES[0] as Selector;
    const merged = sideBySide(policy, policy, canary);
    expect(merged.rules).toEqual(policy.rules);
    expect([...merged.ipLists.keys()]).toEqual([...policy.ipLists.keys()]);
    const web = { id: 'w', labels: { role: 'web' } };
    expect(selectorMatches(canary, web)).toBe(true);
  });
});
