// From the store to the compiler: workloads as they are to be compiled, spaces and mappings; all at once, or as they change.
import { addressFromHex } from '@ringfence/proto/address.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { PushedMapping } from '../compile/nat-table.js';
import type { Compiler, CompilerWorkload } from '../compile/types.js';
import { storedTree } from '../discovery/space-book.js';
import { type Isolation, isolationTouched } from '../keys/isolation.js';
import { unpairedToldOf } from '../keys/unpaired.js';
import type { StartingMode } from '../pairing/profile.js';
import type { NatRecord, TranslationRecord, WorkloadRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import type { SpaceTree } from '../topology/spaces.js';

export interface CompilerFeedOptions {
  readonly store: StateStore;
  /** Who is cut off. */
  readonly isolation: Pick<Isolation, 'of'>;
  /** Refuse denied connections with RST or ICMP (true) or drop them silently. */
  readonly reject: boolean;
}

/** What a commit meant. */
export interface Told {
  /** For the compiler, or for what hosts are told beside it. */
  readonly anything: boolean;
  /** A workload came, went or changed. */
  readonly workloads: boolean;
  /** Hosts whose treatment of unpaired containers changed. */
  readonly treatments: readonly string[];
}

type Changes = Parameters<Parameters<StateStore['onCommit']>[0]>[0];

export class CompilerFeed {
  readonly #options: CompilerFeedOptions;

  constructor(options: CompilerFeedOptions) {
    this.#options = options;
  }

  /** Everything that is stored. */
  fill(compiler: Compiler): void {
    for (const record of this.#options.store.table('workload').values()) {
      if (record.present) compiler.setWorkload(this.workloadOf(record));
    }
    this.tellSpaces(compiler);
  }

  /** What a commit changed. */
  onCommit(compiler: Compiler, changes: Changes): Told {
    const { store } = this.#options;
    let [anything, workloads] = [false, false];
    for (const change of changes) {
      if (change.kind === 'workload') {
        if (change.after === undefined) compiler.removeWorkload(change.key);
        else this.#setWorkload(compiler, change.after);
        workloads = true;
        anything = true;
      } else if (change.kind === 'spaces') {
        compiler.setSpaces(this.#spaces());
        anything = true;
      } else if (change.kind === 'translation') {
        this.#onTranslations(compiler, change.key, change.before, change.after);
        anything = true;
      } else if (change.kind === 'nat') {
        if (change.before !== undefined) compiler.removeMapping(mappingOf(change.before));
        if (change.after !== undefined) compiler.setMapping(mappingOf(change.after));
        anything = true;
      }
    }
    const treatments = changes.flatMap((change) =>
      change.kind === 'host' && unpairedToldOf(change.before) !== unpairedToldOf(change.after) ? [change.key] : [],
    );
    const touched = isolationTouched(changes);
    if (touched === 'all' || touched.size > 0) {
      for (const record of store.table('workload').values()) {
        if (record.hostId === '' || (touched !== 'all' && !touched.has(record.hostId))) continue;
        this.#setWorkload(compiler, record);
        anything = true;
      }
    }
    return { anything: anything || treatments.length > 0, workloads, treatments };
  }

  /** Declared spaces and pushed mappings. */
  tellSpaces(compiler: Compiler): void {
    compiler.setSpaces(this.#spaces());
    for (const record of this.#options.store.table('nat').values()) compiler.setMapping(mappingOf(record));
  }

  /** A workload as it is compiled. */
  workloadOf(record: WorkloadRecord): CompilerWorkload {
    const { isolation, reject, store } = this.#options;
    const leavesAs = leavesAsOf(record, store.table('translation').get(record.hostId));
    return {
      ...compilerWorkload(record, reject, isolation.of(record) !== undefined),
      ...(leavesAs.length > 0 && { leavesAs }),
    };
  }

  /** Spaces that operators declared and connectors found, with what gateways tell of them. */
  #spaces(): SpaceTree {
    const { store } = this.#options;
    return storedTree(store.table('spaces'), store.table('translation'));
  }

  /** Under which addresses a host's workloads leave it has changed; at a gateway also how spaces look outside. */
  #onTranslations(
    compiler: Compiler,
    hostId: string,
    before: TranslationRecord | undefined,
    after: TranslationRecord | undefined,
  ): void {
    const { store } = this.#options;
    compiler.setSpaces(this.#spaces());
    const pairs = (record: TranslationRecord | undefined) =>
      new Map((record?.pairs ?? []).map((pair) => [pair.inside + pair.outside, pair.inside]));
    const [old, now] = [pairs(before), pairs(after)];
    const moved = new Set(
      [...old]
        .filter(([pair]) => !now.has(pair))
        .concat([...now].filter(([pair]) => !old.has(pair)))
        .map(([, inside]) => inside),
    );
    for (const record of store.table('workload').values()) {
      if (record.hostId === hostId && record.present && record.addresses.some(({ ip }) => moved.has(ip)))
        this.#setWorkload(compiler, record);
    }
  }

  #setWorkload(compiler: Compiler, record: WorkloadRecord): void {
    if (record.present) compiler.setWorkload(this.workloadOf(record));
    else compiler.removeWorkload(record.id);
  }
}

function mappingOf({ space, protocol, ip, port, workloadId, workloadPort }: NatRecord): PushedMapping {
  return { space, protocol, hex: ip, port, workloadId, toPort: workloadPort };
}

/** Addresses under which its host's conntrack has seen it leave. */
function leavesAsOf(record: WorkloadRecord, seen: TranslationRecord | undefined): Uint8Array[] {
  if (seen === undefined || record.hostId === '') return [];
  const own = new Set(record.addresses.map(({ ip }) => ip));
  const outside = seen.pairs.filter(({ inside }) => own.has(inside)).map((pair) => pair.outside);
  return [...new Set(outside)].filter((hex) => !own.has(hex)).map(addressFromHex);
}

const MODES: Readonly<Record<StartingMode, Mode>> = {
  visibility: Mode.MODE_VISIBILITY,
  test: Mode.MODE_TEST,
  enforce: Mode.MODE_ENFORCE,
};

/** Mode of a workload that no mode of the policy names; undefined: visibility. */
export function startingModeOf({
  pairing,
}: {
  readonly pairing?: { readonly startingMode?: StartingMode | undefined } | undefined;
}): Mode | undefined {
  return pairing?.startingMode === undefined ? undefined : MODES[pairing.startingMode];
}

function compilerWorkload(record: WorkloadRecord, reject: boolean, isolated: boolean): CompilerWorkload {
  return {
    id: record.id,
    labels: record.labels,
    hostId: record.hostId,
    localId: record.localId,
    addresses: record.addresses.map(({ ip, space }) => ({ space, address: addressFromHex(ip) })),
    published: record.published.map(({ hostAddress, ...ports }) => ({
      ...ports,
      address: hostAddress === '' ? undefined : addressFromHex(hostAddress),
    })),
    isolated,
    startingMode: startingModeOf(record),
    reject,
  };
}
