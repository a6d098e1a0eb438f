import { describe, expect, it } from 'vitest';
import { portSetOf } from '../port-set.js';
import { parsePorts } from '../ports.js';
import { formatConnections, formatRow, reachReport } from './reach.js';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const rowsOf = (...texts: string[]) => {
  const report = reachReport(
    texts.map((text, index) => ({ name: `f${index}.yaml`, text })),
    NOW,
  );
  expect(report.problems).toEqual([]);
  return report.rows.map(formatRow);
};
const deployment = (name: string, labels: string, more = '', kind = 'Deployment') => `
---
# Source: chart/templates/${name}.yaml
apiVersion: apps/v1
kind: ${kind}
metadata: {name: ${name}}
spec:
  template:
    metadata: {labels: {${labels}}}
    spec:
      ${more || 'containers: []'}
`;

describe('reachReport', () => {
  it('leaves everything open without a policy, to and from the whole world, and no pair with itself', () => {
    expect(rowsOf(deployment('a', 'app: a') + deployment('b', 'app: b'))).toEqual([
      '0.0.0.0-255.255.255.255 => default/a[Deployment] : All Connections',
      '0.0.0.0-255.255.255.255 => default/b[Deployment] : All Connections',
      'default/a[Deployment] => 0.0.0.0-255.255.255.255 : All Connections',
      'default/a[Deployment] => default/b[Deployment] : All Connections',
      'default/b[Deployment] => 0.0.0.0-255.255.255.255 : All Connections',
      'default/b[Deployment] => default/a[Deployment] : All Connections',
    ]);
  });

  it('reads ports, ranges, named ports, IP blocks with exceptions, and default deny', () => {
    const web = deployment('web', 'app: web', 'containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]');
    const policy = `
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
      ports: [{port: http}, {port: 443}, {protocol: UDP, port: 8000, endPort: 8080}]
---
`;
    expect(rowsOf(web, policy)).toEqual([
      '10.0.0.0-10.0.255.255 => default/web[Deployment] : TCP 443,8080; UDP 8000-8080',
      '10.2.0.0-10.255.255.255 => default/web[Deployment] : TCP 443,8080; UDP 8000-8080',
    ]);
  });

  it('opens lists, collapses pods to their owners, knows CronJobs, host-network pods and namespaces that nobody declared', () => {
    const list = JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'shop', labels: { team: 'a' } } },
        ...['x1', 'x2'].map((suffix) => ({
          kind: 'Pod',
          apiVersion: 'v1',
          metadata: {
            name: `front-5d4f-${suffix}`,
            namespace: 'shop',
            labels: { app: 'front', 'pod-template-hash': '5d4f' },
            ownerReferences: [{ kind: 'ReplicaSet', name: 'front-5d4f', controller: true }],
          },
          spec: { containers: [] },
        })),
        {
          kind: 'CronJob',
          apiVersion: 'batch/v1',
          metadata: { name: 'nightly', namespace: 'jobs' },
          spec: {
            jobTemplate: { spec: { template: { metadata: { labels: { app: 'nightly' } }, spec: { containers: [] } } } },
          },
        },
        { kind: 'Service', apiVersion: 'v1', metadata: { name: 'front', namespace: 'shop' }, spec: {} },
        {
          kind: 'NetworkPolicy',
          apiVersion: 'networking.k8s.io/v1',
          metadata: { name: 'front', namespace: 'shop' },
          spec: {
            podSelector: {},
            ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'jobs' } } }] }],
          },
        },
      ],
    });
    const agent = deployment('agent', 'app: agent', 'hostNetwork: true', 'DaemonSet');
    const report = reachReport(
      [
        { name: 'all.json', text: list },
        { name: 'agent.yaml', text: agent },
      ],
      NOW,
    );
    expect(report.problems).toEqual([]);
    expect(report.notes).toEqual([
      '1 Service not looked at: it says nothing about who may talk',
      "default/agent[DaemonSet] uses the host's network: no policy selects it",
    ]);
    const toFront = report.rows.filter((row) => row.dst === 'shop/front[Deployment]');
    expect(toFront.map(formatRow)).toEqual(['jobs/nightly[CronJob] => shop/front[Deployment] : All Connections']);
  });

  it('takes in merge keys, null fields, empty documents and comments, as Kubernetes tools do', () => {
    const text = `
# a chart
--- # nothing here
---
# Source: chart/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: null}
common: &common {app: web}
spec:
  template:
    metadata:
      labels: {<<: *common, tier: front}
      annotations:
    spec: {containers: null}
...
---
kind: PodList
apiVersion: v1
items: null
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, creationTimestamp: null}
spec: {podSelector: {matchLabels: {app: web, tier: front}}, ingress: null, egress: null, policyTypes: [Ingress, Egress]}
status: {}
`;
    expect(rowsOf(text)).toEqual([]);
  });

  it('leaves files out that are neither manifests nor policy, and says so, but not a policy with a mistake', () => {
    const files = [
      { name: 'web.yaml', text: deployment('web', 'app: web') },
      { name: 'values.yaml', text: '# defaults\nreplicaCount: 3\n' },
      { name: 'NOTES.yaml', text: 'Thank you for installing.\n' },
    ];
    const report = reachReport(files, NOW);
    expect(report.problems.map(({ code, file, warning }) => [code, file, warning])).toEqual([
      ['RF_REACH_STRANGER', 'values.yaml', true],
      ['RF_REACH_STRANGER', 'NOTES.yaml', true],
    ]);
    expect(report.problems[0]?.found).toBe('replicaCount: 3');
    expect(report.rows.length).toBe(2);
    const wrong = reachReport([...files, { name: 'policy.yaml', text: 'rules: []\nmode: []\n' }], NOW);
    expect(wrong.rows).toEqual([]);
    expect(wrong.problems.filter(({ warning }) => !warning).map(({ file }) => file)).toEqual(['policy.yaml']);
  });

  it('reads our own policy and inventory as well', () => {
    const inventory = `
workloads:
  - {id: web-1, labels: {role: web}, addresses: [10.0.0.1]}
  - {id: db-1, labels: {role: db}}
`;
    const policy = `
ipLists: [{name: office, include: [192.0.2.0/24]}]
rules:
  - {id: db, service: tcp/5432, providedBy: role=db, usedBy: role=web}
  - {id: www, service: [tcp/80, icmp/8], providedBy: role=web, usedBy: {ipList: office}}
  - {id: no-snmp, service: any, providedBy: role=web, usedBy: role=db}
  - {id: snmp, action: deny, service: udp/161, providedBy: role=web, usedBy: role=db}
`;
    expect(rowsOf(inventory, policy)).toEqual([
      '192.0.2.0-192.0.2.255 => web-1 : ICMP 8; TCP 80',
      'db-1 => web-1 : SCTP 1-65535; TCP 1-65535; UDP 1-160,162-65535; other protocols',
      'web-1 => db-1 : TCP 5432',
    ]);
  });

  it('refuses a port number in quotes with its place, also inside a list', () => {
    const spec = '{podSelector: {}, ingress: [{ports: [{port: 80}, {port: "443"}]}]}';
    const policy = `{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {name: y}, spec: ${spec}}`;
    for (const text of [policy, `kind: List\nitems:\n  - ${policy}\n`]) {
      const report = reachReport([{ name: 'a.yaml', text }], NOW);
      expect(report.rows).toEqual([]);
      const [placed, named] = report.problems;
      const lines = text.split('\n');
      const line = lines.findIndex((each) => each.includes('"443"')) + 1;
      expect(placed).toMatchObject({ code: 'RF_IMPORT_PORT', file: 'a.yaml', line, found: '"443"' });
      expect(placed?.column).toBe((lines[line - 1]?.indexOf('"443"') ?? 0) + 1);
      expect(named?.message).toBe(
        'Cannot import NetworkPolicy default/y: found port "443" as text, which would be a name; wanted a number, without quotes',
      );
    }
  });

  it('gives no answer, and says why by name, when something cannot be read or said', () => {
    const report = reachReport(
      [
        { name: 'a.yaml', text: 'kind: CiliumNetworkPolicy\napiVersion: cilium.io/v2\nmetadata: {name: x}\n' },
        {
          name: 'b.yaml',
          text: 'kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: y}\nspec: {podSelector: {}, ingress: [{form: []}]}\n',
        },
        { name: 'c.yaml', text: 'kind: Deployment\nmetadata: {name: {{ .Values.name }}}\n' },
      ],
      NOW,
    );
    expect(report.rows).toEqual([]);
    expect(report.problems.map(({ code, file, line }) => `${code} ${file}:${line}`)).toEqual([
      'RF_IMPORT_KIND a.yaml:1',
      expect.stringMatching(/^RF_POLICY_YAML c\.yaml:2/),
      'RF_IMPORT_REFUSED :0',
    ]);
    expect(report.problems.at(-1)?.message).toBe(
      'Cannot import NetworkPolicy default/y: found field form of a ingress rule; wanted from, ports',
    );
  });
});

describe('formatConnections', () => {
  it.each([
    [['any'], 'All Connections'],
    [['tcp', 'udp', 'sctp'], 'All Connections'],
    [['tcp'], 'TCP 1-65535'],
    [['udp/53', 'tcp/80', 'tcp/443', 'tcp/8000-8080'], 'TCP 80,443,8000-8080; UDP 53'],
  ])('%j reads %s', (texts, wanted) => {
    const ranges = texts.map((text) => {
      const range = parsePorts(text);
      if ('problem' in range) throw new Error(range.problem);
      return range;
    });
    expect(formatConnections(portSetOf(ranges))).toBe(wanted);
  });
});
