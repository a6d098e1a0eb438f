// Random instructions from a seed, the updates that lead from one to another, and the ways to deliver those.
import { parseAddress, prefixKey } from '@ringfence/proto/address.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type AssignmentState, type BindingState, bindingKey, type CidrState } from '@ringfence/proto/instructions.js';
import { type PeerGroup, type PolicySet, type PortEntry, policySet } from '@ringfence/proto/policy-set.js';
import { type InstructionUpdate, type NatState, natKey } from '../update.js';

/** A repeatable source of numbers. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** 0 to below. */
  below(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  some<T>(from: readonly T[], oneIn = 2): T[] {
    return from.filter(() => this.below(oneIn) === 0);
  }
}

export interface State {
  readonly policyVersion: number;
  readonly sets: readonly PolicySet[];
  readonly assignments: readonly AssignmentState[];
  readonly bindings: readonly BindingState[];
  readonly cidrs: readonly CidrState[];
  readonly nats: readonly NatState[];
}

export const IDENTITIES = [1, 2, 3, 4, 5, 6, 7, 8];
export const CLASSES = [1, 2, 3];
export const ADDRESSES = Array.from({ length: 24 }, (_, i) =>
  address(i % 2 === 0 ? `10.0.${i % 4}.${i}` : `fd00::${i}`),
);
export const LOCAL_IDS = ['host', 'cgroup:a', 'container:1', 'container:2'];
export const PROTOCOLS = [1, 6, 17, 132];

export function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

export function randomPorts(dice: Dice): PortEntry[] {
  const entries: PortEntry[] = [];
  const entry = (protocol: number, portLow: number, portHigh: number): PortEntry => ({
    protocol,
    portLow,
    portHigh,
    rule: 1 + dice.below(40),
    allow: dice.below(3) > 0,
    constraints: 0,
  });
  if (dice.below(4) === 0) entries.push(entry(256, 0, 0xffff));
  for (const protocol of dice.some(PROTOCOLS)) {
    if (dice.below(3) === 0) entries.push(entry(protocol, 0, 0xffff));
    let at = dice.below(300);
    for (let i = dice.below(3); i > 0; i -= 1) {
      const high = Math.min(0xffff, at + dice.below(dice.pick([1, 10, 5000])));
      entries.push(entry(protocol, at, high));
      at = high + 1 + dice.below(500);
      if (at > 0xffff) break;
    }
  }
  return entries;
}

export function randomSet(dice: Dice): PolicySet {
  const groups: PeerGroup[] = [{ anyone: true, identities: [], classes: [], ports: randomPorts(dice) }];
  for (const identity of dice.some(IDENTITIES)) {
    groups.push({ anyone: false, identities: [identity], classes: [], ports: randomPorts(dice) });
  }
  for (const id of dice.some(CLASSES))
    groups.push({ anyone: false, identities: [], classes: [id], ports: randomPorts(dice) });
  return policySet(groups);
}

export function randomState(dice: Dice, policyVersion: number, pool: readonly PolicySet[]): State {
  const sets = [...new Map(dice.some(pool).map((set) => [set.hash, set])).values()];
  const hash = () => (sets.length === 0 || dice.below(5) === 0 ? '' : dice.pick(sets).hash);
  return {
    policyVersion,
    sets,
    assignments: dice.some(LOCAL_IDS, 1).map((localId) => ({
      localId,
      workloadId: `w-${localId}`,
      identity: dice.pick(IDENTITIES),
      modeIn: dice.pick([Mode.MODE_VISIBILITY, Mode.MODE_TEST, Mode.MODE_ENFORCE]),
      modeOut: dice.pick([Mode.MODE_VISIBILITY, Mode.MODE_ENFORCE]),
      setIn: hash(),
      setOut: hash(),
      isolated: dice.below(8) === 0,
      space: '',
      reject: dice.below(2) === 0,
      labels: { role: `r${dice.below(3)}` },
    })),
    bindings: dice.some(ADDRESSES).map((at) => {
      const shared = dice.below(4) === 0 ? dice.some(IDENTITIES) : [];
      const many = shared.length > 1 ? shared : [];
      return {
        space: '',
        address: at,
        identity: many[0] ?? dice.pick(IDENTITIES),
        shared: many,
        unmanaged: dice.below(4) === 0,
        ...(dice.below(5) === 0 && { former: true }),
      };
    }),
    cidrs: dice
      .some([
        { address: address('10.0.0.0'), length: 104 },
        { address: address('10.0.2.0'), length: 120 },
        { address: address('10.0.0.4'), length: 126 },
        { address: address('fd00::'), length: 16 },
        { address: address('::'), length: 0 },
      ])
      .map((prefix) => ({ prefix, classId: dice.below(4) })),
    nats: dice.some(ADDRESSES, 6).map((at) => ({
      space: '',
      protocol: 6,
      address: at,
      port: 80 + dice.below(3),
      identity: dice.pick(IDENTITIES),
      targetPort: 8000 + dice.below(100),
    })),
  };
}

/** The delta from one state to another, or the full state. */
export function updateBetween(from: State | undefined, to: State, revision: number): InstructionUpdate {
  const added = <T>(of: (s: State) => readonly T[], key: (t: T) => string): T[] => {
    const before = new Map((from === undefined ? [] : of(from)).map((item) => [key(item), JSON.stringify(item)]));
    return of(to).filter((item) => before.get(key(item)) !== JSON.stringify(item));
  };
  const gone = <T>(of: (s: State) => readonly T[], key: (t: T) => string): T[] => {
    const after = new Set(of(to).map(key));
    return (from === undefined ? [] : of(from)).filter((item) => !after.has(key(item)));
  };
  return {
    revision,
    full: from === undefined,
    more: false,
    policyVersion: to.policyVersion,
    unpaired: undefined,
    sets: added(
      (s) => s.sets,
      (x) => x.hash,
    ),
    removedSets: gone(
      (s) => s.sets,
      (x) => x.hash,
    ).map((x) => x.hash),
    assignments: added(
      (s) => s.assignments,
      (x) => x.localId,
    ),
    removedAssignments: gone(
      (s) => s.assignments,
      (x) => x.localId,
    ).map((x) => x.localId),
    bindings: added((s) => s.bindings, bindingKey),
    removedBindings: gone((s) => s.bindings, bindingKey),
    cidrs: added(
      (s) => s.cidrs,
      (x) => prefixKey(x.prefix),
    ),
    removedCidrs: gone(
      (s) => s.cidrs,
      (x) => prefixKey(x.prefix),
    ).map((x) => x.prefix),
    nats: added((s) => s.nats, natKey),
    removedNats: gone((s) => s.nats, natKey),
    failsafes: undefined,
  };
}

/** The same update in chunks: adds first, one table per chunk, then everything removed. */
export function split(update: InstructionUpdate): InstructionUpdate[] {
  const nothing: InstructionUpdate = {
    ...update,
    full: false,
    more: true,
    sets: [],
    removedSets: [],
    assignments: [],
    removedAssignments: [],
    bindings: [],
    removedBindings: [],
    cidrs: [],
    removedCidrs: [],
    nats: [],
    removedNats: [],
    failsafes: undefined,
  };
  const half = Math.ceil(update.bindings.length / 2);
  return [
    { ...nothing, full: update.full, sets: update.sets },
    { ...nothing, assignments: update.assignments, cidrs: update.cidrs },
    { ...nothing, bindings: update.bindings.slice(0, half) },
    { ...nothing, bindings: update.bindings.slice(half), nats: update.nats },
    { ...update, full: false, more: false, sets: [], assignments: [], cidrs: [], bindings: [], nats: [] },
  ];
}
