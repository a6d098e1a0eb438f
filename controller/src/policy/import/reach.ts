// `ringfence reach`: which connections policy allows between workloads and the outside world, from files alone.

import { parseAddress } from '@ringfence/proto/address.js';
import { Direction, Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { canonicalDocument } from '../canonical.js';
import { type ConnectionEnd, NOWHERE } from '../connection.js';
import { effectiveMode } from '../evaluate.js';
import { distinguishedRanges, formatRange } from '../ip-ranges.js';
import { EMPTY_DOCUMENT, type Labels, type Policy, type PolicyDocument, type PolicyProblem } from '../model.js';
import { checkDocument, parsePolicy, resolvePolicy } from '../parse.js';
import { ALL_PORTS, intersect, isEmptySet, type PortSet, unite } from '../port-set.js';
import { formatPorts, protocolName } from '../ports.js';
import { portsAt } from '../reach.js';
import { readYaml, type SourceFile } from '../yaml-source.js';
import { podLabels } from './kubernetes.js';
import { readManifests } from './manifests.js';
import { importNetworkPolicies } from './networkpolicy.js';

/** One ordered pair that may talk. */
export interface ReachRow {
  readonly src: string;
  readonly dst: string;
  readonly conn: string;
}

export interface ReachReport {
  /** Sorted; empty when there is an error among the problems. */
  readonly rows: readonly ReachRow[];
  readonly problems: readonly PolicyProblem[];
  /** Things worth knowing that are no error: host-network pods, kinds that were ignored. */
  readonly notes: readonly string[];
}

/** A peer of the report: a workload with its pods (any of which may be the end of a connection), or a range of addresses. */
interface Peer {
  readonly name: string;
  readonly ends: readonly ConnectionEnd[];
  readonly outside: boolean;
}

/**
 * Reads Kubernetes manifests, Ringfence policy files and inventory files (`workloads:` with id, labels, addresses), in any mix, and
 * reports who may talk. A workload that no mode rule enforces is open, as in Kubernetes; Ringfence rules
 * without any mode rule are reported as if everything were enforced. A pod on the host's network is its node: no policy selects it, no selector names it.
 */
export function reachReport(files: readonly SourceFile[], nowMs: number): ReachReport {
  const manifests = readManifests(files);
  const {
    inventory,
    policyFiles,
    problems: inventoryProblems,
  } = splitOthers(
    files,
    manifests.others.map((other) => other.file),
  );
  const own = parsePolicy(policyFiles);
  const pods = manifests.workloads.flatMap((workload) => workload.pods);
  const imported = importNetworkPolicies(manifests.policies, pods);
  const problems = [
    ...manifests.problems,
    ...inventoryProblems,
    ...own.problems,
    ...imported.refused.map(refusalProblem),
  ];
  const notes = [...manifests.ignored]
    .sort()
    .map(([kind, count]) => `${count} ${kind} not looked at: it says nothing about who may talk`);
  if (problems.some((problem) => !problem.warning) || own.document === undefined) return { rows: [], problems, notes };
  const document = merge(own.document, imported.document);
  const clashes = checkDocument(document);
  if (clashes.length > 0) return { rows: [], problems: [...problems, ...clashes], notes };
  let last = 0;
  const policy = resolvePolicy(document, {
    numberOf: () => {
      last += 1;
      return last;
    },
  });
  const peers: Peer[] = [
    ...manifests.workloads.map(({ owner, pods: own }) => {
      if (own.some((pod) => pod.hostNetwork)) notes.push(`${owner} uses the host's network: no policy selects it`);
      return {
        name: owner,
        outside: false,
        ends: own.map((pod) =>
          podEnd(pod.hostNetwork ? undefined : podLabels(pod, manifests.namespaces.get(pod.namespace) ?? {})),
        ),
      };
    }),
    ...inventory.map(({ id, labels, address }) => ({
      name: id,
      outside: false,
      ends: [{ workload: { id, labels }, managed: true, address: address ?? NOWHERE }],
    })),
    ...distinguishedRanges(policy.ipLists.values()).map((range) => ({
      name: formatRange(range),
      outside: true,
      ends: [{ workload: undefined, managed: false, address: range.low }],
    })),
  ];
  const strict = own.document.rules.length + own.document.ruleSets.length > 0 && own.document.modes.length === 0;
  return { rows: rowsOf(policy, peers, strict, nowMs), problems, notes };
}

/** `src => dst : connections`. */
export function formatRow(row: ReachRow): string {
  return `${row.src} => ${row.dst} : ${row.conn}`;
}

/** `All Connections`, or protocols in alphabetical order: `TCP 80,443,8000-8080; UDP 53`. */
export function formatConnections(set: PortSet): string {
  const full = (protocol: number) => isWhole(set, protocol);
  if (set.others ? set.by.size === 0 : [6, 17, 132].every(full)) return 'All Connections';
  const protocols = new Set(set.others ? [6, 17, 132, ...set.by.keys()] : set.by.keys());
  const texts = [...protocols]
    .map((protocol) => ({ name: protocolName(protocol).toUpperCase(), text: rangesText(set, protocol) }))
    .filter(({ text }) => text !== '')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, text }) => `${name} ${text}`);
  return [...texts, ...(set.others ? ['other protocols'] : [])].join('; ');
}

function isWhole(set: PortSet, protocol: number): boolean {
  const ranges = set.by.get(protocol);
  if (ranges === undefined) return set.others;
  // Port 0 is no port that a service can have.
  return ranges.some(({ low, high }) => low <= 1 && high === 0xffff);
}

function rangesText(set: PortSet, protocol: number): string {
  const ranges = set.by.get(protocol) ?? (set.others ? [{ low: 0, high: 0xffff }] : []);
  return ranges
    .map(({ low, high }) => {
      // ICMP has types and codes in place of ports: what formatPorts writes behind the slash.
      if (protocol === 1 || protocol === 58) return formatPorts({ protocol, low, high }).split('/')[1] ?? 'all types';
      const first = Math.max(low, 1);
      return first === high ? `${first}` : `${first}-${high}`;
    })
    .join(',');
}

function rowsOf(policy: Policy, peers: readonly Peer[], strict: boolean, nowMs: number): ReachRow[] {
  const rows: ReachRow[] = [];
  for (const from of peers) {
    for (const to of peers) {
      if (from === to || (from.outside && to.outside)) continue;
      let set: PortSet = { others: false, by: new Map() };
      for (const a of from.ends) for (const b of to.ends) set = unite(set, passes(policy, a, b, strict, nowMs));
      if (!isEmptySet(set)) rows.push({ src: from.name, dst: to.name, conn: formatConnections(set) });
    }
  }
  return rows.sort((a, b) => order(a.src, b.src) || order(a.dst, b.dst));
}

/** Ports that neither end blocks. `strict`: every workload is enforced. */
function passes(policy: Policy, from: ConnectionEnd, to: ConnectionEnd, strict: boolean, nowMs: number): PortSet {
  const at = (
    own: ConnectionEnd,
    other: ConnectionEnd,
    direction: Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND,
  ) => {
    if (own.workload === undefined || !own.managed) return ALL_PORTS;
    const enforced = strict || effectiveMode(policy, own.workload, direction).mode === Mode.MODE_ENFORCE;
    return enforced ? portsAt(policy, own, other, direction, nowMs) : ALL_PORTS;
  };
  return intersect(at(from, to, Direction.DIRECTION_OUTBOUND), at(to, from, Direction.DIRECTION_INBOUND));
}

function podEnd(labels: Labels | undefined): ConnectionEnd {
  return { workload: labels && { id: '', labels }, managed: labels !== undefined, address: NOWHERE };
}

function merge(own: PolicyDocument, imported: PolicyDocument): PolicyDocument {
  return canonicalDocument({
    ...own,
    dimensions: [...own.dimensions, ...imported.dimensions],
    ipLists: [...own.ipLists, ...imported.ipLists],
    rules: [...own.rules, ...imported.rules],
    modes: [...own.modes, ...imported.modes],
  });
}

interface InventoryItem {
  readonly id: string;
  readonly labels: Labels;
  readonly address: Uint8Array | undefined;
}

/** Files that are no manifests: inventories (a `workloads:` list at the top) and policy. */
function splitOthers(files: readonly SourceFile[], names: readonly string[]) {
  const inventory: InventoryItem[] = [];
  const policyFiles: SourceFile[] = [];
  const problems: PolicyProblem[] = [];
  for (const file of files.filter(({ name }) => names.includes(name))) {
    const read = readInventory(file);
    if (read === undefined) {
      if (isPolicy(file)) policyFiles.push(file);
      else problems.push(strangerProblem(file));
    } else {
      inventory.push(...read.items);
      problems.push(...read.problems);
    }
  }
  return { inventory, policyFiles, problems };
}

function readInventory(file: SourceFile): { items: InventoryItem[]; problems: PolicyProblem[] } | undefined {
  const { documents } = readYaml(file);
  const value = documents.find((document) => isInventory(document.value));
  if (value === undefined) return undefined;
  const items: InventoryItem[] = [];
  const problems: PolicyProblem[] = [];
  (value.value as { workloads: unknown[] }).workloads.forEach((raw, index) => {
    const { id, labels, addresses } = (raw ?? {}) as { id?: unknown; labels?: unknown; addresses?: unknown };
    const entries = typeof labels === 'object' && labels !== null ? Object.entries(labels) : [];
    const [first] = Array.isArray(addresses) ? addresses : [];
    const address = typeof first === 'string' ? parseAddress(first) : undefined;
    const good = typeof id === 'string' && id !== '' && entries.every(([, text]) => typeof text === 'string');
    if (good && (first === undefined || address !== undefined)) {
      items.push({ id, labels: Object.fromEntries(entries) as Labels, address });
      return;
    }
    const { line, column, found } = value.locate(['workloads', index]);
    const wanted = '{id: TEXT, labels: {dimension: TEXT}, addresses: [IP]}';
    const message = `Cannot read workload number ${index + 1}: found ${found}, wanted ${wanted}`;
    problems.push({ code: 'RF_INVENTORY', message, file: file.name, line, column, found, wanted, warning: false });
  });
  return { items, problems };
}

/** Has a section of a policy file. What has none (values of a chart, a list of resources) cannot be one with a mistake in it. */
function isPolicy(file: SourceFile): boolean {
  return readYaml(file).documents.some(
    ({ value }) =>
      typeof value === 'object' && value !== null && Object.keys(EMPTY_DOCUMENT).some((key) => key in value),
  );
}

function strangerProblem(file: SourceFile): PolicyProblem {
  const wanted = 'a Kubernetes object, a Ringfence policy or an inventory';
  const found = (file.text.split('\n').find((line) => /^[^\s#-]/.test(line)) ?? '').trim().slice(0, 60);
  return {
    code: 'RF_REACH_STRANGER',
    message: `Cannot use ${file.name}: found ${found}, wanted ${wanted}; the answer leaves it out`,
    file: file.name,
    line: 0,
    column: 0,
    found,
    wanted,
    warning: true,
  };
}

function isInventory(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'workloads' in value && Array.isArray(value.workloads);
}

function refusalProblem(refusal: { readonly policy: string; readonly reason: string }): PolicyProblem {
  const wanted = 'what our model can say';
  return {
    code: 'RF_IMPORT_REFUSED',
    message: refusal.reason,
    file: '',
    line: 0,
    column: 0,
    found: refusal.policy,
    wanted,
    warning: false,
  };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
