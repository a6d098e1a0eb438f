// The Spaces service: declared spaces in, what they and the agents' findings amount to out.
import { addressFromHex, formatAddress, formatPrefix, isIpv4 } from '@ringfence/proto/address.js';
import {
  type SpaceHop,
  SpaceInfo,
  type SpacePathResponse,
  type SpacesServer,
} from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { Confidence, type Problem } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Logger } from 'pino';
import { originOf, putSpaces, storedTree } from '../discovery/space-book.js';
import type { Distributor } from '../session/distributor.js';
import { SPACES_KEY, type WorkloadRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { declareSpaces } from '../topology/declare.js';
import { LOCAL, type SourceTranslation, type SpaceTree, WORLD } from '../topology/spaces.js';
import { HOST_ITSELF, hostOfScope, hostScope } from '../topology/view.js';
import { invalid, unary } from './errors.js';
import { findWorkload } from './workloads-service.js';

export interface SpacesOptions {
  readonly store: StateStore;
  readonly index: WorkloadIndex;
  readonly distributor: Distributor;
  readonly now: () => number;
  readonly log: Logger;
}

const DECLARATION = 'declaration';
const AGENT = 'agent';
const CONTENT_MAX = 8_000_000;
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp', 136: 'udplite' };

export function spacesService(options: SpacesOptions): SpacesServer {
  const { store, log, now } = options;
  return {
    apply: unary(log, async ({ content, file, dryRun }) => {
      if (content.length > CONTENT_MAX)
        throw invalid(
          'RF_SPACES_SIZE',
          `Cannot apply spaces: found ${content.length} characters, wanted at most ${CONTENT_MAX}`,
        );
      const name = file === '' ? 'spaces' : file;
      const { tree, problems } = declareSpaces(name, content);
      const told = problems.map(
        (problem): Problem => ({ ...problem, file: name, found: '', wanted: '', warning: false }),
      );
      if (tree === undefined) return { accepted: false, changed: false, spaces: 0, problems: told };
      const changed = store.get('spaces', SPACES_KEY)?.content !== content;
      if (changed && !dryRun) {
        await store.update((tx) => putSpaces(tx, SPACES_KEY, content, now()));
        await options.distributor.flushed();
      }
      return { accepted: true, changed, spaces: tree.all().length, problems: unknownHosts(options, tree, name) };
    }),
    list: unary(log, ({ name }) => ({
      spaces: listSpaces(options).filter((space) => name === '' || space.name === name),
    })),
    path: unary(log, ({ source, destination, family }) => {
      if (![0, 4, 6].includes(family))
        throw invalid('RF_SPACE_FAMILY', `Cannot find the path: found family ${family}, wanted 4, 6 or 0`);
      const [from, to] = [findWorkload(options.index, source), findWorkload(options.index, destination)];
      const families = family === 0 ? [4, 6] : [family];
      const paths = families.map((each) => pathOf(options, from, to, each === 4));
      return paths.find(({ reachable }) => reachable) ?? paths[0] ?? nowhere(from, to);
    }),
  };
}

/** Warnings: a host that is named may come later. */
function unknownHosts({ store }: SpacesOptions, tree: SpaceTree, file: string): Problem[] {
  return tree.all().flatMap((space) =>
    space.hosts
      .filter((host) => store.get('host', host) === undefined)
      .map((host) => ({
        code: 'RF_SPACE_HOST',
        message: `Space ${space.name} names host ${host}: found no such host yet`,
        file,
        line: 0,
        column: 0,
        found: host,
        wanted: 'the id of a host',
        warning: true,
      })),
  );
}

function treeOf({ store }: SpacesOptions): SpaceTree {
  return storedTree(store.table('spaces'), store.table('translation'));
}

function listSpaces(options: SpacesOptions): SpaceInfo[] {
  const tree = treeOf(options);
  const spaces = new Map<string, SpaceInfo>();
  const blank = (name: string, parent: string, origin: string): SpaceInfo => {
    const made = SpaceInfo.create({ name, parent, declared: origin === DECLARATION, origin });
    spaces.set(name, made);
    return made;
  };
  const world = blank(WORLD, '', DECLARATION);
  for (const space of tree.all()) {
    const connector = originOf(options.store.table('spaces'), space.name);
    const info = blank(space.name, space.parent, connector === '' ? DECLARATION : `connector:${connector}`);
    info.gateway = space.gateway ?? '';
    info.hosts = [...space.hosts].sort();
    info.networks = space.networks.map(formatPrefix);
    info.sources = space.sources.map(sourceText);
    info.destinations = space.destinations.map((each) =>
      [
        `${protocolText(each.protocol)} ${formatAddress(each.address)}:${each.port}`,
        `${formatAddress(each.to)}:${each.toPort}`,
      ].join(' → '),
    );
  }
  for (const record of options.store.table('workload').values()) {
    if (!record.present) continue;
    const seen = new Set<string>();
    for (const { space } of record.addresses) {
      const own = space === WORLD && record.hostId !== '' ? tree.ofHost(record.hostId) : space;
      seen.add(own.startsWith(LOCAL) ? localName(own, record.hostId) : own);
      if (own.startsWith(LOCAL) && !spaces.has(localName(own, record.hostId)))
        spaces.set(localName(own, record.hostId), localSpace(options, tree, own, record.hostId));
      if (record.localId === HOST_ITSELF && own === WORLD && !world.hosts.includes(record.hostId))
        world.hosts.push(record.hostId);
    }
    for (const name of seen) {
      const space = spaces.get(name) ?? blank(name, '', AGENT);
      space.workloads += 1;
      if (!name.startsWith(LOCAL)) continue;
      for (const { protocol, port, toPort, scope, hex } of options.distributor.topology.servicesOf(record.id)) {
        if (scope === hostScope(record.hostId)) continue;
        const outside = `${protocolText(protocol)} ${formatAddress(addressFromHex(hex))}:${port}`;
        space.destinations.push(`${outside} → ${record.name}:${toPort}`);
      }
    }
  }
  return [...spaces.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function localName(space: string, hostId: string): string {
  return `${space} on ${hostId}`;
}

function localSpace(options: SpacesOptions, tree: SpaceTree, space: string, hostId: string): SpaceInfo {
  const outside = hostAddresses(options, hostId);
  return SpaceInfo.create({
    name: localName(space, hostId),
    parent: tree.ofHost(hostId),
    origin: AGENT,
    hosts: [hostId],
    sources: outside.length === 0 ? [] : [`behind ${outside.join(', ')}`],
  });
}

function hostAddresses({ store }: SpacesOptions, hostId: string): string[] {
  const host = store.get('workload', `${hostId}/${HOST_ITSELF}`);
  return (host?.addresses ?? [])
    .filter(({ space }) => !space.startsWith(LOCAL))
    .map(({ ip }) => formatAddress(addressFromHex(ip)));
}

function sourceText(source: SourceTranslation): string {
  if (source.kind === 'one-to-one') return `${formatPrefix(source.inside)} one to one ${formatPrefix(source.outside)}`;
  if (source.kind === 'ports') {
    return `${formatPrefix(source.inside)} as ports ${source.low}-${source.high} of ${formatAddress(source.outside)}`;
  }
  const behind = `behind ${source.addresses.map(formatAddress).join(', ')}`;
  return source.inside === undefined ? behind : `${formatPrefix(source.inside)} ${behind}`;
}

function protocolText(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? String(protocol);
}

function nowhere(from: WorkloadRecord, to: WorkloadRecord): SpacePathResponse {
  return {
    sourceId: from.id,
    destinationId: to.id,
    hops: [],
    sourceConfidence: Confidence.CONFIDENCE_UNKNOWN,
    sharedWith: [],
    destinationAddress: '',
    destinationConfidence: Confidence.CONFIDENCE_UNKNOWN,
    services: [],
    reachable: false,
    alsoSeenAs: [],
  };
}

/** The way for one family: what the compiler tells the hosts, hop by hop. */
function pathOf(options: SpacesOptions, from: WorkloadRecord, to: WorkloadRecord, v4: boolean): SpacePathResponse {
  const { topology } = options.distributor;
  const tree = treeOf(options);
  const path = nowhere(from, to);
  const fits = (hex: string) => isIpv4(addressFromHex(hex)) === v4;
  const text = (hex: string) => formatAddress(addressFromHex(hex));
  // What the source can call.
  const near = topology.scopes(from.hostId);
  const own = new Set(to.addresses.map(({ ip }) => ip));
  const plain = topology.placesOf(to.id).find(({ scope, hex }) => own.has(hex) && near.includes(scope) && fits(hex));
  if (plain !== undefined) {
    path.destinationAddress = text(plain.hex);
    path.destinationConfidence = confidenceOf(topology.behind(from.hostId, plain.hex));
  } else {
    path.services = topology
      .servicesOf(to.id)
      .filter(({ scope, hex }) => near.includes(scope) && fits(hex))
      .map(({ protocol, hex, port, toPort }) => ({ protocol, address: text(hex), port, workloadPort: toPort }));
    if (path.services.length > 0) path.destinationConfidence = Confidence.CONFIDENCE_MAPPED;
  }
  // What the destination's host sees.
  const far = to.hostId === '' ? [WORLD] : topology.scopes(to.hostId);
  const start = from.addresses.find(({ ip }) => fits(ip));
  if (start !== undefined) {
    path.hops = climb(options, tree, from, start, far);
    const drawn = new Set(path.hops.map(({ address }) => address));
    path.alsoSeenAs = seenToLeaveAs(options, from, start.ip).filter((address) => !drawn.has(address));
  }
  const seen = topology.placesOf(from.id).find(({ scope, hex }) => far.includes(scope) && fits(hex));
  const last = path.hops.at(-1);
  if (last !== undefined && seen !== undefined) {
    const hop = topology.placesOf(from.id).find(({ hex, scope }) => far.includes(scope) && text(hex) === last.address);
    const behind = topology.behind(to.hostId, (hop ?? seen).hex);
    path.sourceConfidence = confidenceOf(behind);
    path.sharedWith = behind.filter((id) => id !== from.id);
  }
  path.reachable = (plain !== undefined || path.services.length > 0) && path.hops.length > 0;
  return path;
}

/** Addresses under which the source's host, or a gateway on the way, was seen to let it leave; as text. */
function seenToLeaveAs({ store }: SpacesOptions, from: WorkloadRecord, ip: string): string[] {
  const pairs = from.hostId === '' ? [] : (store.get('translation', from.hostId)?.pairs ?? []);
  return pairs.filter(({ inside }) => inside === ip).map(({ outside }) => formatAddress(addressFromHex(outside)));
}

function confidenceOf(behind: readonly string[]): Confidence {
  if (behind.length === 0) return Confidence.CONFIDENCE_UNKNOWN;
  return behind.length === 1 ? Confidence.CONFIDENCE_EXACT : Confidence.CONFIDENCE_SHARED;
}

/** In words, when nobody declared how this address of the space is translated but a gateway was seen doing it. */
function observerOf(tree: SpaceTree, name: string, hex: string): string | undefined {
  const space = tree.get(name);
  if (space?.gateway === undefined || tree.outwards({ space: name, hex })?.kind !== 'shared') return undefined;
  return `source translation of space ${name}, as seen at gateway ${space.gateway}`;
}

/** From the source's own address outwards, until the destination's host sees it. */
function climb(
  options: SpacesOptions,
  tree: SpaceTree,
  from: WorkloadRecord,
  start: { readonly ip: string; readonly space: string },
  far: readonly string[],
): SpaceHop[] {
  const hops: SpaceHop[] = [];
  const put = (space: string, hex: string, by: string) =>
    hops.push({ space, address: formatAddress(addressFromHex(hex)), by });
  let { space, ip: hex } = start;
  if (space.startsWith(LOCAL)) {
    put(localName(space, from.hostId), hex, '');
    if (far.some((scope) => hostOfScope(scope) === from.hostId)) return hops;
    const v4 = isIpv4(addressFromHex(hex));
    const host = options.store.get('workload', `${from.hostId}/${HOST_ITSELF}`);
    const outside = host?.addresses.find(
      (each) => !each.space.startsWith(LOCAL) && isIpv4(addressFromHex(each.ip)) === v4,
    );
    if (outside === undefined) return [];
    space = tree.ofHost(from.hostId);
    hex = outside.ip;
    put(space, hex, `masquerade of host ${from.hostId}`);
  } else {
    if (space === WORLD && from.hostId !== '') space = tree.ofHost(from.hostId);
    put(space, hex, '');
  }
  while (!far.includes(space)) {
    const step = tree.outwards({ space, hex });
    const [next] = step?.hex ?? [];
    if (step === undefined || next === undefined) return [];
    const words = { routed: 'routed', shared: 'source translation', 'one-to-one': 'one to one', ports: 'port block' };
    const observer = observerOf(tree, space, hex);
    put(step.to, next, observer ?? `${words[step.kind]} of space ${space}`);
    space = step.to;
    hex = next;
  }
  return hops;
}
