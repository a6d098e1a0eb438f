import { parseAddress } from '@ringfence/proto/address.js';
import { Direction, Mode, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { type ConnectionEnd, explainConnection, NOWHERE, runTests, summarise } from './connection.js';
import { evaluate } from './evaluate.js';
import type { Labels } from './model.js';
import { parsePolicy, resolvePolicy } from './parse.js';
import { ruleNumbers } from './testing/numbers.js';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const IN = Direction.DIRECTION_INBOUND;
const OUT = Direction.DIRECTION_OUTBOUND;

function policyOf(text: string) {
  const { document, problems } = parsePolicy([{ name: 'p.yaml', text }]);
  expect(problems).toEqual([]);
  if (document === undefined) throw new Error('wanted a document');
  return resolvePolicy(document, ruleNumbers());
}

const end = (labels: Labels, more: Partial<ConnectionEnd> = {}): ConnectionEnd => ({
  workload: { id: '', labels },
  managed: true,
  address: NOWHERE,
  ...more,
});
const outside = (text: string): ConnectionEnd => ({
  workload: undefined,
  managed: false,
  address: parseAddress(text) ?? NOWHERE,
});
const tcp = (port: number) => ({ protocol: 6, port });

const credit = policyOf(`
rules:
  - {id: credit, service: tcp/8080, providedBy: role=creditStatus, usedBy: role=creditCheck}
  - {id: same-app, service: any, providedBy: workloads, usedBy: workloads, same: app}
`);

describe('the published example: credit check, and one application', () => {
  const status = end({ role: 'creditStatus', app: 'status' });
  const check = end({ role: 'creditCheck', app: 'check' });

  it('allows the one role to use the other on that port, not the other way round', () => {
    expect(explainConnection(credit, check, status, tcp(8080), NOW).allowed).toBe(true);
    expect(explainConnection(credit, check, status, tcp(8081), NOW).allowed).toBe(false);
    expect(explainConnection(credit, status, check, tcp(8080), NOW).allowed).toBe(false);
  });

  it('allows any two workloads with the same app, and says by which rule', () => {
    const explanation = explainConnection(credit, end({ app: 'x', role: 'a' }), end({ app: 'x' }), tcp(22), NOW);
    expect(explanation.allowed).toBe(true);
    expect(summarise(explanation)).toBe('out allow by rule same-app, in allow by rule same-app');
    expect(explainConnection(credit, end({}), end({}), tcp(22), NOW).allowed).toBe(false);
  });

  it('names why each rule about the subject did not match', () => {
    const { inbound } = explainConnection(credit, end({ role: 'other' }), status, tcp(8080), NOW);
    expect(inbound?.considered.map(({ rule, mismatch }) => [rule.id, mismatch])).toEqual([
      ['credit', 'peer'],
      ['same-app', 'relation'],
    ]);
    expect(inbound?.deciding).toBeUndefined();
  });
});

describe('evaluate', () => {
  const policy = policyOf(`
ipLists:
  - {name: office, include: [10.0.0.0/8], exclude: [10.9.0.0/16]}
rules:
  - {id: a-web, service: tcp/80, providedBy: role=web, usedBy: anyone}
  - {id: b-lab, action: deny, service: tcp, providedBy: role=web, usedBy: env=lab}
  - {id: c-ssh, service: tcp/22, providedBy: workloads, usedBy: {ipList: office}, direction: inbound}
  - {id: d-old, service: any, providedBy: workloads, usedBy: workloads, expires: "2029-01-01T00:00:00Z"}
  - {id: e-front, service: udp/53, providedBy: role=dns, usedBy: {not: role=web}}
modes:
  - {id: base, match: workloads, mode: test}
  - {id: web, match: role=web, direction: inbound, mode: enforce}
  - {id: quiet, match: env=quiet, mode: visibility, priority: 5}
`);
  const web = { id: 'w', labels: { role: 'web' } };
  const from = (text: string) => parseAddress(text) ?? NOWHERE;

  it('puts a deny over an allow, and without either denies implicitly', () => {
    const lab = { id: 'l', labels: { env: 'lab' } };
    expect(evaluate(policy, web, [lab], { ...tcp(80), remote: from('192.0.2.1') }, IN, NOW)).toEqual({
      verdict: Verdict.VERDICT_BLOCKED,
      reason: Reason.REASON_RULE_DENY,
      rule: 2,
      mode: Mode.MODE_ENFORCE,
    });
    expect(evaluate(policy, web, [], { ...tcp(81), remote: from('192.0.2.1') }, IN, NOW)).toMatchObject({
      verdict: Verdict.VERDICT_BLOCKED,
      reason: Reason.REASON_IMPLICIT_DENY,
      rule: 0,
    });
  });

  it('lets the first allowed candidate of a shared address win', () => {
    const [lab, other] = [
      { id: 'l', labels: { env: 'lab' } },
      { id: 'o', labels: {} },
    ];
    const tuple = { ...tcp(80), remote: from('192.0.2.1') };
    expect(evaluate(policy, web, [lab, other], tuple, IN, NOW)).toMatchObject({
      reason: Reason.REASON_RULE_ALLOW,
      rule: 1,
    });
    expect(evaluate(policy, web, [lab, lab], tuple, IN, NOW)).toMatchObject({
      reason: Reason.REASON_RULE_DENY,
      rule: 2,
    });
  });

  it('matches IP lists by address, known peer or not, less their exclusions, and inbound only where so said', () => {
    const ssh = (remote: string, direction: typeof IN | typeof OUT) =>
      evaluate(policy, web, [{ id: 'x', labels: {} }], { ...tcp(22), remote: from(remote) }, direction, NOW).reason;
    expect(ssh('10.1.1.1', IN)).toBe(Reason.REASON_RULE_ALLOW);
    expect(ssh('10.9.1.1', IN)).toBe(Reason.REASON_IMPLICIT_DENY);
    expect(ssh('10.1.1.1', OUT)).toBe(Reason.REASON_IMPLICIT_DENY);
  });

  it('ignores a rule from the instant it expires', () => {
    const tuple = { ...tcp(9), remote: NOWHERE };
    const at = (text: string) => evaluate(policy, web, [web], tuple, OUT, Date.parse(text)).reason;
    expect(at('2028-12-31T23:59:59Z')).toBe(Reason.REASON_RULE_ALLOW);
    expect(at('2029-01-01T00:00:00Z')).toBe(Reason.REASON_IMPLICIT_DENY);
  });

  it('matches a negation also where the dimension is missing, but never an unknown peer', () => {
    const dns = { id: 'd', labels: { role: 'dns' } };
    const tuple = { protocol: 17, port: 53, remote: NOWHERE };
    expect(evaluate(policy, dns, [{ id: 'n', labels: {} }], tuple, IN, NOW).reason).toBe(Reason.REASON_RULE_ALLOW);
    expect(evaluate(policy, dns, [web], tuple, IN, NOW).reason).toBe(Reason.REASON_IMPLICIT_DENY);
    expect(evaluate(policy, dns, [], tuple, IN, NOW).reason).toBe(Reason.REASON_IMPLICIT_DENY);
  });

  it('decides alike in every mode and changes only the verdict', () => {
    const tuple = { ...tcp(81), remote: NOWHERE };
    const of = (labels: Labels, direction: typeof IN | typeof OUT) =>
      evaluate(policy, { id: 'x', labels }, [], tuple, direction, NOW);
    expect(of({ role: 'web' }, IN)).toMatchObject({ verdict: Verdict.VERDICT_BLOCKED, mode: Mode.MODE_ENFORCE });
    expect(of({ role: 'web' }, OUT)).toMatchObject({ verdict: Verdict.VERDICT_WOULD_BLOCK, mode: Mode.MODE_TEST });
    expect(of({ role: 'web', env: 'quiet' }, IN)).toMatchObject({
      verdict: Verdict.VERDICT_ALLOWED,
      reason: Reason.REASON_IMPLICIT_DENY,
      mode: Mode.MODE_VISIBILITY,
    });
  });

  it('blocks an isolated workload whatever rules and modes say', () => {
    const isolated = { id: 'q', labels: { role: 'web', env: 'quiet' }, isolated: true };
    expect(evaluate(policy, isolated, [], { ...tcp(80), remote: NOWHERE }, IN, NOW)).toMatchObject({
      verdict: Verdict.VERDICT_BLOCKED,
      reason: Reason.REASON_ISOLATED,
      rule: 0,
    });
  });

  it('treats dimensions named like object properties as any other', () => {
    const odd = policyOf(`
dimensions: [{name: constructor}]
rules: [{id: odd, service: any, providedBy: {label: constructor, exists: true}, usedBy: workloads}]
`);
    const tuple = { ...tcp(1), remote: NOWHERE };
    expect(evaluate(odd, { id: 'a', labels: {} }, [web], tuple, IN, NOW).reason).toBe(Reason.REASON_IMPLICIT_DENY);
    expect(evaluate(odd, { id: 'a', labels: { constructor: 'x' } }, [web], tuple, IN, NOW).reason).toBe(
      Reason.REASON_RULE_ALLOW,
    );
  });
});

describe('scopes', () => {
  const policy = policyOf(`
ruleSets:
  - id: shop
    scope: [app=shop, env]
    rules:
      - {id: db, service: tcp/5432, providedBy: role=db, usedBy: role=web}
      - {id: front, service: tcp/80, providedBy: role=web, usedBy: anyone}
`);
  const shop = (role: string, env: string) => end({ app: 'shop', role, env });

  it('hold inside one environment of the shop only', () => {
    expect(explainConnection(policy, shop('web', 'prod'), shop('db', 'prod'), tcp(5432), NOW).allowed).toBe(true);
    expect(explainConnection(policy, shop('web', 'prod'), shop('db', 'test'), tcp(5432), NOW).allowed).toBe(false);
    expect(
      explainConnection(policy, end({ app: 'mail', role: 'web', env: 'prod' }), shop('db', 'prod'), tcp(5432), NOW)
        .allowed,
    ).toBe(false);
  });

  it('leave anyone outside: the end in the scope decides, the other agrees', () => {
    expect(explainConnection(policy, outside('192.0.2.1'), shop('web', 'prod'), tcp(80), NOW).allowed).toBe(true);
    const other = end({ app: 'mail', env: 'test' });
    expect(explainConnection(policy, other, shop('web', 'prod'), tcp(80), NOW).allowed).toBe(true);
    expect(explainConnection(policy, other, end({ role: 'web' }), tcp(80), NOW).allowed).toBe(false);
  });
});

describe('runTests', () => {
  it('passes and fails by the rules at both ends, and fails for a workload that does not exist', () => {
    const policy = policyOf(`
rules: [{id: r, service: tcp/80, providedBy: role=web, usedBy: role=lb, direction: inbound}]
tests:
  - {name: half, from: {labels: {role: lb}}, to: {labels: {role: web}}, service: tcp/80, expect: allowed}
  - {name: other port, from: {labels: {role: lb}}, to: {labels: {role: web}}, service: tcp/81, expect: blocked}
  - {name: missing, from: {workload: nobody}, to: {labels: {role: web}}, service: tcp/80, expect: blocked}
`);
    expect(runTests(policy, () => undefined, NOW).map(({ passed, message }) => [passed, message])).toEqual([
      [false, 'test half: found blocked (out by no rule, in allow by rule r), wanted allowed'],
      [false, 'Cannot run test missing: found no workload nobody, wanted one'],
      [true, 'test other port: found blocked (out by no rule, in by no rule), wanted blocked'],
    ]);
  });
});
