// Which addresses and ports of a gateway lead to whom behind it, as connections through it showed. Found by observing, as its source
// translations are: a mapping counts from the first connection that took it.
//
//   unknown ──(a connection)──► told ──(a connection leads elsewhere)──► told, the new target
//                                │ └────(a former target is seen again)──► ambiguous: not told, until all but one have been quiet
//                                └──(a day without a connection, none open)──► unknown
//
// A target that takes over was re-published; two that take turns are balanced, and nobody knows who answers the next connection.
import { wireAddress } from '@ringfence/proto/address.js';
import { DestinationTranslation } from '@ringfence/proto/gen/ringfence/v1/agent.js';

/** Where a connection was going and where it went. Addresses are 32 hexadecimal digits, IPv4 mapped. */
export interface SeenDestination {
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
  readonly to: string;
  readonly toPort: number;
}

/** As kept over restarts. */
export interface KeptDestination extends SeenDestination {
  readonly seenMs: number;
}

export interface DestinationTranslationsOptions {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Looks once at all that is open: whether a connection that took the way is among it. */
  readonly openNow: () => (seen: SeenDestination) => boolean;
}

/** Mappings that are held. */
export const MAPPINGS_MAX = 4096;
/** Targets of one mapping that are held: of more, those that are quiet for longest are forgotten. */
export const TARGETS_MAX = 16;
/** A mapping without a connection for so long is given up. */
const IDLE_MS = 24 * 3_600_000;
/** A target that was quiet for so long takes no more turns. */
const TURN_MS = 10 * 60_000;
/** TCP, UDP, SCTP, UDP-Lite: the protocols with ports. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132, 136]);

interface Target {
  readonly seen: SeenDestination;
  seenMs: number;
}

interface Mapping {
  /** By address and port. */
  readonly targets: Map<string, Target>;
  current: Target;
  /** Several take turns. */
  ambiguous: boolean;
  /** From the table of open connections alone: which of them began last is not known. */
  listed: boolean;
}

export class DestinationTranslationBook {
  readonly #options: DestinationTranslationsOptions;
  /** By protocol, address and port. */
  readonly #mappings = new Map<string, Mapping>();
  #own: ReadonlySet<string> = new Set();
  #others: ReadonlySet<string> = new Set();
  readonly #leftOut = new Set<string>();
  /** What counts, and with which addresses; undefined: to be found anew. */
  #found: { readonly outside: ReadonlySet<string>; readonly targets: readonly Target[] } | undefined;
  /** The same as of when it was last told. */
  #toldOf: readonly Target[] | undefined;
  #told = '';

  /** `before`: what an earlier run kept. */
  constructor(options: DestinationTranslationsOptions, before: readonly KeptDestination[] = []) {
    this.#options = options;
    for (const { seenMs, ...seen } of before) {
      const target = { seen, seenMs };
      const targets = new Map([[targetKey(seen), target]]);
      this.#mappings.set(mappingKey(seen), { targets, current: target, ambiguous: false, listed: false });
    }
  }

  /** Addresses (hexadecimal) of the host itself, and of its other workloads. */
  setLocal(own: Iterable<string>, others: Iterable<string>): void {
    this.#own = new Set(own);
    this.#others = new Set(others);
    this.#found = undefined;
  }

  /** A connection that was going to an address and port went to another. `listed`: it was open already, since nobody knows when. */
  note(seen: SeenDestination, listed: boolean): void {
    if (!WITH_PORTS.has(seen.protocol)) return;
    const now = this.#options.now();
    const key = mappingKey(seen);
    const mapping = this.#mappings.get(key);
    if (mapping === undefined) {
      // Room is made by `changed`, not here: this is called for every connection.
      if (this.#mappings.size >= MAPPINGS_MAX) {
        if (this.#leftOut.size < MAPPINGS_MAX) this.#leftOut.add(key);
        return;
      }
      this.#leftOut.delete(key);
      this.#found = undefined;
      const target = { seen, seenMs: now };
      this.#mappings.set(key, {
        targets: new Map([[targetKey(seen), target]]),
        current: target,
        ambiguous: false,
        listed,
      });
      return;
    }
    const known = mapping.targets.get(targetKey(seen));
    if (known !== undefined) known.seenMs = now;
    if (known === mapping.current) {
      mapping.listed &&= listed;
      return;
    }
    // Of two that are open nobody knows which began first; what was known before the dump stands.
    if (listed && !mapping.listed) return;
    this.#found = undefined;
    // So many within TURN_MS take turns, whether or not one has been seen twice.
    const crowded = known === undefined && mapping.targets.size >= TARGETS_MAX;
    if (crowded) forgetQuietest(mapping);
    const target = known ?? { seen, seenMs: now };
    mapping.targets.set(targetKey(seen), target);
    mapping.ambiguous ||= crowded || known !== undefined || (listed && mapping.listed);
    mapping.current = target;
    mapping.listed = listed;
  }

  /** True when it differs from what this returned last. Gives up what is idle; cheap while nothing comes and goes. */
  changed(outside: ReadonlySet<string>): boolean {
    this.#sweep();
    const targets = this.#counting(outside);
    if (targets === this.#toldOf) return false;
    this.#toldOf = targets;
    const told = targets.map(({ seen }) => `${mappingKey(seen)} ${targetKey(seen)}`).join();
    if (told === this.#told) return false;
    this.#told = told;
    return true;
  }

  /**
   * The whole, sorted: what leads from an address of the host itself, or one under which it hides others (`outside`, hexadecimal), to
   * somebody who is not on this host. Anything else is no published port: a redirect to a proxy, an intercepted resolver, a container.
   */
  report(outside: ReadonlySet<string>): DestinationTranslation[] {
    return this.#counting(outside).map(({ seen }) =>
      DestinationTranslation.create({
        protocol: seen.protocol,
        address: wireOf(seen.address),
        port: seen.port,
        to: wireOf(seen.to),
        toPort: seen.toPort,
      }),
    );
  }

  /** Mappings that were seen and are not told: several targets take turns, or no room. */
  get untold(): number {
    return this.#leftOut.size + [...this.#mappings.values()].filter(({ ambiguous }) => ambiguous).length;
  }

  /** For the next run. What is ambiguous is learned again. */
  kept(): KeptDestination[] {
    return [...this.#mappings.values()]
      .filter(({ ambiguous }) => !ambiguous)
      .map(({ current: { seen, seenMs } }) => ({ ...seen, seenMs }));
  }

  #counting(outside: ReadonlySet<string>): readonly Target[] {
    if (this.#found?.outside === outside) return this.#found.targets;
    const targets = [...this.#mappings]
      .filter(([, { ambiguous, current }]) => {
        const { address, to } = current.seen;
        const isOurs = this.#own.has(address) || outside.has(address);
        return !ambiguous && isOurs && !this.#own.has(to) && !this.#others.has(to);
      })
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { current }]) => current);
    this.#found = { outside, targets };
    return targets;
  }

  #sweep(): void {
    const now = this.#options.now();
    let isOpen: ((seen: SeenDestination) => boolean) | undefined;
    for (const [key, mapping] of this.#mappings) {
      if (mapping.targets.size > 1) this.#settle(mapping, now);
      else if (now - mapping.current.seenMs > IDLE_MS) {
        isOpen ??= this.#options.openNow();
        if (isOpen(mapping.current.seen)) mapping.current.seenMs = now;
        else {
          this.#mappings.delete(key);
          this.#found = undefined;
        }
      }
    }
  }

  #settle(mapping: Mapping, now: number): void {
    for (const [key, target] of mapping.targets) {
      if (target !== mapping.current && now - target.seenMs > TURN_MS) mapping.targets.delete(key);
    }
    if (mapping.targets.size > 1) return;
    mapping.ambiguous = false;
    this.#found = undefined;
  }
}

function forgetQuietest({ targets, current }: Mapping): void {
  const [quietest] = [...targets]
    .filter(([, target]) => target !== current)
    .sort(([, a], [, b]) => a.seenMs - b.seenMs);
  if (quietest !== undefined) targets.delete(quietest[0]);
}

/** True for what a book keeps: read back from disk. */
export function isKeptDestination(value: unknown): value is KeptDestination {
  if (typeof value !== 'object' || value === null) return false;
  const { protocol, address, port, to, toPort, seenMs } = value as Record<string, unknown>;
  const isPort = (each: unknown) => Number.isInteger(each) && Number(each) > 0 && Number(each) < 65_536;
  return (
    WITH_PORTS.has(Number(protocol)) &&
    [address, to].every((each) => /^[0-9a-f]{32}$/.test(String(each))) &&
    isPort(port) &&
    isPort(toPort) &&
    Number.isFinite(seenMs)
  );
}

function mappingKey({ protocol, address, port }: SeenDestination): string {
  return `${String(protocol).padStart(3, '0')} ${address} ${String(port).padStart(5, '0')}`;
}

function targetKey({ to, toPort }: SeenDestination): string {
  return `${to} ${toPort}`;
}

function wireOf(hex: string): Buffer {
  return Buffer.from(wireAddress(Buffer.from(hex, 'hex')));
}
