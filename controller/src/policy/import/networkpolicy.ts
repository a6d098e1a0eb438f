// Kubernetes NetworkPolicy (networking.k8s.io/v1) to our model, exactly. A policy isolates the pods it selects, per direction: that
// is a mode (enforce) for them; what it allows are inbound-only and outbound-only rules. Pods that no policy selects stay in
// visibility and are open. What cannot be said is refused by name, the whole policy of it: half a policy is another policy.
import { formatPrefix, maskAddress, parsePrefix } from '@ringfence/proto/address.js';
import {
  EMPTY_DOCUMENT,
  type EndSpec,
  type IpListSpec,
  type ModeSpec,
  type PolicyDocument,
  type RuleSpec,
  type SelectorSpec,
} from '../model.js';
import { DEFAULT_DIMENSIONS, ID_PATTERN } from '../names.js';
import { visitSpec } from '../visit-spec.js';
import {
  type K8sPod,
  type K8sSelector,
  NAMESPACE_DIMENSION,
  NotExpressible,
  portDimension,
  refuseKeys,
  selectorConditions,
} from './kubernetes.js';
import { isQuotedPort } from './quoted-ports.js';

export interface K8sIpBlock {
  readonly cidr: string;
  readonly except?: readonly string[] | null;
}

export interface K8sPeer {
  readonly podSelector?: K8sSelector | null;
  readonly namespaceSelector?: K8sSelector | null;
  readonly ipBlock?: K8sIpBlock | null;
}

export interface K8sPort {
  readonly protocol?: string | null;
  readonly port?: number | string | null;
  readonly endPort?: number | null;
}

export interface K8sNetworkPolicy {
  readonly metadata: { readonly name: string; readonly namespace?: string | null };
  readonly spec: {
    readonly podSelector?: K8sSelector | null;
    readonly policyTypes?: readonly string[] | null;
    readonly ingress?:
      | readonly { readonly from?: readonly K8sPeer[] | null; readonly ports?: readonly K8sPort[] | null }[]
      | null;
    readonly egress?:
      | readonly { readonly to?: readonly K8sPeer[] | null; readonly ports?: readonly K8sPort[] | null }[]
      | null;
  };
}

/** A policy that could not be imported, with the reason. */
export interface Refusal {
  /** namespace/name. */
  readonly policy: string;
  readonly reason: string;
}

export interface Import {
  readonly document: PolicyDocument;
  readonly refused: readonly Refusal[];
}

/**
 * Imports policies. `pods` is the inventory that named ports are looked up in; without it (undefined) a policy that names a port
 * is refused. A new value of a named port in the inventory needs a new import.
 */
export function importNetworkPolicies(
  policies: readonly K8sNetworkPolicy[],
  pods: readonly K8sPod[] | undefined,
): Import {
  const parts: Part[] = [];
  const refused: Refusal[] = [];
  const numbers = pods && portNumbers(pods);
  for (const policy of policies) {
    const key = `${policy.metadata.namespace ?? 'default'}/${policy.metadata.name}`;
    try {
      parts.push(importOne(policy, key, numbers));
    } catch (error) {
      if (!(error instanceof NotExpressible)) throw error;
      refused.push({ policy: key, reason: `Cannot import NetworkPolicy ${key}: found ${error.message}` });
    }
  }
  const rules = parts.flatMap((part) => part.rules);
  const modes = parts.flatMap((part) => part.modes);
  const dimensions = new Set<string>();
  for (const rule of rules)
    for (const end of [rule.providedBy, rule.usedBy]) visitSpec(end, (name) => dimensions.add(name));
  for (const mode of modes) visitSpec(mode.match, (name) => dimensions.add(name));
  for (const name of DEFAULT_DIMENSIONS) dimensions.delete(name);
  const document = {
    ...EMPTY_DOCUMENT,
    dimensions: [...dimensions].sort().map((name) => ({ name })),
    ipLists: parts.flatMap((part) => part.ipLists),
    rules,
    modes,
  };
  return { document, refused };
}

interface Part {
  readonly rules: RuleSpec[];
  readonly modes: ModeSpec[];
  readonly ipLists: IpListSpec[];
}

type PortNumbers = ReadonlyMap<string, ReadonlySet<number>>;

function importOne(policy: K8sNetworkPolicy, key: string, numbers: PortNumbers | undefined): Part {
  const { spec } = policy;
  const id = `netpol/${key}`;
  if (!ID_PATTERN.test(`${id}/ingress/000/000-00000`))
    throw new NotExpressible(`name ${key}; wanted at most 170 characters`);
  if (spec === undefined || spec === null) throw new NotExpressible('no spec');
  refuseKeys(spec, ['podSelector', 'policyTypes', 'ingress', 'egress'], 'spec');
  const types = spec.policyTypes ?? ['Ingress', ...((spec.egress ?? []).length > 0 ? ['Egress'] : [])];
  for (const type of types) {
    if (type !== 'Ingress' && type !== 'Egress')
      throw new NotExpressible(`policyTypes entry ${type}; wanted Ingress, Egress`);
  }
  const namespace = policy.metadata.namespace ?? 'default';
  const selected = [inNamespace(namespace), ...selectorConditions(spec.podSelector ?? {}, 'pod')];
  const part: Part = { rules: [], modes: [], ipLists: [] };
  for (const [type, direction] of [
    ['Ingress', 'inbound'],
    ['Egress', 'outbound'],
  ] as const) {
    if (!types.includes(type)) continue;
    part.modes.push({ id: `${id}/${direction}`, match: { all: selected }, direction, mode: 'enforce' });
    const allowances =
      type === 'Ingress'
        ? (spec.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports, rule }))
        : (spec.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports, rule }));
    allowances.forEach(({ peers, ports, rule }, index) => {
      refuseKeys(rule, [type === 'Ingress' ? 'from' : 'to', 'ports'], `${type.toLowerCase()} rule`);
      const at = `${id}/${direction}/${index}`;
      const end = peersOf(peers ?? [], namespace, at, part);
      const { plain, named } = splitPorts(ports ?? []);
      const add = (suffix: string, service: string[], provider: readonly SelectorSpec[]) => {
        const own: EndSpec = { all: [...selected, ...(type === 'Ingress' ? provider : [])] };
        const peer = type === 'Ingress' ? end : narrowed(end, provider);
        part.rules.push({
          id: `${at}${suffix}`,
          service,
          providedBy: type === 'Ingress' ? own : peer,
          usedBy: type === 'Ingress' ? peer : own,
          direction,
        });
      };
      if (plain.length > 0) add('', plain, []);
      named.forEach((port, which) => {
        if (numbers === undefined)
          throw new NotExpressible(`named port ${port.name} without an inventory of pods to look it up in`);
        const dimension = portDimension(port.protocol, port.name);
        for (const number of [...(numbers.get(dimension) ?? [])].sort((a, b) => a - b)) {
          add(`/${which}-${number}`, [`${port.protocol}/${number}`], [{ label: dimension, is: String(number) }]);
        }
      });
    });
  }
  return part;
}

/** Peers as an end of a rule; none stated means everybody. IP blocks become IP lists of the part. */
function peersOf(peers: readonly K8sPeer[], namespace: string, at: string, part: Part): EndSpec {
  if (peers.length === 0) return 'anyone';
  const ends = peers.map((peer, index): EndSpec => {
    refuseKeys(peer, ['podSelector', 'namespaceSelector', 'ipBlock'], 'peer');
    const { podSelector, namespaceSelector, ipBlock } = peer;
    if (ipBlock) {
      if (podSelector || namespaceSelector) throw new NotExpressible('ipBlock together with a selector in one peer');
      const name = `${at}/${index}`;
      part.ipLists.push(ipListOf(ipBlock, name));
      return { ipList: name };
    }
    if (!podSelector && !namespaceSelector)
      throw new NotExpressible('a peer without podSelector, namespaceSelector or ipBlock');
    const where = namespaceSelector
      ? [{ label: NAMESPACE_DIMENSION, exists: true }, ...selectorConditions(namespaceSelector, 'ns')]
      : [inNamespace(namespace)];
    return { all: [...where, ...(podSelector ? selectorConditions(podSelector, 'pod') : [])] };
  });
  return ends.length === 1 ? (ends[0] as EndSpec) : { any: ends };
}

/** The pods among an end that have a named port. */
function narrowed(end: EndSpec, conditions: readonly SelectorSpec[]): EndSpec {
  if (conditions.length === 0) return end;
  if (end === 'anyone') return { all: [{ label: NAMESPACE_DIMENSION, exists: true }, ...conditions] };
  const parts: readonly EndSpec[] = typeof end === 'object' && 'any' in end ? end.any : [end];
  const selectors = parts.map((part): SelectorSpec => {
    if (typeof part === 'object' && 'ipList' in part)
      throw new NotExpressible('an egress rule with a named port and an ipBlock');
    return { all: [part as SelectorSpec, ...conditions] };
  });
  return { any: selectors };
}

function ipListOf(block: K8sIpBlock, name: string): IpListSpec {
  refuseKeys(block, ['cidr', 'except'], 'ipBlock');
  const include = [canonicalCidr(block.cidr)];
  const exclude = (block.except ?? []).map(canonicalCidr);
  return exclude.length > 0 ? { name, include, exclude } : { name, include };
}

/** Kubernetes accepts bits beyond the length and ignores them. */
function canonicalCidr(text: string): string {
  const slash = text.lastIndexOf('/');
  const host = parsePrefix(text.slice(0, slash < 0 ? undefined : slash));
  const length = Number(text.slice(slash + 1));
  if (slash < 0 || 'problem' in host || !Number.isInteger(length))
    throw new NotExpressible(`CIDR ${text}; wanted address/length`);
  const bits = text.includes(':') ? length : length + 96;
  if (bits < 0 || bits > 128) throw new NotExpressible(`CIDR ${text}; wanted address/length`);
  return formatPrefix({ address: maskAddress(host.address, bits), length: bits });
}

interface NamedPort {
  readonly protocol: string;
  readonly name: string;
}

/** Ports as our service texts, and the named ones. None stated means every port of every protocol. */
function splitPorts(ports: readonly K8sPort[]): { readonly plain: string[]; readonly named: NamedPort[] } {
  if (ports.length === 0) return { plain: ['any'], named: [] };
  const plain: string[] = [];
  const named: NamedPort[] = [];
  for (const port of ports) {
    refuseKeys(port, ['protocol', 'port', 'endPort'], 'port');
    const protocol = (port.protocol ?? 'TCP').toLowerCase();
    if (!['tcp', 'udp', 'sctp'].includes(protocol))
      throw new NotExpressible(`protocol ${port.protocol}; wanted TCP, UDP, SCTP`);
    if (typeof port.port === 'string') {
      if (isQuotedPort(port.port))
        throw new NotExpressible(`port "${port.port}" as text, which would be a name; wanted a number, without quotes`);
      if (port.endPort != null) throw new NotExpressible(`endPort with the named port ${port.port}`);
      named.push({ protocol, name: port.port });
    } else if (port.port == null) {
      if (port.endPort != null) throw new NotExpressible('endPort without port');
      plain.push(protocol);
    } else {
      const high = port.endPort ?? port.port;
      if (port.port < 1 || high > 65535 || high < port.port)
        throw new NotExpressible(`ports ${port.port} to ${high}; wanted 1 to 65535`);
      plain.push(high === port.port ? `${protocol}/${port.port}` : `${protocol}/${port.port}-${high}`);
    }
  }
  return { plain, named };
}

function inNamespace(namespace: string): SelectorSpec {
  return { label: NAMESPACE_DIMENSION, is: namespace };
}

function portNumbers(pods: readonly K8sPod[]): PortNumbers {
  const numbers = new Map<string, Set<number>>();
  for (const pod of pods) {
    const seen = new Set<string>();
    for (const port of pod.ports) {
      if (!port.name) continue;
      const dimension = portDimension(port.protocol ?? 'TCP', port.name);
      if (seen.has(dimension)) continue;
      seen.add(dimension);
      numbers.set(dimension, (numbers.get(dimension) ?? new Set()).add(port.containerPort));
    }
  }
  return numbers;
}
