// Address spaces and who translates between them: a tree with the routed world at its root. Only spaces that somebody declared
// stand here; the private networks of a host's containers hang below their host by themselves (view.ts).
import { type AddressPrefix, addressFromHex, addressHex, isIpv4, prefixCovers } from '@ringfence/proto/address.js';

/** The name of the routed world, which is everybody's outermost space. */
export const WORLD = '';
/** What begins the names that agents give to private networks of their own host. */
export const LOCAL = 'local:';

/** How an address is seen one space further out. */
export type SourceTranslation =
  /** Behind one of these addresses (one, or a pool), whichever the translator takes; of the space, or of `inside` alone. */
  | { readonly kind: 'shared'; readonly addresses: readonly Uint8Array[]; readonly inside?: AddressPrefix | undefined }
  /** Each address of `inside` has one of its own: the same bits below the prefix. */
  | { readonly kind: 'one-to-one'; readonly inside: AddressPrefix; readonly outside: AddressPrefix }
  /** Addresses of `inside` leave from these ports of one address. Kernels know the address as shared. */
  | {
      readonly kind: 'ports';
      readonly inside: AddressPrefix;
      readonly outside: Uint8Array;
      readonly low: number;
      readonly high: number;
    };

/** Whoever calls `address` and `port` in the outer space reaches `to` and `toPort` in this one. */
export interface DestinationMapping {
  readonly protocol: number;
  readonly address: Uint8Array;
  readonly port: number;
  readonly to: Uint8Array;
  readonly toPort: number;
}

/** A declared space. */
export interface Space {
  readonly name: string;
  /** The next space outwards. */
  readonly parent: string;
  /** Ids of the hosts whose own addresses are meaningful here. */
  readonly hosts: readonly string[];
  /** Id of the host that translates for it, and whose agent tells how; undefined: only what is declared counts. */
  readonly gateway?: string | undefined;
  /** Ranges that are used here; empty: not said. */
  readonly networks: readonly AddressPrefix[];
  /** A family without any: its addresses are the same outside (routed). */
  readonly sources: readonly SourceTranslation[];
  /** `sources` as they were until lately, each as a whole: connections that were opened then still come from there. Default: none. */
  readonly formerSources?: readonly (readonly SourceTranslation[])[] | undefined;
  readonly destinations: readonly DestinationMapping[];
}

/** An address in a space, hexadecimal; with a port, one service of it. */
export interface Spot {
  readonly space: string;
  readonly hex: string;
}

/** A translated address and port in a space. */
export interface ServiceSpot extends Spot {
  readonly protocol: number;
  readonly port: number;
}

/** How one step outwards changes an address. */
export interface Step {
  readonly to: string;
  readonly kind: 'routed' | 'shared' | 'one-to-one' | 'ports';
  readonly hex: readonly string[];
}

/** Declared spaces, valid (declare.ts checks). Immutable. */
export class SpaceTree {
  static readonly EMPTY = new SpaceTree([]);
  readonly #byName = new Map<string, Space>();
  readonly #byHost = new Map<string, string>();
  readonly #chains = new Map<string, readonly string[]>();
  readonly #inside = new Map<string, string[]>();

  constructor(spaces: readonly Space[]) {
    for (const space of spaces) {
      this.#byName.set(space.name, space);
      for (const host of space.hosts) this.#byHost.set(host, space.name);
      const siblings = this.#inside.get(space.parent);
      if (siblings === undefined) this.#inside.set(space.parent, [space.name]);
      else siblings.push(space.name);
    }
  }

  /** Declared ones, by name. */
  all(): readonly Space[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): Space | undefined {
    return this.#byName.get(name);
  }

  /** True for the routed world and every declared space. */
  has(name: string): boolean {
    return name === WORLD || this.#byName.has(name);
  }

  /** Where a host's own addresses are meaningful. */
  ofHost(hostId: string): string {
    return this.#byHost.get(hostId) ?? WORLD;
  }

  /** A space and all around it, from the inside out; ends with the routed world. */
  chain(name: string): readonly string[] {
    const known = this.#chains.get(name);
    if (known !== undefined) return known;
    const chain: string[] = [];
    for (let at = name; at !== WORLD; at = this.#byName.get(at)?.parent ?? WORLD) chain.push(at);
    chain.push(WORLD);
    this.#chains.set(name, chain);
    return chain;
  }

  /** A space and all inside it, from the outside in. */
  within(name: string): string[] {
    const found = [name];
    for (const at of found) found.push(...(this.#inside.get(at) ?? []));
    return found;
  }

  /** Names of the spaces that are new, gone or declared otherwise than in an earlier tree. */
  changedSince(before: SpaceTree): string[] {
    const changed = [...before.#byName.keys()].filter((name) => !this.#byName.has(name));
    for (const [name, space] of this.#byName) if (!sameSpace(before.#byName.get(name), space)) changed.push(name);
    return changed;
  }

  /** How an address of a declared space is seen in the next space outwards. */
  outwards(spot: Spot): Step | undefined {
    const space = this.#byName.get(spot.space);
    return space === undefined ? undefined : stepOut(space.parent, space.sources, spot.hex);
  }

  /** Everywhere outside its own space where the address appears as a source. */
  climb(spot: Spot): Spot[] {
    const found: Spot[] = [];
    let now: readonly Spot[] = [spot];
    while (now.length > 0) {
      const next = now.flatMap((each) => {
        const step = this.outwards(each);
        return step === undefined ? [] : step.hex.map((hex) => ({ space: step.to, hex }));
      });
      found.push(...next);
      now = next;
    }
    return found;
  }

  /** Everywhere outside where it appeared by a translation that is no more; what `climb` gives as well may be among it. */
  climbedFormerly(spot: Spot): Spot[] {
    const found: Spot[] = [];
    let now: readonly Spot[] = [spot];
    while (now.length > 0) {
      for (const each of now) {
        const space = this.#byName.get(each.space);
        if (space === undefined) continue;
        for (const sources of space.formerSources ?? []) {
          for (const hex of stepOut(space.parent, sources, each.hex)?.hex ?? []) {
            const outer = { space: space.parent, hex };
            found.push(outer, ...this.climb(outer));
          }
        }
      }
      now = now.flatMap((each) => {
        const step = this.outwards(each);
        return step === undefined ? [] : step.hex.map((hex) => ({ space: step.to, hex }));
      });
    }
    return found;
  }

  /**
   * Everywhere outside its own space where a service is reached by a mapping. `port` undefined: any port of the address, then the
   * mapping says which (`toPort`).
   */
  expose(
    spot: Spot & { readonly protocol?: number | undefined; readonly port?: number | undefined },
    toPort?: number,
  ): (ServiceSpot & { readonly toPort: number })[] {
    const space = this.#byName.get(spot.space);
    if (space === undefined) return [];
    const found: (ServiceSpot & { readonly toPort: number })[] = [];
    for (const mapping of mappingsTo(space, spot.hex)) {
      if (spot.port !== undefined && (spot.port !== mapping.toPort || spot.protocol !== mapping.protocol)) continue;
      found.push({
        space: space.parent,
        hex: addressHex(mapping.address),
        protocol: mapping.protocol,
        port: mapping.port,
        toPort: toPort ?? mapping.toPort,
      });
    }
    const step = this.outwards(spot);
    const kept = step !== undefined && (step.kind === 'one-to-one' || step.kind === 'routed') ? step : undefined;
    for (const hex of kept?.hex ?? []) {
      const outer = { space: kept?.to ?? WORLD, hex };
      if (spot.port === undefined || spot.protocol === undefined) found.push(...this.expose(outer, toPort));
      else found.push({ ...outer, protocol: spot.protocol, port: spot.port, toPort: toPort ?? spot.port });
    }
    const further = found.flatMap((each) => this.expose(each, each.toPort));
    return [...found, ...further];
  }
}

/** A space's mappings by the address that they lead to. */
const MAPPINGS = new WeakMap<Space, ReadonlyMap<string, readonly DestinationMapping[]>>();

function mappingsTo(space: Space, hex: string): readonly DestinationMapping[] {
  if (space.destinations.length === 0) return [];
  let index = MAPPINGS.get(space);
  if (index === undefined) {
    const made = new Map<string, DestinationMapping[]>();
    for (const mapping of space.destinations) {
      const to = addressHex(mapping.to);
      const others = made.get(to);
      if (others === undefined) made.set(to, [mapping]);
      else others.push(mapping);
    }
    MAPPINGS.set(space, made);
    index = made;
  }
  return index.get(hex) ?? [];
}

function sameSpace(a: Space | undefined, b: Space): boolean {
  return a === b || (a !== undefined && spaceText(a) === spaceText(b));
}

/** All that a space says, in one text. */
function spaceText(space: Space): string {
  return JSON.stringify(space, (_, value: unknown) => (value instanceof Uint8Array ? addressHex(value) : value));
}

/** An address one space further out, by these translations; undefined: nothing of its family leads there. */
function stepOut(to: string, sources: readonly SourceTranslation[], inner: string): Step | undefined {
  const address = addressFromHex(inner);
  const v4 = isIpv4(address);
  if (!sources.some((source) => translates(source, v4))) return { to, kind: 'routed', hex: [inner] };
  for (const source of sources) {
    if (source.kind === 'one-to-one' && prefixCovers(source.inside, address)) {
      return { to, kind: source.kind, hex: [addressHex(transplant(address, source.outside))] };
    }
  }
  for (const source of sources) {
    if (source.kind === 'ports' && prefixCovers(source.inside, address)) {
      return { to, kind: source.kind, hex: [addressHex(source.outside)] };
    }
  }
  const pool = (fits: (inside: AddressPrefix | undefined) => boolean) =>
    sources.flatMap((source) =>
      source.kind === 'shared' && fits(source.inside)
        ? source.addresses.filter((each) => isIpv4(each) === v4).map(addressHex)
        : [],
    );
  const narrow = pool((inside) => inside !== undefined && prefixCovers(inside, address));
  const hex = narrow.length > 0 ? narrow : pool((inside) => inside === undefined);
  return hex.length === 0 ? undefined : { to, kind: 'shared', hex };
}

function translates(source: SourceTranslation, v4: boolean): boolean {
  const addresses = source.kind === 'shared' ? source.addresses : [source.inside.address];
  return addresses.some((each) => isIpv4(each) === v4);
}

/** The address with the first bits of a prefix. */
export function transplant(address: Uint8Array, prefix: AddressPrefix): Uint8Array {
  const moved = Uint8Array.from(address);
  for (let bit = 0; bit < prefix.length; bit += 1) {
    const byte = bit >> 3;
    const mask = 0x80 >> (bit & 7);
    moved[byte] = ((moved[byte] ?? 0) & ~mask) | ((prefix.address[byte] ?? 0) & mask);
  }
  return moved;
}
