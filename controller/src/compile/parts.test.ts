// The nodes of the graph one by one, where a mistake would be hard to read out of a whole compile.
import { formatPrefix, parsePrefix } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import type { IpList, Rule } from '../policy/model.js';
import { EMPTY_DOCUMENT, type PolicyDocument } from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import { address } from '../policy/testing/generate.js';
import { identityNumbers, ruleNumbers } from '../policy/testing/numbers.js';
import { countCapacity, prefixCount } from './capacity.js';
import { CidrClasses } from './cidr-classes.js';
import { createCompiler } from './graph.js';
import { resolvePorts } from './resolve-ports.js';
import type { CompilerWorkload } from './types.js';

const rule = (
  number: number,
  action: 'allow' | 'deny',
  ...ports: [protocol: number, low: number, high: number][]
): Rule => ({
  id: `r${number}`,
  number,
  name: '',
  action,
  ports: ports.map(([protocol, low, high]) => ({ protocol, low, high })),
  providedBy: { anyone: true, selector: undefined, ipLists: [] },
  usedBy: { anyone: true, selector: undefined, ipLists: [] },
  inbound: true,
  outbound: true,
  same: [],
  differs: [],
  constraints: 0,
  enabled: true,
  expiresMs: undefined,
  ruleSet: '',
});
const table = (...rules: Rule[]) =>
  resolvePorts(rules).map((e) => `${e.protocol}/${e.portLow}-${e.portHigh} ${e.allow ? 'allow' : 'deny'} ${e.rule}`);

describe('resolvePorts', () => {
  it('cuts overlapping ranges so that each port has one entry', () => {
    expect(table(rule(1, 'allow', [6, 10, 20]), rule(2, 'deny', [6, 15, 30]))).toEqual([
      '6/10-14 allow 1',
      '6/15-30 deny 2',
    ]);
  });

  it('lets a deny for any protocol win over a narrower allow, which then says nothing', () => {
    expect(table(rule(1, 'allow', [6, 80, 80]), rule(2, 'deny', [256, 0, 65535]))).toEqual(['256/0-65535 deny 2']);
  });

  it('keeps the lowest rule where several allow, and joins neighbours with one answer', () => {
    expect(table(rule(2, 'allow', [6, 0, 65535]), rule(1, 'allow', [6, 80, 80], [6, 81, 81]))).toEqual([
      '6/0-65535 allow 2',
      '6/80-81 allow 1',
    ]);
  });

  it('never makes a joined range look like the whole protocol', () => {
    expect(table(rule(1, 'allow', [6, 0, 99], [6, 100, 65535]), rule(2, 'allow', [6, 0, 65535]))).toEqual([
      '6/0-65535 allow 2',
      '6/0-32767 allow 1',
      '6/32768-65535 allow 1',
    ]);
  });
});

describe('prefixCount', () => {
  it.each([
    [0, 65535, 1],
    [80, 80, 1],
    [1024, 65535, 6],
    [1, 65534, 30],
    [8000, 8080, 3],
  ])('%i to %i needs %i', (portLow, portHigh, count) => {
    expect(prefixCount({ protocol: 6, portLow, portHigh })).toBe(count);
  });
});

describe('CidrClasses', () => {
  const list = (name: string, include: string[], exclude: string[] = []): IpList => {
    const parse = (text: string) => {
      const prefix = parsePrefix(text);
      if ('problem' in prefix) throw new Error(prefix.problem);
      return prefix;
    };
    return { name, include: include.map(parse), exclude: exclude.map(parse) };
  };
  const classes = new CidrClasses(identityNumbers());
  classes.set([
    list('a', ['10.0.0.0/8'], ['10.9.0.0/16']),
    list('b', ['10.9.0.0/16', '10.1.0.0/16']),
    list('six', ['::/0']),
  ]);
  const shown = (...lists: string[]) =>
    classes.viewOf(new Set(lists)).map((c) => `${formatPrefix(c.prefix)} ${c.classId}`);

  it('gives a host only the prefixes at which its own lists begin or end', () => {
    const [a] = classes.classesOf('a');
    expect(classes.classesOf('a')).toHaveLength(2);
    expect(shown('a')).toEqual([`10.0.0.0/8 ${a}`, '10.9.0.0/16 0']);
    expect(shown()).toEqual([]);
  });

  it('ends an IPv6 list where IPv4 begins', () => {
    const [six] = classes.classesOf('six');
    expect(shown('six')).toEqual([`::/0 ${six}`, '0.0.0.0/0 0']);
  });
});

describe('compiler', () => {
  const workload = (id: string, role: string, hostId: string, text: string): CompilerWorkload => ({
    id,
    labels: { role, ignored: id },
    hostId,
    localId: `container:${id}`,
    addresses: [{ space: '', address: address(text) }],
    isolated: false,
    reject: true,
  });
  const policy = (change: Partial<PolicyDocument>) => resolvePolicy({ ...EMPTY_DOCUMENT, ...change }, numbers);
  const numbers = ruleNumbers();
  const start = () => {
    const identities = identityNumbers();
    const compiler = createCompiler({ identities, classes: identityNumbers(), quarantineMs: 1000 });
    compiler.setHost('h1');
    compiler.setHost('h2');
    compiler.setHost('h3');
    compiler.setWorkload(workload('web', 'web', 'h1', '10.0.0.1'));
    compiler.setWorkload(workload('db', 'db', 'h2', '10.0.0.2'));
    compiler.setWorkload(workload('other', 'other', 'h3', '10.0.0.3'));
    compiler.setPolicy(
      policy({ rules: [{ id: 'r', service: ['tcp/1'], providedBy: 'role=db', usedBy: 'role=web' }] }),
      1,
    );
    compiler.flush();
    return { compiler, identities };
  };

  it('tells only the hosts whose sets name the changed workload', () => {
    const { compiler } = start();
    compiler.setWorkload(workload('web2', 'web', 'h3', '10.0.0.4'));
    const deltas = compiler.flush();
    expect(deltas.map((delta) => delta.hostId)).toEqual(['h2', 'h3']);
    const [h2] = deltas;
    expect(h2?.sets).toEqual([]);
    expect(h2?.bindings.map((binding) => binding.identity)).toEqual([compiler.identityOf('web')]);
  });

  it('sends nothing for a change that policy does not care about', () => {
    const { compiler } = start();
    compiler.setWorkload(workload('other', 'other', 'h3', '10.0.0.33'));
    expect(compiler.flush()).toEqual([]);
  });

  it('gives workloads with equal relevant labels one identity and lets its number rest when the last is gone', () => {
    const { compiler, identities } = start();
    const number = compiler.identityOf('web');
    compiler.setWorkload(workload('web2', 'web', 'h2', '10.0.0.4'));
    compiler.flush();
    expect(compiler.identityOf('web2')).toBe(number);
    expect(compiler.workloadsOf(number)).toEqual(['web', 'web2']);
    compiler.tick(500);
    compiler.removeWorkload('web');
    compiler.removeWorkload('web2');
    compiler.flush();
    expect(compiler.identityOf('web')).toBe(0);
    expect(compiler.nextDeadlineMs()).toBe(1500);
    compiler.tick(1499);
    expect([...identities.live.values()]).toContain(number);
    compiler.tick(1500);
    expect([...identities.live.values()]).not.toContain(number);
  });

  it('counts the kernel entries that a host needs', () => {
    const { compiler } = start();
    const state = compiler.snapshot('h2');
    expect(state && countCapacity(state)).toEqual({
      hostId: 'h2',
      tables: { rf_endpoints: 1, rf_peers: 1, rf_shared: 0, rf_cidrs: 0, rf_nat: 0, rf_groups: 2, rf_ports: 1 },
    });
    expect(compiler.snapshot('nobody')).toBeUndefined();
  });
});

describe('entryFor', () => {
  it('keeps a rule that wants one dimension both the same and different from naming anybody', () => {
    const selected = { anyone: false, selector: { kind: 'every' as const }, ipLists: [] };
    const odd: Rule = {
      ...rule(1, 'allow', [6, 1, 1]),
      providedBy: selected,
      usedBy: selected,
      same: ['role'],
      differs: ['role'],
    };
    const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
    compiler.setHost('h');
    compiler.setWorkload({
      id: 'a',
      labels: { role: 'x' },
      hostId: 'h',
      localId: 'a',
      addresses: [{ space: '', address: address('10.0.0.1') }],
      isolated: false,
      reject: false,
    });
    compiler.setPolicy({ rules: [odd], ipLists: new Map(), modes: [], tests: [] }, 1);
    expect(compiler.flush()[0]?.sets).toEqual([]);
  });
});
