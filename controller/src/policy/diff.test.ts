import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { diffDocuments, diffReach } from './diff.js';
import { decidingRule } from './evaluate.js';
import { lint } from './lint.js';
import type { PolicyWorkload } from './model.js';
import { parsePolicy, resolvePolicy } from './parse.js';
import { formatPortSet, intersect, NO_PORTS, portSetOf, subtract, unite } from './port-set.js';
import { parsePorts } from './ports.js';
import { portsAt } from './reach.js';
import { randomPolicy, randomTuple, randomWorkload } from './testing/generate.js';
import { ruleNumbers } from './testing/numbers.js';
import { random } from './testing/random.js';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const documentOf = (text: string) => {
  const { document, problems } = parsePolicy([{ name: 'p.yaml', text }]);
  expect(problems).toEqual([]);
  if (document === undefined) throw new Error('wanted a document');
  return document;
};
const ports = (...texts: string[]) =>
  portSetOf(
    texts.map((text) => {
      const range = parsePorts(text);
      if ('problem' in range) throw new Error(range.problem);
      return range;
    }),
  );

describe('port sets', () => {
  it('compute over every protocol', () => {
    expect(formatPortSet(subtract(ports('any'), ports('tcp/22')))).toBe('any except tcp/22');
    expect(formatPortSet(intersect(subtract(ports('any'), ports('tcp/22')), ports('tcp')))).toBe(
      'tcp/0-21, tcp/23-65535',
    );
    expect(formatPortSet(unite(ports('tcp/80', 'udp'), ports('tcp/81-90')))).toBe('tcp/80-90, udp');
    expect(formatPortSet(unite(subtract(ports('any'), ports('tcp')), ports('tcp')))).toBe('any');
    expect(formatPortSet(subtract(ports('tcp/80'), ports('any')))).toBe('nothing');
    expect(subtract(ports('tcp/80'), ports('tcp/80'))).toEqual(NO_PORTS);
  });

  it('hold what evaluate.ts decides, at random', () => {
    const seed = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const r = random(seed);
    for (let round = 0; round < 150; round += 1) {
      const policy = randomPolicy(r);
      const [subject, peer] = [randomWorkload(r, 0), randomWorkload(r, 1)];
      for (let index = 0; index < 20; index += 1) {
        const tuple = randomTuple(r, []);
        const direction = r.pick([Direction.DIRECTION_INBOUND, Direction.DIRECTION_OUTBOUND] as const);
        const own = { workload: { id: subject.id, labels: subject.labels }, managed: true, address: tuple.remote };
        const set = portsAt(policy, own, { workload: peer, managed: true, address: tuple.remote }, direction, NOW);
        const asked = portSetOf([{ protocol: tuple.protocol, low: tuple.port, high: tuple.port }]);
        const allowed = decidingRule(policy, subject, [peer], tuple, direction, NOW)?.action === 'allow';
        expect(formatPortSet(intersect(set, asked)) !== 'nothing', `seed ${seed}`).toBe(allowed);
      }
    }
  });
});

const before = documentOf(`
services: [{name: pg, ports: [tcp/5432]}]
rules:
  - {id: db, service: pg, providedBy: role=db, usedBy: role=web}
  - {id: old, service: tcp/22, providedBy: role=db, usedBy: role=admin}
`);
const after = documentOf(`
services: [{name: pg, ports: [tcp/5432-5433]}]
rules:
  - {id: db, service: pg, providedBy: role=db, usedBy: role=web, same: [env]}
  - {id: new, service: tcp/80, providedBy: role=web, usedBy: anyone}
`);

describe('diffDocuments', () => {
  it('names what was added, removed, and which fields changed', () => {
    expect(diffDocuments(before, after)).toEqual([
      {
        section: 'rules',
        key: 'db',
        change: 'changed',
        fields: [{ field: 'same', before: undefined, after: '["env"]' }],
      },
      { section: 'rules', key: 'new', change: 'added', fields: [] },
      { section: 'rules', key: 'old', change: 'removed', fields: [] },
      {
        section: 'services',
        key: 'pg',
        change: 'changed',
        fields: [{ field: 'ports', before: '["tcp/5432"]', after: '["tcp/5432-5433"]' }],
      },
    ]);
    expect(diffDocuments(after, after)).toEqual([]);
  });
});

describe('diffReach', () => {
  const workloads: PolicyWorkload[] = [
    { id: 'w1', labels: { role: 'web', env: 'prod', loc: 'ams' } },
    { id: 'w2', labels: { role: 'web', env: 'prod', loc: 'fra' } },
    { id: 'w3', labels: { role: 'web', env: 'test' } },
    { id: 'd1', labels: { role: 'db', env: 'prod' } },
  ];

  it('names pairs of label sets that gain or lose ports, equal workloads once', () => {
    const numbers = ruleNumbers();
    const diff = diffReach(resolvePolicy(before, numbers), resolvePolicy(after, numbers), workloads, NOW);
    const shown = diff.changes.map(({ from, to, gained, lost }) => [
      from.members,
      to.members,
      formatPortSet(gained),
      formatPortSet(lost),
    ]);
    expect(shown).toContainEqual([['w1', 'w2'], ['d1'], 'tcp/5433', 'nothing']);
    expect(shown).toContainEqual([['w3'], ['d1'], 'nothing', 'tcp/5432']);
    expect(shown).toContainEqual([['d1'], ['w1', 'w2'], 'tcp/80', 'nothing']);
    expect(diff.truncated).toBe(false);
  });

  it('says so when there were more pairs than it may look at', () => {
    const numbers = ruleNumbers();
    expect(diffReach(resolvePolicy(before, numbers), resolvePolicy(after, numbers), workloads, NOW, 1)).toMatchObject({
      truncated: true,
      pairs: 1,
    });
  });
});

describe('lint', () => {
  const policy = resolvePolicy(
    documentOf(`
rules:
  - {id: a-wide, service: tcp/1-100, providedBy: role=db, usedBy: workloads}
  - {id: b-narrow, service: tcp/50, providedBy: {all: [role=db, env=prod]}, usedBy: role=web}
  - {id: c-deny, action: deny, service: any, providedBy: role=cache, usedBy: anyone}
  - {id: d-never, service: tcp/6379, providedBy: {all: [role=cache, env=prod]}, usedBy: role=web}
  - {id: e-some, service: tcp/9, providedBy: env=prod, usedBy: role=web}
  - {id: f-nobody, service: tcp/7, providedBy: role=ghost, usedBy: role=web}
  - {id: g-all, service: any, providedBy: workloads, usedBy: workloads}
  - {id: h-app, service: any, providedBy: workloads, usedBy: workloads, same: [app]}
  - {id: i-old, service: tcp/5, providedBy: role=db, usedBy: role=web, expires: "2029-01-01T00:00:00Z"}
modes:
  - {id: ghosts, match: role=ghost, mode: enforce}
`),
    ruleNumbers(),
  );
  const workloads: PolicyWorkload[] = [
    { id: '1', labels: { role: 'db', env: 'prod' } },
    { id: '2', labels: { role: 'cache', env: 'prod' } },
    { id: '3', labels: { role: 'web' } },
  ];
  const found = (kind: string) =>
    lint(policy, { workloads, hits: new Map([[1, 5]]), nowMs: NOW })
      .filter((finding) => finding.kind === kind)
      .map((finding) => (finding.other === '' ? finding.rule : `${finding.rule} by ${finding.other}`));

  it('finds what is redundant, shadowed, in conflict', () => {
    expect(found('redundant')).toContain('b-narrow by a-wide');
    expect(found('redundant')).toContain('h-app by g-all');
    expect(found('redundant')).not.toContain('a-wide by b-narrow');
    expect(found('shadowed')).toEqual(['d-never by c-deny']);
    expect(found('conflict')).toContain('e-some by c-deny');
  });

  it('finds what is too broad, matches nobody, expired, or was never hit', () => {
    expect(found('broad')).toEqual(['g-all']);
    expect(found('nobody')).toEqual(['f-nobody', 'ghosts']);
    expect(found('expired')).toEqual(['i-old']);
    expect(found('unused')).not.toContain('a-wide');
    expect(found('unused')).toContain('b-narrow');
  });
});
