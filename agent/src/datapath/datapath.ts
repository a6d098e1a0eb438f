// The kernel side of one agent: programs, maps and links pinned under <pinPath>/v<ABI>, brought to a desired state.
//
//   open ── fresh: make maps, load programs, pin ──┐
//        ── adopted: read pinned maps, keep links ─┼─► apply(desired)* verify()* sweepFlows()* ─► close (enforcing goes on)
//        ── upgraded: adopt, then switch programs ─┘                                          └► detachAll (nothing is left)
//
// Nothing here holds policy: what the kernel has is read back on open, what it shall have comes with each apply.
import { DEFAULT_RING_BYTES, ENDPOINT, ENDPOINT_KEY, EndpointFlag, EndpointKind } from '@ringfence/bpf';
import { BpfMap } from '@ringfence/native';
import type { DesiredEndpoint, DesiredState, TableName } from '../desired/desired.js';
import { TABLES } from '../desired/desired.js';
import { bytesOf, endpointOf, memberOf } from '../desired/pack.js';
import { type RecoveredNumbers, recoverNumbers } from '../desired/recovered.js';
import type { TagTables } from '../desired/tags.js';
import { Attachments } from './attachments.js';
import { readCounters, readHelperErrors, readLanes } from './counters.js';
import { fingerprint, kernelFeatures } from './features.js';
import { Flush } from './flush.js';
import { KernelMaps } from './kernel-maps.js';
import { Pins } from './pins.js';
import { planFlush, type Tables } from './plan.js';
import { adoptPrograms, type Loaded, loadPrograms, pinPrograms } from './programs.js';
import { closeCut, closeSocket, sweepRecords } from './sweep.js';
import { TableWriteError, TableWriter } from './table-writer.js';
import { readTagTally, writeTagTables } from './tag-maps.js';
import type {
  ApplyResult,
  DatapathOptions,
  DatapathStatus,
  EndpointStatus,
  ReasonCount,
  RingLanes,
  SocketOf,
  SweepResult,
  TableFill,
  VerifyResult,
} from './types.js';

export type * from './types.js';

/** What a Datapath offers, for those that are handed one. */
export type DatapathFace = Omit<Datapath, never>;

export class Datapath {
  /** Numbers the kernel's content carries, for the Renderer of this process. */
  readonly recovered: RecoveredNumbers;
  readonly #options: DatapathOptions;
  readonly #pins: Pins;
  readonly #loaded: Loaded;
  readonly #attachments: Attachments;
  readonly #writers: Readonly<Record<TableName, TableWriter>>;
  readonly #start: DatapathStatus['start'];
  #generation: number;
  #desired: DesiredState | undefined;
  /** Of its endpoints, by number. */
  #netns: ReadonlyMap<number, string | undefined> = new Map();
  #dirty = false;
  #reattached = 0;
  /** What other ABIs left pinned was looked for, and is gone. */
  #alone = false;
  #closed = false;

  private constructor(
    options: DatapathOptions,
    pins: Pins,
    loaded: Loaded,
    attachments: Attachments,
    start: DatapathStatus['start'],
  ) {
    this.#options = options;
    this.#pins = pins;
    this.#loaded = loaded;
    this.#attachments = attachments;
    this.#start = start;
    this.#writers = Object.fromEntries(
      TABLES.map((name) => [name, new TableWriter(name, loaded.maps.get(name))]),
    ) as Record<TableName, TableWriter>;
    const marks = loaded.maps.marks();
    const endpoints = [...this.#writers.rf_endpoints.actual.entries()];
    this.#generation = Math.max(marks.generation, ...endpoints.map(([, v]) => memberOf(ENDPOINT, 'generation', v)));
    const content = Object.fromEntries(TABLES.map((t) => [t, new Map(this.#writers[t].actual.entries())]));
    this.recovered = recoverNumbers(content as Record<TableName, Map<string, string>>, marks);
    attachments.adopt(endpoints.flatMap(([key]) => ifindexOf(key)));
  }

  /**
   * Makes the kernel state, or takes over what an earlier process left pinned: maps with their content, conntrack, links. When the
   * object files (or what is compiled into them) are not those the pinned programs came from, or policy tables are configured
   * larger or smaller than they are, new programs are loaded beside them (over copies of those tables) and every link is switched
   * atomically. What a build with another ABI left pinned goes on until the first apply has put this one beside it. Throws
   * NativeError (RF_BPF_VERIFIER, RF_BPF_LOAD, RF_PIN, RF_KERNEL …); what was pinned and attached before stays as it was.
   */
  static open(options: DatapathOptions): Datapath {
    const pins = new Pins(options.pinPath);
    const features = kernelFeatures(options.guardsContainers ?? false);
    const build = fingerprint(options.objectDir, features.rodata);
    const sizes = {
      mapSizes: options.mapSizes ?? {},
      ringBytes: options.ringBytes ?? DEFAULT_RING_BYTES.flows,
      denyRingBytes: options.denyRingBytes ?? DEFAULT_RING_BYTES.denies,
    };
    const mode =
      options.tcMode === undefined || options.tcMode === 'auto' ? (features.tcx ? 'tcx' : 'clsact') : options.tcMode;
    const load = (maps: KernelMaps | undefined) => loadPrograms(maps, sizes, pins, features.rodata, options.objectDir);
    const attachmentsOf = (loaded: Loaded) => new Attachments(pins, mode, options.cgroupRoot, loaded.programs);
    if (!pins.exists) {
      const start = pins.hasOthers ? 'replacing' : 'fresh';
      pins.begin();
      const loaded = load(undefined);
      pinPrograms(loaded.programs, pins);
      loaded.maps.setFingerprint(build);
      pins.commit();
      return new Datapath(options, pins, loaded, attachmentsOf(loaded), start);
    }
    const adopted = KernelMaps.adopted(pins);
    const { maps, resized } = adopted.resized(sizes);
    if (resized.length === 0 && maps.missing.length === 0 && maps.fingerprint().equals(build)) {
      const loaded = { maps, programs: adoptPrograms(pins), missing: new Map() };
      return new Datapath(options, pins, loaded, attachmentsOf(loaded), 'adopted');
    }
    const loaded = load(maps);
    const datapath = new Datapath(options, pins, loaded, attachmentsOf(loaded), 'upgraded');
    // No programs have this hash: a crash from here on is an upgrade again at the next start.
    maps.setFingerprint(new Uint8Array(build.length));
    datapath.#attachments.switchPrograms(loaded.programs);
    maps.pinAnew(resized, pins);
    for (const name of resized) adopted.get(name).close();
    pinPrograms(loaded.programs, pins);
    maps.setFingerprint(build);
    return datapath;
  }

  /**
   * Detaches and unpins what is pinned under pinPath, without loading anything: also when this build could not run it. False when
   * nothing was there.
   */
  static remove(options: Pick<DatapathOptions, 'pinPath' | 'cgroupRoot'>): boolean {
    const pins = new Pins(options.pinPath);
    if (!pins.exists) {
      const had = pins.hasOthers;
      pins.removeAll();
      return had;
    }
    const attachments = new Attachments(pins, 'tcx', options.cgroupRoot, new Map());
    using endpoints = BpfMap.fromPin(pins.path('maps', 'rf_endpoints'));
    attachments.adopt([...new TableWriter('rf_endpoints', endpoints).actual.keys()].flatMap(ifindexOf));
    attachments.dropAll();
    pins.removeAll();
    return true;
  }

  /**
   * Brings the kernel to this state, or leaves it (or puts it back) as it was. When decisions changed, open connections are swept
   * at once and the local sockets of those that were cut are closed. Never rejects for a refusal by the kernel.
   */
  async apply(desired: DesiredState): Promise<ApplyResult> {
    this.#open();
    if (this.#dirty) for (const writer of Object.values(this.#writers)) writer.reread();
    this.#dirty = false;
    const { maps } = this.#loaded;
    const planned = planFlush(this.#actual(), desired.tables, this.#generation);
    // A flush that was cut short may have changed addresses and died before its step of the generation.
    const plan = { ...planned, bump: planned.bump || maps.flushCut };
    for (const table of TABLES) {
      const { entriesMax } = this.#writers[table];
      if (plan.peak[table] > entriesMax) {
        const message = `Cannot hold policy in ${table}: found ${plan.peak[table]} entries (old and new side by side), wanted at most ${entriesMax}`;
        return { kind: 'refused', code: 'RF_MAP_FULL', table, message, restored: true };
      }
    }
    this.#generation = plan.generation;
    maps.beginFlush();
    maps.writeMarks({ ...desired.highWater, generation: plan.generation });
    const flush = new Flush(this.#writers, maps, this.#attachments);
    try {
      flush.run(plan, desired, this.#desired);
    } catch (error) {
      const restored = flush.undo();
      this.#dirty = !restored;
      if (restored) maps.endFlush();
      const table = error instanceof TableWriteError ? error.table : '';
      const code = error instanceof TableWriteError && error.full ? 'RF_MAP_FULL' : 'RF_APPLY';
      return {
        kind: 'refused',
        code,
        table,
        message: error instanceof Error ? error.message : String(error),
        restored,
      };
    }
    maps.endFlush();
    for (const table of TABLES) if (table !== 'rf_endpoints') this.#writers[table].settle(desired.tables[table]);
    this.#desired = desired;
    this.#netns = new Map(desired.endpoints.map(({ number, netns }) => [number, netns]));
    // Both have judged until now: what either forbids did not pass.
    if (!this.#alone) this.#pins.removeOthers();
    this.#alone = true;
    const sweep = plan.bump || plan.flips ? this.sweepFlows() : undefined;
    return { kind: 'ok', written: flush.written, deleted: flush.deleted, sweep };
  }

  /**
   * Puts keys, clock and switch of tags into the kernel, and attaches or detaches what writes them. Where this kernel cannot write
   * tags it still reads them; see DatapathStatus.tags. Throws NativeError when the kernel refuses; then tags are off.
   */
  setTags(tables: TagTables): void {
    this.#open();
    const { maps } = this.#loaded;
    const write = (content: TagTables) => {
      this.#attachments.setWritesTags(content.writes);
      writeTagTables(maps.get('rf_tags'), maps.get('rf_tag_keys'), content);
      if (this.#desired === undefined) return;
      const { interfaces, cgroupHooks } = this.#desired;
      this.#attachments.attach(interfaces, cgroupHooks);
      this.#attachments.detachOthers(interfaces, cgroupHooks);
    };
    try {
      write(tables);
    } catch (error) {
      write({ tags: undefined, keys: [], writes: false });
      throw error;
    }
  }

  /** Attachments as the kernel has them now; puts back what others removed. Call it every second or so. */
  verify(): VerifyResult {
    this.#open();
    if (this.#desired === undefined) return { reattached: [], broken: [] };
    const { interfaces, cgroupHooks } = this.#desired;
    if (this.#attachments.broken(interfaces, cgroupHooks).length === 0) return { reattached: [], broken: [] };
    const reattached = this.#attachments.attach(interfaces, cgroupHooks);
    this.#reattached += reattached.length;
    return { reattached, broken: this.#attachments.broken(interfaces, cgroupHooks) };
  }

  /**
   * Decides all flows anew that a changed policy touched, ends those that fell silent, reports both to onSwept, and closes the local
   * sockets of connections it cut. Call it every second or so.
   */
  sweepFlows(): SweepResult {
    this.#open();
    const program = this.#loaded.programs.get('rf_iter_flows');
    if (program === undefined) throw new Error('Cannot sweep flows: found no rf_iter_flows program');
    const records = sweepRecords(program, this.#loaded.maps.get('rf_flows'));
    const result = closeCut(records, (endpoint) => this.#netnsOf(endpoint));
    if (records.length > 0) this.#options.onSwept?.(records);
    return result;
  }

  /** Closes the local socket of a cut connection, in its endpoint's network namespace. Throws NativeError RF_NETLINK. */
  destroySocket(socket: SocketOf): 'destroyed' | 'not-found' {
    return closeSocket(socket, this.#netnsOf(socket.endpoint));
  }

  status(): DatapathStatus {
    this.#open();
    const { maps, missing } = this.#loaded;
    return {
      endpoints: this.#endpointStatus(),
      tables: this.tables(),
      lanes: this.lanes(),
      helperErrors: readHelperErrors(maps.get('rf_errors')),
      reattached: this.#reattached,
      missing: Object.fromEntries(missing),
      start: this.#start,
      tags: {
        canWrite: this.#attachments.canWriteTags,
        writes: this.#attachments.writesTags,
        tally: readTagTally(maps.get('rf_tag_counts')),
      },
    };
  }

  /** What the kernel wrote and lost, since the maps were made. Cheap: every batch of records carries it. */
  lanes(): DatapathStatus['lanes'] {
    return readLanes(this.#loaded.maps.get('rf_lanes'));
  }

  /** Fill of the policy tables. */
  tables(): TableFill[] {
    return TABLES.map((table) => {
      const { actual, entriesMax } = this.#writers[table];
      return { table, entries: actual.size, entriesMax };
    });
  }

  counters(): ReasonCount[] {
    this.#open();
    return readCounters(this.#loaded.maps.get('rf_counters'));
  }

  /** New handles on every call; they may be closed once a RingConsumer has them. */
  rings(): RingLanes {
    this.#open();
    return [this.#loaded.maps.rings('rf_events'), this.#loaded.maps.rings('rf_denies')];
  }

  /** Attempts on denied flows that were folded, by flow. */
  denied(): BpfMap {
    this.#open();
    return this.#loaded.maps.get('rf_denied');
  }

  /** Endpoints of the state in force, by the number that events carry. */
  endpoints(): readonly DesiredEndpoint[] {
    return this.#desired?.endpoints ?? [];
  }

  /** Kernel ids of the links, by pin name. */
  get linkIds(): ReadonlyMap<string, number> {
    return this.#attachments.linkIds;
  }

  /** Lets go; everything stays pinned and enforcing. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#attachments.close();
    for (const program of this.#loaded.programs.values()) program.close();
    this.#loaded.maps.close();
  }

  /** Detaches and unpins everything under the pin path, then closes: traffic flows as if the agent had never been there. */
  detachAll(): void {
    this.#open();
    this.#attachments.dropAll();
    this.#pins.removeAll();
    this.close();
  }

  #open(): void {
    if (this.#closed) throw new Error('Cannot use datapath: found it closed');
  }

  #actual(): Tables {
    return Object.fromEntries(TABLES.map((table) => [table, this.#writers[table].actual])) as Record<
      TableName,
      TableWriter['actual']
    >;
  }

  #netnsOf(endpoint: number): string | undefined {
    return this.#netns.get(endpoint);
  }

  #endpointStatus(): EndpointStatus[] {
    if (this.#desired === undefined) return [];
    const { interfaces, cgroupHooks, endpoints } = this.#desired;
    const running = this.#attachments.running(interfaces, cgroupHooks);
    const broken = this.#attachments.broken(interfaces, cgroupHooks);
    const byWorkload = Map.groupBy(interfaces, ({ localId }) => localId);
    return endpoints.map((endpoint) => {
      const own = byWorkload.get(endpoint.localId) ?? [];
      const attachments = own.length > 0 ? own.flatMap((i) => running.get(i.name) ?? []) : (running.get('') ?? []);
      const lacking = broken.filter((name) =>
        own.length > 0 ? own.some((i) => name.startsWith(`tc_${i.ifindex}_`)) : name.startsWith('cg_'),
      );
      const values = endpoint.keys.map((key) => this.#writers.rf_endpoints.actual.get(key));
      const [first] = values;
      const held = first === undefined ? undefined : endpointOf(first);
      const why = [
        ...(endpoint.keys.length === 0 ? ['no interface or cgroup is known'] : []),
        ...(values.includes(undefined) ? ['no entry in rf_endpoints'] : []),
        ...lacking.map((name) => `${name} is not attached`),
      ].join('; ');
      return {
        localId: endpoint.localId,
        number: endpoint.number,
        attachments,
        modeIn: held?.modeIn ?? 0,
        modeOut: held?.modeOut ?? 0,
        isolated: ((held?.flags ?? 0) & EndpointFlag.ISOLATED) !== 0,
        inForce: why === '',
        why,
      };
    });
  }
}

function ifindexOf(key: string): number[] {
  const { id, kind } = ENDPOINT_KEY.decode(bytesOf(key));
  return kind === EndpointKind.IFINDEX ? [Number(id)] : [];
}
