// Translated addresses and ports to the workload and port behind them: published ports, declared and pushed mappings. Every host
// that sees the scope of one is told it, named by its rules or not: without it the port would be judged as the host's own.
import { addressFromHex, addressHex } from '@ringfence/proto/address.js';
import type { NatAddress, NatState } from '@ringfence/proto/instructions.js';
import { type ServicePlace, serviceKey, WORLD } from '../topology/view.js';
import { adjust } from './counts.js';

/** A mapping that somebody pushed. */
export interface PushedMapping {
  readonly space: string;
  readonly protocol: number;
  /** Hexadecimal. */
  readonly hex: string;
  readonly port: number;
  readonly workloadId: string;
  readonly toPort: number;
}

/** Who is behind one. */
export interface Service {
  readonly workloadId: string;
  readonly identity: number;
  readonly port: number;
}

interface Mapped {
  readonly scope: string;
  readonly protocol: number;
  readonly hex: string;
  readonly port: number;
  /** By workload. */
  readonly holders: Map<string, Service>;
  pushed: PushedMapping | undefined;
}

/** Of one host. Shared between hosts. */
export interface NatChanges {
  readonly set: readonly NatState[];
  readonly removed: readonly NatAddress[];
}

const NO_CHANGES: NatChanges = { set: [], removed: [] };

export class NatTable {
  readonly #mapped = new Map<string, Mapped>();
  readonly #byScope = new Map<string, Map<string, Mapped>>();
  /** What the routed world maps, for hosts that start: most of what each of them holds. Made when asked for. */
  #world: readonly NatState[] | undefined;
  readonly #touched = new Map<string, Omit<Mapped, 'holders' | 'pushed'>>();
  readonly #touchedScopes = new Set<string>();
  #worldChanges: NatChanges | undefined;
  #isPlain: boolean | undefined;
  /** Services with the number of scopes that map them. */
  readonly #scopesOf = new Map<string, number>();
  readonly #pushedFor = new Map<string, Set<string>>();
  readonly #identityOf: (workloadId: string) => number;

  /** `identityOf`: 0 for an unknown workload. */
  constructor(identityOf: (workloadId: string) => number) {
    this.#identityOf = identityOf;
  }

  /** The workload answers at these places. */
  add(workloadId: string, identity: number, places: readonly ServicePlace[]): void {
    for (const place of places) {
      this.#at(place).holders.set(workloadId, { workloadId, identity, port: place.toPort });
    }
    for (const key of this.#pushedFor.get(workloadId) ?? []) this.#touchKey(key);
  }

  remove(workloadId: string, places: readonly ServicePlace[]): void {
    for (const place of places) {
      this.#at(place).holders.delete(workloadId);
      this.#drop(place.key);
    }
    for (const key of this.#pushedFor.get(workloadId) ?? []) this.#touchKey(key);
  }

  /** A mapping is pushed. It comes before a published port with the same address and port. */
  push(mapping: PushedMapping): void {
    const key = serviceKey(mapping.space, mapping.protocol, mapping.hex, mapping.port);
    this.withdraw(mapping);
    this.#at({ ...mapping, scope: mapping.space, key }).pushed = mapping;
    const keys = this.#pushedFor.get(mapping.workloadId) ?? new Set();
    this.#pushedFor.set(mapping.workloadId, keys.add(key));
  }

  withdraw(at: Pick<PushedMapping, 'space' | 'protocol' | 'hex' | 'port'>): void {
    const key = serviceKey(at.space, at.protocol, at.hex, at.port);
    const mapped = this.#mapped.get(key);
    if (mapped?.pushed === undefined) return;
    const keys = this.#pushedFor.get(mapped.pushed.workloadId);
    keys?.delete(key);
    if (keys?.size === 0) this.#pushedFor.delete(mapped.pushed.workloadId);
    this.#touchKey(key);
    mapped.pushed = undefined;
    this.#drop(key);
  }

  /** Who is reached under an address and port by a host with these scopes. */
  seenBy(scopes: readonly string[], protocol: number, hex: string, port: number): Service | undefined {
    for (const scope of scopes) {
      const service = this.#serviceOf(this.#mapped.get(serviceKey(scope, protocol, hex, port)));
      if (service !== undefined) return service;
    }
    return undefined;
  }

  /** Everything that a host with these scopes holds. */
  allSeenBy(scopes: readonly string[]): readonly NatState[] {
    this.#world ??= this.#inScope(WORLD);
    const inner = scopes.filter((scope) => scope !== WORLD && this.#byScope.has(scope));
    if (inner.length === 0) return this.#world;
    // From the outside in: the same address and port further in comes later and counts.
    const found = new Map<string, NatState>();
    let hides = false;
    for (const scope of inner.reverse()) {
      for (const state of this.#inScope(scope)) {
        const key = keyIn(WORLD, state);
        found.set(key, state);
        hides ||= this.#mapped.has(key);
      }
    }
    const outer = hides ? this.#world.filter((state) => !found.has(keyIn(WORLD, state))) : this.#world;
    return [...outer, ...found.values()];
  }

  /** Scopes in which something changed since the last sweep. */
  get touchedScopes(): ReadonlySet<string> {
    return this.#touchedScopes;
  }

  /** What changed since the last sweep for a host with these scopes: a superset. */
  changesFor(scopes: readonly string[]): NatChanges {
    if (this.#touched.size === 0) return NO_CHANGES;
    const inner = scopes.some((scope) => scope !== WORLD && this.#touchedScopes.has(scope));
    return (inner ? undefined : this.worldChanges) ?? this.#changesIn(scopes);
  }

  /** What changed in the routed world, for all hosts alike that see no other touched scope; undefined when to some of them it is hidden. */
  get worldChanges(): NatChanges | undefined {
    if (!this.#worldIsPlain()) return undefined;
    this.#worldChanges ??= this.#changesIn([WORLD]);
    return this.#worldChanges;
  }

  /** True when nothing that changed in the routed world is mapped in another scope as well. */
  #worldIsPlain(): boolean {
    this.#isPlain ??= [...this.#touched.values()].every(
      (at) => at.scope !== WORLD || (this.#scopesOf.get(serviceOf(at)) ?? 0) <= (this.#mapped.has(keyOf(at)) ? 1 : 0),
    );
    return this.#isPlain;
  }

  sweep(): void {
    this.#touched.clear();
    this.#touchedScopes.clear();
    this.#worldChanges = undefined;
    this.#isPlain = undefined;
  }

  #changesIn(scopes: readonly string[]): NatChanges {
    const set: NatState[] = [];
    const removed: NatAddress[] = [];
    for (const at of this.#touched.values()) {
      if (!scopes.includes(at.scope)) continue;
      const state = this.#stateAt(scopes, at);
      if (state === undefined) removed.push(addressOf(at));
      else set.push(state);
    }
    return set.length + removed.length === 0 ? NO_CHANGES : { set, removed };
  }

  #stateAt(scopes: readonly string[], at: Omit<Mapped, 'holders' | 'pushed'>): NatState | undefined {
    const service = this.seenBy(scopes, at.protocol, at.hex, at.port);
    if (service === undefined) return undefined;
    return { ...addressOf(at), identity: service.identity, workloadPort: service.port };
  }

  #inScope(scope: string): NatState[] {
    const mapped = [...(this.#byScope.get(scope) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return mapped.flatMap(([, each]) => this.#stateAt([scope], each) ?? []);
  }

  /** Of several published under one address and port, the first by id. */
  #serviceOf(mapped: Mapped | undefined): Service | undefined {
    if (mapped === undefined) return undefined;
    const { pushed } = mapped;
    const identity = pushed === undefined ? 0 : this.#identityOf(pushed.workloadId);
    if (pushed !== undefined && identity !== 0) return { workloadId: pushed.workloadId, identity, port: pushed.toPort };
    let first: Service | undefined;
    for (const holder of mapped.holders.values())
      if (first === undefined || holder.workloadId < first.workloadId) first = holder;
    return first;
  }

  #at(place: { scope: string; protocol: number; hex: string; port: number; key: string }): Mapped {
    const { scope, protocol, hex, port, key } = place;
    this.#touch(key, { scope, protocol, hex, port });
    let mapped = this.#mapped.get(key);
    if (mapped === undefined) {
      mapped = { scope, protocol, hex, port, holders: new Map(), pushed: undefined };
      this.#mapped.set(key, mapped);
      const others = this.#byScope.get(scope) ?? new Map<string, Mapped>();
      this.#byScope.set(scope, others.set(key, mapped));
      adjust(this.#scopesOf, serviceOf(mapped), 1);
    }
    return mapped;
  }

  #touchKey(key: string): void {
    const mapped = this.#mapped.get(key);
    if (mapped === undefined) return;
    this.#touch(key, mapped);
  }

  #touch(key: string, at: Omit<Mapped, 'holders' | 'pushed'>): void {
    this.#touched.set(key, at);
    this.#isPlain = undefined;
    this.#worldChanges = undefined;
    this.#touchedScopes.add(at.scope);
    if (at.scope === WORLD) this.#world = undefined;
  }

  #drop(key: string): void {
    const mapped = this.#mapped.get(key);
    if (mapped === undefined || mapped.holders.size > 0 || mapped.pushed !== undefined) return;
    this.#mapped.delete(key);
    adjust(this.#scopesOf, serviceOf(mapped), -1);
    const others = this.#byScope.get(mapped.scope);
    others?.delete(key);
    if (others?.size === 0) this.#byScope.delete(mapped.scope);
  }
}

function keyIn(scope: string, state: NatState): string {
  return serviceKey(scope, state.protocol, addressHex(state.address), state.port);
}

/** The key of a mapping. */
function keyOf(at: Omit<Mapped, 'holders' | 'pushed'>): string {
  return serviceKey(at.scope, at.protocol, at.hex, at.port);
}

/** The same service in whatever scope. */
function serviceOf({ protocol, hex, port }: Omit<Mapped, 'holders' | 'pushed'>): string {
  return serviceKey(WORLD, protocol, hex, port);
}

function addressOf(at: { readonly protocol: number; readonly hex: string; readonly port: number }): NatAddress {
  return { space: WORLD, protocol: at.protocol, address: addressFromHex(at.hex), port: at.port };
}
