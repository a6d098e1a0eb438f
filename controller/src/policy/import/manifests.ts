// Kubernetes manifests as people keep them: several documents in a file, List objects, Helm output with empty documents, objects
// without a namespace, live dumps with owner references. Gives workloads collapsed to their owners, and the NetworkPolicies.
import type { PolicyProblem } from '../model.js';
import { readYaml, type SourceFile, type YamlDocument } from '../yaml-source.js';
import type { K8sContainerPort, K8sPod } from './kubernetes.js';
import type { K8sNetworkPolicy } from './networkpolicy.js';
import { quotedPorts } from './quoted-ports.js';

/** Pods of one owner. */
export interface OwnedPods {
  /** namespace/name[Kind]. */
  readonly owner: string;
  /** One per distinct label set and ports: usually one. */
  readonly pods: readonly (K8sPod & { readonly hostNetwork: boolean })[];
}

export interface Manifests {
  /** By owner. */
  readonly workloads: readonly OwnedPods[];
  /** Labels of the namespaces that are declared. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly policies: readonly K8sNetworkPolicy[];
  /** Objects that say nothing about who may talk, by kind. */
  readonly ignored: ReadonlyMap<string, number>;
  readonly problems: readonly PolicyProblem[];
  /** Documents that are no Kubernetes object (no kind): for other readers. */
  readonly others: readonly YamlDocument[];
}

interface K8sObject {
  readonly apiVersion?: unknown;
  readonly kind: string;
  readonly metadata?: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string | null;
    readonly labels?: Record<string, string> | null;
    readonly ownerReferences?:
      | readonly { readonly kind: string; readonly name: string; readonly controller?: boolean }[]
      | null;
  } | null;
  readonly spec?: Record<string, unknown> | null;
}

/** Kinds whose template makes pods, and where in spec it stands. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['template'],
  StatefulSet: ['template'],
  DaemonSet: ['template'],
  ReplicaSet: ['template'],
  ReplicationController: ['template'],
  Job: ['template'],
  CronJob: ['jobTemplate', 'spec', 'template'],
};
/** Policies of other systems: ignoring one would make every answer wrong. */
const FOREIGN =
  /^(.*NetworkPolicy|AdminNetworkPolicy|BaselineAdminNetworkPolicy|GlobalNetworkSet|NetworkSet|AuthorizationPolicy)$/;

/** Reads manifests. */
export function readManifests(files: readonly SourceFile[]): Manifests {
  const workloads = new Map<string, (K8sPod & { hostNetwork: boolean })[]>();
  const namespaces = new Map<string, Readonly<Record<string, string>>>();
  const policies: K8sNetworkPolicy[] = [];
  const ignored = new Map<string, number>();
  const problems: PolicyProblem[] = [];
  const others: YamlDocument[] = [];
  const objects: K8sObject[] = [];
  for (const file of files) {
    const { documents, problems: syntax } = readYaml(file, true);
    problems.push(...syntax);
    for (const document of documents) {
      if (document.value === undefined || document.value === null) continue;
      const found = flatten(document.value);
      if (found === undefined) others.push(document);
      else {
        objects.push(...found);
        problems.push(...quotedPorts(document));
      }
      for (const object of found ?? []) {
        const refused = refusal(object, document);
        if (refused !== undefined) problems.push(refused);
      }
    }
  }
  const owners = new Map(
    objects.map((object) => [`${object.kind}/${namespaceOf(object)}/${object.metadata?.name}`, object]),
  );
  for (const object of objects) {
    if (object.kind === 'Namespace') namespaces.set(object.metadata?.name ?? '', object.metadata?.labels ?? {});
    else if (object.kind === 'NetworkPolicy') {
      if (isCurrent(object))
        policies.push({
          ...object,
          metadata: { ...object.metadata, name: object.metadata?.name ?? '' },
        } as unknown as K8sNetworkPolicy);
    } else {
      const pod = podOf(object);
      if (pod === undefined) {
        ignored.set(object.kind, (ignored.get(object.kind) ?? 0) + 1);
        continue;
      }
      const owner = ownerName(object, owners);
      const pods = workloads.get(owner) ?? [];
      workloads.set(owner, pods);
      if (!pods.some((known) => JSON.stringify(known) === JSON.stringify(pod))) pods.push(pod);
    }
  }
  const sorted = [...workloads].sort(([a], [b]) => (a < b ? -1 : 1)).map(([owner, pods]) => ({ owner, pods }));
  return { workloads: sorted, namespaces, policies, ignored, problems, others };
}

/** The objects of a document, lists opened; undefined when it is no Kubernetes object. */
function flatten(value: unknown): K8sObject[] | undefined {
  if (Array.isArray(value)) {
    const parts = value.map(flatten);
    return parts.some((part) => part === undefined) ? undefined : parts.flatMap((part) => part ?? []);
  }
  if (typeof value !== 'object' || value === null || !('kind' in value) || typeof value.kind !== 'string')
    return undefined;
  const { kind } = value;
  if (!kind.endsWith('List') || !('items' in value)) return [value as K8sObject];
  // Items of a typed list (PodList) need not say what they are.
  const items = Array.isArray(value.items) ? value.items : [];
  const inner = {
    kind: kind.slice(0, -'List'.length),
    apiVersion: 'apiVersion' in value ? value.apiVersion : undefined,
  };
  return items.flatMap((item: unknown) =>
    typeof item === 'object' && item !== null ? (flatten({ ...inner, ...item }) ?? []) : [],
  );
}

function refusal(object: K8sObject, document: YamlDocument): PolicyProblem | undefined {
  const foreign = FOREIGN.test(object.kind) && !(object.kind === 'NetworkPolicy' && isCurrent(object));
  if (!foreign) return undefined;
  const { line, column } = document.locate(['kind']);
  const found = `${String(object.apiVersion)} ${object.kind} ${object.metadata?.name ?? ''}`.trim();
  const wanted = 'NetworkPolicy of networking.k8s.io/v1: ignoring another kind of policy would make the answer wrong';
  const message = `Cannot read ${object.kind} ${object.metadata?.name ?? ''}: found ${found}, wanted ${wanted}`;
  return { code: 'RF_IMPORT_KIND', message, file: document.file, line, column, found, wanted, warning: false };
}

function isCurrent(object: K8sObject): boolean {
  return object.apiVersion === 'networking.k8s.io/v1';
}

function namespaceOf(object: K8sObject): string {
  return object.metadata?.namespace || 'default';
}

/** The pod that an object is or makes; undefined for other objects. */
function podOf(object: K8sObject): (K8sPod & { hostNetwork: boolean }) | undefined {
  const path = object.kind === 'Pod' ? [] : TEMPLATES[object.kind];
  if (path === undefined) return undefined;
  const template = path.reduce<unknown>((at, key) => field(at, key), object.spec);
  const spec = object.kind === 'Pod' ? object.spec : field(template, 'spec');
  const labels = object.kind === 'Pod' ? object.metadata?.labels : field(field(template, 'metadata'), 'labels');
  const containers = field(spec, 'containers');
  const ports = (Array.isArray(containers) ? containers : []).flatMap((container: unknown) => {
    const listed = field(container, 'ports');
    return Array.isArray(listed)
      ? (listed as K8sContainerPort[]).filter((port) => typeof port?.containerPort === 'number')
      : [];
  });
  const texts = Object.entries((labels ?? {}) as Record<string, unknown>).map(([key, value]) => [key, String(value)]);
  return {
    namespace: namespaceOf(object),
    labels: Object.fromEntries(texts),
    ports: ports.map(({ name, containerPort, protocol }) => ({ name, containerPort, protocol })),
    hostNetwork: field(spec, 'hostNetwork') === true,
  };
}

/** namespace/name[Kind] of the topmost owner that can be known. */
function ownerName(object: K8sObject, owners: ReadonlyMap<string, K8sObject>): string {
  const namespace = namespaceOf(object);
  let { kind } = object;
  let name = object.metadata?.name ?? object.metadata?.generateName ?? '';
  let at: K8sObject | undefined = object;
  for (let depth = 0; depth < 4; depth += 1) {
    const references: NonNullable<K8sObject['metadata']>['ownerReferences'] = at?.metadata?.ownerReferences;
    const owner = references?.find((each) => each.controller !== false);
    if (owner === undefined) break;
    [kind, name] = [owner.kind, owner.name];
    at = owners.get(`${kind}/${namespace}/${name}`);
  }
  // The Deployment of a ReplicaSet that is not there itself: its name is the ReplicaSet's without the template's hash.
  const hash = object.metadata?.labels?.['pod-template-hash'];
  if (kind === 'ReplicaSet' && hash && name.endsWith(`-${hash}`)) {
    [kind, name] = ['Deployment', name.slice(0, -hash.length - 1)];
  }
  return `${namespace}/${name}[${kind}]`;
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
