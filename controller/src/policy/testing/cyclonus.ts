// The cyclonus data (fixtures/netpol/README.md) as a cluster that its steps change: what importer tests and the kernel's tests walk.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { CompilerWorkload } from '../../compile/types.js';
import { type K8sContainerPort, type K8sPod, podLabels } from '../import/kubernetes.js';
import { importNetworkPolicies, type K8sNetworkPolicy } from '../import/networkpolicy.js';
import type { Policy, RuleNumbers } from '../model.js';
import { checkDocument, resolvePolicy } from '../parse.js';
import { address } from './generate.js';

const DATA = new URL('../../../src/policy/fixtures/netpol/cyclonus.json.gz', import.meta.url);

interface Pod {
  readonly ns: string;
  readonly name: string;
  readonly labels: Record<string, string> | null;
  readonly ip: string;
}
type Labelled = { readonly Namespace: string; readonly Pod: string; readonly Labels: Record<string, string> };
type Action = {
  readonly createPolicy?: K8sNetworkPolicy;
  readonly updatePolicy?: K8sNetworkPolicy;
  readonly deletePolicy?: string;
  readonly createNamespace?: Labelled;
  readonly setNamespaceLabels?: Labelled;
  readonly deleteNamespace?: string;
  readonly createPod?: Labelled;
  readonly setPodLabels?: Labelled;
  readonly deletePod?: string;
};
export interface Step {
  readonly actions: readonly Action[] | null;
  readonly order: readonly string[];
  readonly expected: Record<string, readonly string[]>;
  readonly pods?: readonly Pod[];
}
export interface CyclonusData {
  readonly base: {
    readonly containersOnEveryPod: readonly { port: number; protocol: string; name: string }[];
    readonly namespaces: Record<string, Record<string, string>>;
    readonly pods: readonly Pod[];
  };
  readonly cases: readonly { readonly id: number; readonly description: string; readonly steps: readonly Step[] }[];
  readonly recipes: readonly {
    readonly namespaces: Record<string, Record<string, string>>;
    readonly pods: readonly Pod[];
    readonly port: number;
    readonly protocol: string;
    readonly policies: readonly K8sNetworkPolicy[];
    readonly order: readonly string[];
    readonly expected: readonly string[];
  }[];
}

/** All cases and recipes. Throws when the fixture is missing. */
export function cyclonusData(): CyclonusData {
  return JSON.parse(gunzipSync(readFileSync(DATA)).toString()) as CyclonusData;
}

/** The cluster that every case starts from. */
export function baseCluster({ base }: CyclonusData): Cluster {
  const ports = base.containersOnEveryPod.map(({ port, ...rest }) => ({ ...rest, containerPort: port }));
  return new Cluster(base.namespaces, base.pods, ports);
}

/** A cluster as the steps change it. */
export class Cluster {
  readonly namespaces: Map<string, Record<string, string>>;
  readonly pods: Map<string, Pod>;
  readonly policies = new Map<string, K8sNetworkPolicy>();
  readonly ports: readonly K8sContainerPort[];

  constructor(
    namespaces: Record<string, Record<string, string>>,
    pods: readonly Pod[],
    ports: readonly K8sContainerPort[],
  ) {
    this.namespaces = new Map(Object.entries(namespaces));
    this.pods = new Map(pods.map((pod) => [`${pod.ns}/${pod.name}`, pod]));
    this.ports = ports;
  }

  apply(action: Action): void {
    const policy = action.createPolicy ?? action.updatePolicy;
    if (policy !== undefined)
      this.policies.set(`${policy.metadata.namespace ?? 'default'}/${policy.metadata.name}`, policy);
    if (action.deletePolicy !== undefined) this.policies.delete(action.deletePolicy);
    const namespace = action.createNamespace ?? action.setNamespaceLabels;
    if (namespace !== undefined) this.namespaces.set(namespace.Namespace, namespace.Labels);
    if (action.deleteNamespace !== undefined) {
      this.namespaces.delete(action.deleteNamespace);
      for (const [key, pod] of this.pods) if (pod.ns === action.deleteNamespace) this.pods.delete(key);
      for (const key of this.policies.keys())
        if (key.startsWith(`${action.deleteNamespace}/`)) this.policies.delete(key);
    }
    const pod = action.createPod ?? action.setPodLabels;
    if (pod !== undefined) {
      const key = `${pod.Namespace}/${pod.Pod}`;
      const ip = this.pods.get(key)?.ip ?? `192.168.242.${200 + this.pods.size}`;
      this.pods.set(key, { ns: pod.Namespace, name: pod.Pod, labels: pod.Labels, ip });
    }
    if (action.deletePod !== undefined) this.pods.delete(action.deletePod);
  }

  inventory(): K8sPod[] {
    return [...this.pods.values()].map((pod) => ({ namespace: pod.ns, labels: pod.labels ?? {}, ports: this.ports }));
  }

  /** The policies as imported. Throws when one is refused. */
  policy(numbers: RuleNumbers): Policy {
    const { document, refused } = importNetworkPolicies([...this.policies.values()], this.inventory());
    const [problem] = [
      ...refused.map(({ reason }) => reason),
      ...checkDocument(document).map(({ message }) => message),
    ];
    if (problem !== undefined) throw new Error(problem);
    return resolvePolicy(document, numbers);
  }

  workloads(): CompilerWorkload[] {
    return [...this.pods.values()].map((pod) => ({
      id: `${pod.ns}/${pod.name}`,
      labels: podLabels(
        { namespace: pod.ns, labels: pod.labels ?? {}, ports: this.ports },
        this.namespaces.get(pod.ns) ?? {},
      ),
      hostId: pod.name,
      localId: `container:${pod.ns}-${pod.name}`,
      addresses: [{ space: '', address: address(pod.ip) }],
      isolated: false,
      reject: true,
    }));
  }
}
