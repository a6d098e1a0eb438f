import { parseAddress } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import { type ConnectionEnd, NOWHERE } from './connection.js';
import { parsePolicy, resolvePolicy } from './parse.js';
import { simulate } from './simulate.js';
import { ruleNumbers } from './testing/numbers.js';

const numbers = ruleNumbers();
const policy = (text: string) => {
  const { document } = parsePolicy([{ name: 'p', text }]);
  if (document === undefined) throw new Error('wanted a document');
  return resolvePolicy(document, numbers);
};
const end = (id: string, labels: Record<string, string>): ConnectionEnd => ({
  workload: { id, labels },
  managed: true,
  address: NOWHERE,
});
const outside: ConnectionEnd = { workload: undefined, managed: false, address: parseAddress('192.0.2.1') ?? NOWHERE };
const [web1, web2, db] = [
  end('w1', { role: 'web', env: 'a' }),
  end('w2', { role: 'web', env: 'b' }),
  end('d', { role: 'db' }),
];

const live = policy(`
rules: [{id: pg, service: tcp/5432, providedBy: role=db, usedBy: role=web}]
modes: [{id: m, match: workloads, mode: enforce}]
`);
const draft = policy(`
rules:
  - {id: pg, service: tcp/5432, providedBy: role=db, usedBy: env=a}
  - {id: www, service: tcp/80, providedBy: role=web, usedBy: anyone}
modes: [{id: m, match: role=db, mode: enforce}]
`);
const connections = [
  { from: web1, to: db, protocol: 6, port: 5432, count: 3, lastSeenMs: 10 },
  { from: web2, to: db, protocol: 6, port: 5432, count: 4, lastSeenMs: 30 },
  { from: web2, to: db, protocol: 6, port: 5432, count: 1, lastSeenMs: 20 },
  { from: outside, to: web1, protocol: 6, port: 80, count: 7, lastSeenMs: 5 },
];

describe('simulate', () => {
  it('groups by label pair with counts, last seen and the reason in the draft', () => {
    expect(simulate(live, draft, connections, { dimensions: ['role'], enforced: false, nowMs: 0 })).toEqual([
      {
        outcome: 'newly blocked',
        from: 'role=web',
        to: 'role=db',
        protocol: 6,
        port: 5432,
        connections: 5,
        lastSeenMs: 30,
        why: 'out by no rule, in by no rule',
      },
      {
        outcome: 'newly allowed',
        from: '192.0.2.1',
        to: 'role=web',
        protocol: 6,
        port: 80,
        connections: 7,
        lastSeenMs: 5,
        why: 'in allow by rule www',
      },
      {
        outcome: 'unchanged',
        from: 'role=web',
        to: 'role=db',
        protocol: 6,
        port: 5432,
        connections: 3,
        lastSeenMs: 10,
        why: 'out allow by rule pg, in allow by rule pg',
      },
    ]);
  });

  it('judges by the rules alone when asked as if all were enforced', () => {
    const loose = policy('rules: []\nmodes: []\n');
    const outcomes = (enforced: boolean) =>
      simulate(live, loose, connections, { dimensions: ['role'], enforced, nowMs: 0 }).map(
        ({ outcome, port }) => `${outcome} ${port}`,
      );
    expect(outcomes(false)).toEqual(['newly allowed 80', 'unchanged 5432']);
    expect(outcomes(true)).toEqual(['newly blocked 5432', 'unchanged 80']);
  });
});
