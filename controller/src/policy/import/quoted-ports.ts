// Port numbers in quotes: to Kubernetes a text is the name of a port, and a name has a letter, so it refuses them. Taken as a name here, one
// would match no port of any pod, and the policy would say less than was meant. Told with their place.
import type { Path } from '../end-shape.js';
import type { PolicyProblem } from '../model.js';
import type { YamlDocument } from '../yaml-source.js';

/** True for a text that cannot be the name of a port. */
export function isQuotedPort(port: unknown): port is string {
  return typeof port === 'string' && !/[a-z]/.test(port);
}

/** One problem for each port number in quotes of each NetworkPolicy in a document, inside lists too. */
export function quotedPorts(document: YamlDocument): PolicyProblem[] {
  return policiesIn(document.value, []).flatMap(([path, policy]) =>
    portsOf(policy).flatMap(([inside, port]) => {
      if (!isQuotedPort(port)) return [];
      const { line, column } = document.locate([...path, ...inside]);
      const found = `"${port}"`;
      const wanted = 'a number, without quotes: a text is the name of a port';
      const message = `Cannot read a port of NetworkPolicy: found ${found}, wanted ${wanted}`;
      return { code: 'RF_IMPORT_PORT', message, file: document.file, line, column, found, wanted, warning: false };
    }),
  );
}

type Placed = readonly [path: Path, value: unknown];

function policiesIn(value: unknown, path: Path): Placed[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown, index) => policiesIn(item, [...path, index]));
  const kind = field(value, 'kind');
  if (kind === 'NetworkPolicy') return [[path, value]];
  // Items of a typed list need not say what they are.
  if (kind === 'NetworkPolicyList') return items(value, path, 'items');
  return kind === 'List' ? items(value, path, 'items').flatMap(([at, item]) => policiesIn(item, at)) : [];
}

function portsOf(policy: unknown): Placed[] {
  const spec = field(policy, 'spec');
  const rules = [...items(spec, ['spec'], 'ingress'), ...items(spec, ['spec'], 'egress')];
  return rules
    .flatMap(([path, rule]) => items(rule, path, 'ports'))
    .map(([path, port]): Placed => [[...path, 'port'], field(port, 'port')]);
}

function items(value: unknown, path: Path, key: string): Placed[] {
  const list = field(value, key);
  return Array.isArray(list) ? list.map((item: unknown, index): Placed => [[...path, key, index], item]) : [];
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
