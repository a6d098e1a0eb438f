import { isIpv4 } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { decideCompiledShared } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import { decidingRule, effectiveMode } from '../policy/evaluate.js';
import { randomHosts, randomPolicy, randomTuple, randomWorkload } from '../policy/testing/generate.js';
import { identityNumbers } from '../policy/testing/numbers.js';
import { random } from '../policy/testing/random.js';
import { behind } from '../topology/testing/behind.js';
import { Topology } from '../topology/view.js';
import { createCompiler } from './graph.js';
import { HostMirror } from './testing/host-mirror.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const TRIPLES = Number(process.env.RINGFENCE_TRIPLES ?? 100_000);
const NOW = Date.parse('2030-01-01T00:00:00Z');
const DIRECTIONS = [Direction.DIRECTION_INBOUND, Direction.DIRECTION_OUTBOUND] as const;

describe('compiled sets', () => {
  it(`decide as evaluate.ts does (seed ${SEED}, ${TRIPLES} triples; repeat with RINGFENCE_SEED)`, {
    timeout: 240_000,
  }, () => {
    const r = random(SEED);
    let checked = 0;
    const outcomes = new Map<string, number>();
    while (checked < TRIPLES) {
      const policy = randomPolicy(r);
      const workloads = [
        ...Array.from({ length: 4 + r.below(12) }, (_, index) => randomWorkload(r, index)),
        ...randomHosts(r),
      ];
      const topology = new Topology();
      for (const workload of workloads) topology.add(workload);
      topology.settle();
      const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
      compiler.tick(NOW);
      for (const host of ['h1', 'h2', 'h3']) compiler.setHost(host);
      for (const workload of workloads) compiler.setWorkload(workload);
      compiler.setPolicy(policy, 1);
      const mirrors = new Map(
        compiler.flush().map((delta) => {
          const mirror = new HostMirror();
          mirror.apply(delta);
          return [delta.hostId, mirror];
        }),
      );
      const remotes = workloads.flatMap((workload) => workload.addresses.map((at) => at.address));
      for (const subject of workloads.filter((each) => each.hostId !== '')) {
        const mirror = mirrors.get(subject.hostId) ?? new HostMirror();
        const assignment = mirror.assignments.get(subject.localId);
        for (let index = 0; index < 20; index += 1) {
          const tuple = randomTuple(r, remotes);
          // The oracle is given everybody whom this host can see behind the address, in the order of identities.
          const candidates = behind(topology, workloads, subject.hostId, tuple.remote).sort(
            (a, b) => compiler.identityOf(a.id) - compiler.identityOf(b.id),
          );
          for (const direction of DIRECTIONS) {
            const inbound = direction === Direction.DIRECTION_INBOUND;
            const rule = decidingRule(policy, subject, candidates, tuple, direction, NOW);
            const hash = (inbound ? assignment?.setIn : assignment?.setOut) ?? '';
            const entry = decideCompiledShared(
              mirror.sets.get(hash),
              mirror.candidates(tuple.remote),
              mirror.classOf(tuple.remote),
              tuple.protocol,
              tuple.port,
            );
            const got = entry && { number: entry.rule, allow: entry.allow };
            const wanted = rule && { number: rule.number, allow: rule.action === 'allow' };
            if (got?.number !== wanted?.number || got?.allow !== wanted?.allow) {
              expect.fail(
                `seed ${SEED}: ${JSON.stringify({ subject, direction, tuple: { ...tuple, remote: [...tuple.remote] }, candidates: candidates.map((c) => c.id), got, wanted })}`,
              );
            }
            expect(inbound ? assignment?.modeIn : assignment?.modeOut).toBe(
              effectiveMode(policy, subject, direction).mode,
            );
            const kind = `${wanted === undefined ? 'implicit' : wanted.allow ? 'allow' : 'deny'} ${candidates.length > 1 ? 'shared' : candidates.length === 1 ? 'known' : 'unknown'} ${isIpv4(tuple.remote) ? 'v4' : 'v6'}`;
            outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
            checked += 1;
          }
        }
      }
    }
    console.log(
      `differential: ${checked} triples, seed ${SEED}: ${JSON.stringify(Object.fromEntries([...outcomes].sort()))}`,
    );
    // The run is worth something only when every kind of outcome occurred.
    for (const kind of [
      'allow known v4',
      'deny known v4',
      'implicit unknown v4',
      'allow shared v4',
      'allow unknown v6',
    ]) {
      expect(outcomes.get(kind) ?? 0).toBeGreaterThan(0);
    }
  });
});
