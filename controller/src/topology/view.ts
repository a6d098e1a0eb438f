// Which host sees which peer under which address. Around a host lie scopes, from the inside out: its own private container
// networks, the space of its own addresses, the spaces around that, the routed world. A host sees what is in its scopes; the same
// address further in hides the one further out. A workload appears in the scope of its own address and, translated, in every
// scope outside it: so on another host a container behind its host's masquerade is one more workload behind the host's address.
import { addressFromHex, addressHex, isIpv4 } from '@ringfence/proto/address.js';
import { LOCAL, SpaceTree, type Spot, WORLD } from './spaces.js';

export { WORLD } from './spaces.js';

/** An address in the space it is meaningful in. */
export interface SpaceAddress {
  readonly space: string;
  /** Mapped bytes. */
  readonly address: Uint8Array;
}

/** A port of a workload that its host answers for. */
export interface Published {
  readonly protocol: number;
  /** Address on the host, mapped bytes; 0.0.0.0 or ::: all of that family; undefined: all. */
  readonly address: Uint8Array | undefined;
  readonly hostPort: number;
  readonly port: number;
}

/** Something with addresses: a workload, on a host or (hostId empty) without an agent. */
export interface Located {
  readonly hostId: string;
  /** HOST_ITSELF, or any other id. */
  readonly localId: string;
  readonly addresses: readonly SpaceAddress[];
  readonly published?: readonly Published[] | undefined;
  /** Addresses under which its connections were seen to leave its host, beside what its spaces say. Mapped bytes. */
  readonly leavesAs?: readonly Uint8Array[] | undefined;
}

/** An address in a scope. */
export interface Place {
  readonly scope: string;
  /** Hexadecimal. */
  readonly hex: string;
  readonly key: string;
  /** It was seen there until lately, and is not any more. Default: false. */
  readonly former?: boolean | undefined;
}

/** A translated address and port in a scope, and the workload's own port behind it. */
export interface ServicePlace extends Place {
  readonly protocol: number;
  readonly port: number;
  readonly toPort: number;
}

/** The id under which an agent reports the host itself. */
export const HOST_ITSELF = 'host';

/** The scope of a host's private networks. No space has such a name. */
export function hostScope(hostId: string): string {
  return `@${hostId}`;
}

/** The host of a host's scope; undefined for other scopes. */
export function hostOfScope(scope: string): string | undefined {
  return scope.startsWith('@') ? scope.slice(1) : undefined;
}

/** Key of an address in a scope. */
export function placeKey(scope: string, hex: string): string {
  return scope === WORLD ? hex : `${scope}|${hex}`;
}

/** Key of an address and port in a scope. */
export function serviceKey(scope: string, protocol: number, hex: string, port: number): string {
  return `${scope}|${protocol}|${port}|${hex}`;
}

/** What others see of a host. */
interface HostFacts {
  /** Addresses of the host itself in its own space, and on its private networks. */
  routed: ReadonlySet<string>;
  bridges: ReadonlySet<string>;
  /** Addresses on private networks, with the number of workloads that have each. */
  readonly inner: Map<string, number>;
  /** Addresses under which workloads were seen to leave, with the number of workloads. */
  readonly left: Map<string, number>;
  /** Families (true: IPv4) in which somebody else is behind the host's addresses. */
  hides: ReadonlySet<boolean>;
}

const NO_FACTS: HostFacts = {
  routed: new Set(),
  bridges: new Set(),
  inner: new Map(),
  left: new Map(),
  hides: new Set(),
};

/** Spaces, hosts and who is behind them. Facts are told by `add` and `remove`; `settle` says where they changed the view. */
export class Topology {
  #tree: SpaceTree;
  readonly #hosts = new Map<string, HostFacts>();
  readonly #told = new Set<string>();
  readonly #scopes = new Map<string, readonly string[]>();

  constructor(tree: SpaceTree = SpaceTree.EMPTY) {
    this.#tree = tree;
  }

  get tree(): SpaceTree {
    return this.#tree;
  }

  /** Other spaces. Gives what must be asked for again: the places of what is in these spaces, the scopes of these hosts. */
  setTree(tree: SpaceTree): { readonly spaces: ReadonlySet<string>; readonly hosts: ReadonlySet<string> } {
    const before = this.#tree;
    this.#tree = tree;
    const spaces = new Set<string>();
    const hosts = new Set<string>();
    for (const name of tree.changedSince(before)) {
      for (const now of [before, tree]) {
        for (const inside of now.within(name)) {
          spaces.add(inside);
          for (const host of now.get(inside)?.hosts ?? []) hosts.add(host);
        }
      }
    }
    const moved = [...hosts].filter(
      (host) => before.chain(before.ofHost(host)).join() !== tree.chain(tree.ofHost(host)).join(),
    );
    for (const host of moved) this.#scopes.delete(host);
    return { spaces, hosts: new Set(moved) };
  }

  /** The scopes that a host sees, from the inside out. */
  scopes(hostId: string): readonly string[] {
    let scopes = this.#scopes.get(hostId);
    if (scopes === undefined) {
      scopes = [hostScope(hostId), ...this.#tree.chain(this.#tree.ofHost(hostId))];
      this.#scopes.set(hostId, scopes);
    }
    return scopes;
  }

  /** The scopes outside a scope, from the inside out. */
  around(scope: string): readonly string[] {
    const host = hostOfScope(scope);
    return host === undefined ? this.#tree.chain(scope).slice(1) : this.scopes(host).slice(1);
  }

  /** Ids of the hosts that see a scope; not for the routed world, which everybody sees. */
  hostsSeeing(scope: string): ReadonlySet<string> {
    const host = hostOfScope(scope);
    if (host !== undefined) return new Set([host]);
    return new Set(this.#tree.within(scope).flatMap((name) => this.#tree.get(name)?.hosts ?? []));
  }

  add(workload: Located): void {
    this.#note(workload, 1);
  }

  remove(workload: Located): void {
    this.#note(workload, -1);
  }

  /** Hosts whose workloads are seen elsewhere than before the last call. */
  settle(): string[] {
    const changed: string[] = [];
    for (const hostId of this.#told) {
      const facts = this.#hosts.get(hostId);
      if (facts === undefined) continue;
      const hides = new Set<boolean>();
      for (const hex of facts.inner.keys()) if (!facts.bridges.has(hex)) hides.add(isIpv4(addressFromHex(hex)));
      for (const hex of facts.left.keys()) if (facts.routed.has(hex)) hides.add(isIpv4(addressFromHex(hex)));
      const key = keyOf(facts, hides);
      if (key !== this.#keys.get(hostId)) changed.push(hostId);
      this.#keys.set(hostId, key);
      facts.hides = hides;
      if (facts.inner.size + facts.left.size + facts.routed.size + facts.bridges.size > 0) continue;
      this.#hosts.delete(hostId);
      this.#keys.delete(hostId);
    }
    this.#told.clear();
    return changed;
  }

  readonly #keys = new Map<string, string>();

  /** Where a workload's addresses appear: distinct. */
  placesOf(workload: Located): Place[] {
    const { hostId } = workload;
    const facts = this.#hosts.get(hostId) ?? NO_FACTS;
    const places = new Map<string, Place>();
    const put = (scope: string, hex: string) => {
      const key = placeKey(scope, hex);
      places.set(key, { scope, hex, key });
    };
    const former: Spot[] = [];
    const outside = (spot: Spot) => {
      put(spot.space, spot.hex);
      for (const { space, hex } of this.#tree.climb(spot)) put(space, hex);
      former.push(...this.#tree.climbedFormerly(spot));
    };
    for (const at of workload.addresses) {
      const hex = addressHex(at.address);
      const space = this.#spaceOf(workload, at.space);
      if (space === undefined) continue;
      if (space !== LOCAL) {
        outside({ space, hex });
        // On its own host the address means the host and its services, not who leaves the host under it.
        if (facts.routed.has(hex) && facts.hides.has(isIpv4(at.address))) put(hostScope(hostId), hex);
        continue;
      }
      put(hostScope(hostId), hex);
      if (facts.bridges.has(hex)) continue;
      for (const host of sameFamily(facts.routed, at.address)) outside({ space: this.#tree.ofHost(hostId), hex: host });
    }
    for (const address of workload.leavesAs ?? [])
      outside({ space: this.#tree.ofHost(hostId), hex: addressHex(address) });
    for (const { space, hex } of former) {
      const key = placeKey(space, hex);
      if (!places.has(key)) places.set(key, { scope: space, hex, key, former: true });
    }
    return [...places.values()];
  }

  /** Where a workload's services are reached under another address and port: published ports and declared mappings; distinct. */
  servicesOf(workload: Located): ServicePlace[] {
    const { hostId } = workload;
    const facts = this.#hosts.get(hostId) ?? NO_FACTS;
    const space = this.#tree.ofHost(hostId);
    const places = new Map<string, ServicePlace>();
    const put = (scope: string, hex: string, protocol: number, port: number, toPort: number) => {
      const key = serviceKey(scope, protocol, hex, port);
      places.set(key, { scope, hex, key, protocol, port, toPort });
    };
    for (const at of workload.addresses) {
      const own = this.#spaceOf(workload, at.space);
      if (own === undefined || own === LOCAL) continue;
      for (const outer of this.#tree.expose({ space: own, hex: addressHex(at.address) }))
        put(outer.space, outer.hex, outer.protocol, outer.port, outer.toPort);
    }
    for (const { protocol, address, hostPort, port } of hostId === '' ? [] : (workload.published ?? [])) {
      for (const hex of listening(facts.bridges, address)) put(hostScope(hostId), hex, protocol, hostPort, port);
      for (const hex of listening(facts.routed, address)) {
        put(space, hex, protocol, hostPort, port);
        for (const outer of this.#tree.expose({ space, hex, protocol, port: hostPort }, port))
          put(outer.space, outer.hex, outer.protocol, outer.port, outer.toPort);
      }
    }
    return [...places.values()];
  }

  /** LOCAL for a private network of its host; undefined for a space that nobody knows. */
  #spaceOf(workload: Located, space: string): string | undefined {
    if (space.startsWith(LOCAL)) return workload.hostId === '' ? undefined : LOCAL;
    const own = space === WORLD && workload.hostId !== '' ? this.#tree.ofHost(workload.hostId) : space;
    return this.#tree.has(own) ? own : undefined;
  }

  #note(workload: Located, by: 1 | -1): void {
    const { hostId, localId } = workload;
    if (hostId === '') return;
    const facts = this.#hosts.get(hostId) ?? {
      ...NO_FACTS,
      inner: new Map<string, number>(),
      left: new Map<string, number>(),
    };
    let touched = localId === HOST_ITSELF;
    if (touched) {
      const own = by > 0 ? workload.addresses : [];
      const within = (local: boolean) =>
        new Set(own.filter(({ space }) => space.startsWith(LOCAL) === local).map(({ address }) => addressHex(address)));
      facts.routed = within(false);
      facts.bridges = within(true);
    }
    const tell = (counts: Map<string, number>, address: Uint8Array) => {
      touched = true;
      const hex = addressHex(address);
      const count = (counts.get(hex) ?? 0) + by;
      if (count > 0) counts.set(hex, count);
      else counts.delete(hex);
    };
    for (const { space, address } of workload.addresses) if (space.startsWith(LOCAL)) tell(facts.inner, address);
    for (const address of workload.leavesAs ?? []) tell(facts.left, address);
    if (!touched) return;
    this.#hosts.set(hostId, facts);
    this.#told.add(hostId);
  }
}

function keyOf(facts: HostFacts, hides: ReadonlySet<boolean>): string {
  return [[...facts.routed].sort(), [...facts.bridges].sort(), [...hides].sort()].map((part) => part.join()).join('|');
}

function sameFamily(addresses: Iterable<string>, like: Uint8Array): string[] {
  return [...addresses].filter((hex) => isIpv4(addressFromHex(hex)) === isIpv4(like));
}

/** Of a host's addresses those on which something bound to `address` listens. */
function listening(own: ReadonlySet<string>, address: Uint8Array | undefined): string[] {
  if (address === undefined) return [...own];
  const text = addressHex(address);
  const any = isIpv4(address) ? address.subarray(12).every((byte) => byte === 0) : address.every((byte) => byte === 0);
  return any ? sameFamily(own, address) : own.has(text) ? [text] : [];
}
