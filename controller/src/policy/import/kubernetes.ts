// Kubernetes words in ours: what pods, namespaces and label selectors mean as workloads and selectors. Pod labels, namespace labels
// and named ports live in dimensions of their own (pod/…, ns/…, port/…), so that no label of one can pass for another.
import type { Labels, SelectorSpec } from '../model.js';
import { NAME_PATTERN, VALUE_PATTERN } from '../names.js';

export const NAMESPACE_DIMENSION = 'k8s/namespace';

/** A label selector of the Kubernetes API. Null and absent mean the same, as everywhere in manifests. */
export interface K8sSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | null;
  readonly matchExpressions?:
    | readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | null }[]
    | null;
}

export interface K8sContainerPort {
  readonly name?: string | null;
  readonly containerPort: number;
  readonly protocol?: string | null;
}

/** A pod, as far as policy looks at it. */
export interface K8sPod {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly K8sContainerPort[];
}

/** Something that our model cannot say. The importer refuses the object with this sentence. */
export class NotExpressible extends Error {
  readonly code = 'RF_IMPORT_REFUSED';
}

/** The labels under which we know a pod. A name that two ports of a protocol share means the first, as in Kubernetes. */
export function podLabels(pod: K8sPod, namespaceLabels: Readonly<Record<string, string>>): Labels {
  const labels: Record<string, string> = { [NAMESPACE_DIMENSION]: pod.namespace };
  for (const [key, value] of Object.entries(pod.labels)) labels[`pod/${key}`] = value;
  for (const [key, value] of Object.entries(withName(namespaceLabels, pod.namespace))) labels[`ns/${key}`] = value;
  for (const port of pod.ports) {
    if (!port.name) continue;
    labels[portDimension(port.protocol ?? 'TCP', port.name)] ??= String(port.containerPort);
  }
  return labels;
}

/** The dimension that holds the number of a named port. */
export function portDimension(protocol: string, name: string): string {
  return `port/${protocol.toLowerCase()}/${name}`;
}

/** Every Kubernetes namespace carries its own name as a label. */
function withName(labels: Readonly<Record<string, string>>, namespace: string): Record<string, string> {
  return { 'kubernetes.io/metadata.name': namespace, ...labels };
}

/** The conditions of a label selector, every one of which must hold; none for the empty selector. Throws NotExpressible. */
export function selectorConditions(selector: K8sSelector, prefix: 'pod' | 'ns'): SelectorSpec[] {
  const conditions: SelectorSpec[] = [];
  refuseKeys(selector, ['matchLabels', 'matchExpressions'], 'label selector');
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    conditions.push({ label: dimension(prefix, key), is: checkedValue(value) });
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const label = dimension(prefix, key);
    const listed = (values ?? []).map(checkedValue);
    if (operator === 'Exists' || operator === 'DoesNotExist') {
      conditions.push({ label, exists: operator === 'Exists' });
    } else if ((operator === 'In' || operator === 'NotIn') && listed.length > 0) {
      conditions.push(operator === 'In' ? { label, in: listed } : { not: { label, in: listed } });
    } else
      throw new NotExpressible(
        `operator ${operator} with ${listed.length} values; wanted In, NotIn (with values), Exists, DoesNotExist`,
      );
  }
  return conditions;
}

/** Throws NotExpressible when an object has fields that nobody here reads: ignoring one could open or close traffic. */
export function refuseKeys(value: object, known: readonly string[], what: string): void {
  for (const [key, field] of Object.entries(value)) {
    if (!known.includes(key) && field !== null && field !== undefined) {
      throw new NotExpressible(`field ${key} of a ${what}; wanted ${known.join(', ')}`);
    }
  }
}

function dimension(prefix: 'pod' | 'ns', key: string): string {
  const name = `${prefix}/${key}`;
  if (!NAME_PATTERN.test(name))
    throw new NotExpressible(
      `label key ${key}; wanted at most ${200 - prefix.length - 1} characters of A-Z a-z 0-9 . _ / -`,
    );
  return name;
}

function checkedValue(value: unknown): string {
  if (typeof value !== 'string' || !VALUE_PATTERN.test(value))
    throw new NotExpressible(`label value ${JSON.stringify(value)}; wanted text`);
  return value;
}
