// The parts of the map that know nothing of a browser.
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { LabelRequirement_Operator } from '../../gen/ringfence/v1/admin_common_pb.js';
import { FlowGraphSchema } from '../../gen/ringfence/v1/admin_flows_pb.js';
import { Verdict } from '../../gen/ringfence/v1/common_pb.js';
import { address, bytes, plural, service } from '../../ui/format.js';
import { readFilterText } from './filter-text.js';
import { layOut } from './layout.js';
import { foldGraph, joinMaps, type MapNode, withBefore } from './model.js';
import { commonLabels, ruleFile, ruleId } from './rule-text.js';
import { groupKeyOf, labelsOfKey, readView, usualDimension } from './view.js';

const { IN, NOT_IN } = LabelRequirement_Operator;

test('readFilterText: labels, sides, services and keys become a filter; the rest is searched for; what is neither is said', () => {
  const { filter, words, problems } = readFilterText(
    'role=db role=cache from:app=web to:role!=db tcp/80-90 udp port:53 host:h1 rule:x Web  nope:1 to:',
  );
  expect(filter).toEqual({
    protocols: [6, 17],
    ports: [
      { low: 80, high: 90 },
      { low: 53, high: 53 },
    ],
    rules: ['x'],
    either: {
      selector: { requirements: [{ dimension: 'role', operator: IN, values: ['db', 'cache'] }] },
      workloads: [],
      addresses: [],
      hosts: ['h1'],
    },
    source: {
      selector: { requirements: [{ dimension: 'app', operator: IN, values: ['web'] }] },
      workloads: [],
      addresses: [],
      hosts: [],
    },
    destination: {
      selector: { requirements: [{ dimension: 'role', operator: NOT_IN, values: ['db'] }] },
      workloads: [],
      addresses: [],
      hosts: [],
    },
  });
  expect(words).toEqual(['web', 'to:']);
  expect(problems).toEqual(['nope:1']);
  expect(readFilterText('')).toEqual({ filter: {}, words: [], problems: [] });
});

test('readView: what stands in an address, and nothing that does not', () => {
  expect(readView(new URLSearchParams())).toMatchObject({
    level: 'groups',
    by: ['app'],
    window: '1h',
    range: undefined,
    draft: false,
  });
  const view = readView(
    new URLSearchParams('by=app,env&in=app=shop,env=prod&v=blocked,nonsense&t=9y&from=5&to=3&view=draft&sel=n:x'),
  );
  expect(view).toMatchObject({
    level: 'members',
    by: ['app', 'env'],
    verdicts: ['blocked'],
    window: '1h',
    range: undefined,
    draft: true,
  });
  expect(readView(new URLSearchParams('in=app=shop&wl=h/container:x&from=3&to=5'))).toMatchObject({
    level: 'processes',
    range: { fromMs: 3, toMs: 5 },
  });
});

test('usualDimension: applications, else roles, else what there is', () => {
  expect([['env', 'app'], ['env', 'role'], ['env'], []].map(usualDimension)).toEqual(['app', 'role', 'env', 'app']);
});

test('keys of groups: in the order of the dimensions, without those that are missing, and back', () => {
  const labels = [
    { dimension: 'env', value: 'prod' },
    { dimension: 'app', value: 'shop=1' },
  ];
  expect(groupKeyOf(labels, ['app', 'loc', 'env'])).toBe('app=shop=1,env=prod');
  expect(labelsOfKey('app=shop=1,env=prod')).toEqual([labels[1], labels[0]]);
  expect(groupKeyOf(labels, ['loc'])).toBe('outside');
});

const node = (key: string): MapNode => ({ key, kind: 'group', title: key, labels: [], cluster: '', inside: false });

function graph(verdict: Verdict, bytesForward: bigint) {
  const sums = { bytesForward, count: 2n, firstSeenUs: 5n, lastSeenUs: 9n };
  const services = [
    {
      protocol: 6,
      port: 80,
      verdict,
      sums,
      processes: ['a'],
      decisions: [{ reason: 1, rule: 3, ruleId: 'r', count: 2n, direction: 2 }],
    },
  ];
  return create(FlowGraphSchema, {
    nodes: [1, 2, 3].map((id) => ({
      id,
      labels: [
        { dimension: 'app', value: id === 3 ? 'b' : 'a' },
        { dimension: 'n', value: String(id) },
      ],
    })),
    edges: [
      { source: 1, destination: 3, services, sums, verdict },
      { source: 2, destination: 3, services, sums, verdict },
      { source: 1, destination: 2, services, sums, verdict },
    ],
    records: 6n,
  });
}

test('foldGraph: ends that share a place are one node; their edges add up, and traffic among them becomes its own', () => {
  const map = foldGraph(graph(Verdict.ALLOWED, 10n), (labels) =>
    node(labels.find(({ dimension }) => dimension === 'app')?.value ?? ''),
  );
  expect(map.nodes.map(({ key }) => key)).toEqual(['a', 'b']);
  const [there, own] = map.edges;
  expect(there).toMatchObject({
    key: 'a > b',
    verdict: 'allowed',
    sums: { bytesForward: 20, count: 4, firstSeenUs: 5, lastSeenUs: 9 },
  });
  expect(there?.services).toHaveLength(1);
  expect(there?.services[0]?.decisions).toEqual([
    { $typeName: expect.any(String), reason: 1, rule: 3, ruleId: 'r', count: 4, direction: 2 },
  ]);
  expect(own).toMatchObject({ key: 'a > a', sums: { bytesForward: 10 } });
});

test('joinMaps and withBefore: verdicts lie side by side, the worst names the edge, and what differs is told', () => {
  const place = (labels: readonly { readonly value: string }[]) => node(labels[0]?.value ?? '');
  const [allowed, blocked] = [
    foldGraph(graph(Verdict.ALLOWED, 10n), place),
    foldGraph(graph(Verdict.BLOCKED, 1n), place),
  ];
  const joined = joinMaps(allowed, blocked);
  expect(joined.edges[0]).toMatchObject({ verdict: 'blocked', sums: { bytesForward: 22 } });
  expect(joined.edges[0]?.services.map(({ verdict }) => verdict)).toEqual(['allowed', 'blocked']);
  expect(withBefore(blocked, allowed).edges[0]?.before).toBe('allowed');
  expect(withBefore(blocked, blocked).edges[0]?.before).toBeUndefined();
});

test('layOut: the same map gives the same picture; what is known stays where it was; nobody stands on another', () => {
  const nodes = Array.from({ length: 60 }, (_, i) => node(`n${i}`));
  const [edge] = foldGraph(graph(Verdict.ALLOWED, 10n), (labels) => node(labels[1]?.value ?? '')).edges;
  if (edge === undefined) throw new Error('found no edge');
  const edges = nodes
    .slice(1)
    .map(({ key }, i) => ({ ...edge, key: `${key} > n${i % 7}`, source: key, target: `n${i % 7}` }));
  const data = { nodes, edges, leftOut: 0, records: 1, notes: [], gaps: [] };
  const first = layOut(data, new Map());
  expect(layOut({ ...data, nodes: [...nodes].reverse() }, new Map())).toEqual(new Map([...first]));
  const more = layOut({ ...data, nodes: [...nodes, node('new')] }, first);
  for (const { key } of nodes) expect(more.get(key)).toEqual(first.get(key));
  const points = [...first.values()];
  const nearest = points.map((a) =>
    Math.min(...points.filter((b) => b !== a).map((b) => Math.hypot(a.x - b.x, a.y - b.y))),
  );
  const extent = Math.max(...points.map(({ x, y }) => Math.hypot(x, y)));
  expect(Math.min(...nearest)).toBeGreaterThan(extent * 0.05);
});

test('ruleFile: plain where YAML reads it so, quoted where it would not', () => {
  const labels = (entries: [string, string[]][]) => ({ kind: 'labels', labels: new Map(entries) }) as const;
  const text = ruleFile({
    id: 'a-to-b',
    services: ['tcp/80', 'icmp/8:0'],
    providedBy: labels([['role', ['db', 'no']]]),
    usedBy: labels([
      ['app', ['1st']],
      ['env', ['a: b']],
    ]),
    same: ['loc'],
    note: 'say "why"',
  });
  expect(text).toBe(
    [
      'rules:',
      '  - id: a-to-b',
      '    service: [tcp/80, "icmp/8:0"]',
      '    providedBy: { label: role, in: [db, "no"] }',
      '    usedBy: { all: [app=1st, "env=a: b"] }',
      '    same: [loc]',
      '    note: "say \\"why\\""',
      '',
    ].join('\n'),
  );
  expect(
    ruleFile({
      id: 'x',
      services: ['tcp/1'],
      providedBy: { kind: 'workload', id: 'h/container:x' },
      usedBy: { kind: 'anyone' },
      same: [],
      note: '',
    }),
  ).toContain('providedBy: { workload: "h/container:x" }\n    usedBy: anyone');
});

test('ruleId and commonLabels', () => {
  expect(ruleId('Shop · prod', 'without app', new Set(['shop-prod-to-without-app']))).toBe(
    'shop-prod-to-without-app-2',
  );
  const label = (dimension: string, value: string) => ({ dimension, value });
  const sets = [
    [label('app', 'a'), label('role', 'x')],
    [label('app', 'b'), label('env', 'p'), label('role', 'x')],
  ];
  expect([...commonLabels(sets)]).toEqual([
    ['app', ['a', 'b']],
    ['role', ['x']],
  ]);
  expect(commonLabels([]).size).toBe(0);
});

test('formats', () => {
  expect([bytes(0), bytes(1023), bytes(1536), bytes(250 * 1024)]).toEqual(['0 B', '1023 B', '1.5 KiB', '250 KiB']);
  expect([service(6, 443), service(1, 8 * 256), service(47, 0)]).toEqual(['tcp/443', 'icmp/8:0', 'protocol/47']);
  expect(plural(1, 'node')).toBe('1 node');
  expect(address(new Uint8Array([10, 0, 0, 1]))).toBe('10.0.0.1');
  expect(address(new Uint8Array([0x20, 1, 0x0d, 0xb8, ...new Array<number>(11).fill(0), 1]))).toBe('2001:db8::1');
});
