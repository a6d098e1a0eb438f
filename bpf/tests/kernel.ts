// The real programs in the kernel under test, with maps of their own (nothing pinned), driven by BPF_PROG_TEST_RUN. A test-run
// packet is at the loopback device, so endpoint {IFINDEX, 1} is the container whose veth both TC programs believe to be at.
import {
  BpfMap,
  BpfObject,
  type BpfObject as BpfObjectType,
  type BpfProgram,
  MapType,
  possibleCpus,
  RingConsumer,
  skbContext,
} from '@ringfence/native';
import {
  COUNTER,
  type Counter,
  counterIndex,
  ENDPOINT,
  ENDPOINT_KEY,
  type Endpoint,
  EndpointKind,
  EVENT,
  FLOW,
  FLOW_KEY,
  type Flow,
  type FlowEvent,
  type FlowKey,
  HelperError,
  LANE_STATS,
  Lane,
  type LaneStats,
  laneIndex,
  type MapName,
  objectPath,
  PROGRAMS,
  type ProgramName,
  STATE,
} from '../ts/index.js';

const SMALL: Partial<Record<MapName, number>> = {
  rf_peers: 4096,
  rf_groups: 16_384,
  rf_ports: 16_384,
  rf_flows: 65_536,
  rf_denied: 65_536,
};

/** What this kernel (6.18 or so) can do; the tests that ask for less pass their own. */
export const FULL_FEATURES = {
  rf_has_coarse_clock: 1,
  rf_has_task_read: 1,
  rf_has_sock_cookie: 1,
  rf_has_skb_cookie: 1,
} as const;

export interface TestKernelOptions {
  readonly programs?: readonly ProgramName[];
  readonly rodata?: Readonly<Record<string, number | bigint>>;
  readonly sizes?: Partial<Record<MapName, number>>;
  readonly ringBytes?: readonly [flows: number, denies: number];
}

export const PASS = 0xffffffff;
export const PASS_CGROUP = 1;
export const DROP = 2;
export const REDIRECT = 7;

export interface RunResult {
  /** PASS, DROP or REDIRECT for TC. */
  readonly retval: number;
  /** The packet as the program left it. */
  readonly data: Uint8Array;
}

export class TestKernel {
  readonly cpus = possibleCpus();
  readonly #objects: BpfObjectType[] = [];
  readonly #programs = new Map<ProgramName, BpfProgram>();
  readonly #maps = new Map<string, BpfMap>();
  readonly rings: readonly [BpfMap[], BpfMap[]];
  #generation = 1;

  constructor(options: TestKernelOptions = {}) {
    const names = options.programs ?? (['rf_tc_ingress', 'rf_tc_egress', 'rf_iter_flows'] as const);
    const ring = (bytes: number): BpfMap =>
      BpfMap.create({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: bytes, name: 'rf_test_ring' });
    const [flows, denies] = options.ringBytes ?? [1 << 22, 1 << 22];
    this.rings = [
      Array.from({ length: this.cpus }, () => ring(flows)),
      Array.from({ length: this.cpus }, () => ring(denies)),
    ];
    for (const name of names) this.#load(name, options);
    this.state(this.#generation);
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      for (const [map, lane] of [
        ['rf_events', Lane.FLOWS],
        ['rf_denies', Lane.DENIES],
      ] as const) {
        const inner = this.rings[lane][cpu];
        if (inner) this.map(map).setInner(u32(cpu), inner);
      }
    }
  }

  #load(name: ProgramName, options: TestKernelOptions): void {
    const object = BpfObject.open(objectPath(PROGRAMS[name].object));
    this.#objects.push(object);
    object.setRodata({ ...FULL_FEATURES, ...options.rodata });
    for (const { name: map, internal } of object.maps()) {
      if (internal) continue;
      const known = this.#maps.get(map);
      if (known) object.reuseMap(map, known);
      else if (map === 'rf_lanes') object.setMaxEntries(map, this.cpus * Lane.COUNT);
      else if (map === 'rf_events' || map === 'rf_denies') object.setMaxEntries(map, this.cpus);
      else {
        const entries = options.sizes?.[map as MapName] ?? SMALL[map as MapName];
        if (entries !== undefined) object.setMaxEntries(map, entries);
      }
    }
    object.load();
    for (const { name: map, internal } of object.maps()) {
      if (!internal && !this.#maps.has(map)) this.#maps.set(map, object.map(map));
    }
    this.#programs.set(name, object.program(name));
  }

  map(name: MapName): BpfMap {
    const map = this.#maps.get(name);
    if (!map) throw new Error(`no map ${name}`);
    return map;
  }

  program(name: ProgramName): BpfProgram {
    const program = this.#programs.get(name);
    if (!program) throw new Error(`program ${name} was not loaded`);
    return program;
  }

  /** Sets the global generation. */
  state(generation: number): void {
    this.#generation = generation;
    this.map('rf_state').update(u32(0), STATE.encode({ generation, flags: 0 }));
  }

  /** Peers, lists or failsafes changed. */
  bump(): void {
    this.state(this.#generation + 1);
  }

  /** The endpoint at the loopback device of test runs (or at another key). */
  endpoint(endpoint: Endpoint, id = 1n, kind: number = EndpointKind.IFINDEX): void {
    this.map('rf_endpoints').update(ENDPOINT_KEY.encode({ id, kind }), ENDPOINT.encode(endpoint));
  }

  /** Container to world. */
  send(packet: Uint8Array, mark = 0): RunResult {
    return this.#run('rf_tc_ingress', packet, mark);
  }

  /** World to container. */
  receive(packet: Uint8Array, mark = 0): RunResult {
    return this.#run('rf_tc_egress', packet, mark);
  }

  #run(name: ProgramName, data: Uint8Array, mark: number): RunResult {
    const { retval, data: out } = this.program(name).testRun({ data, context: skbContext({ mark }) });
    return { retval: retval >>> 0, data: out };
  }

  /** The sweep's output. */
  sweep(): FlowEvent[] {
    const bytes = this.program('rf_iter_flows').iterate({ map: this.map('rf_flows') });
    return decodeEvents(bytes);
  }

  flow(key: FlowKey): Flow | undefined {
    const value = this.map('rf_flows').lookup(FLOW_KEY.encode(key));
    return value && FLOW.decode(value);
  }

  flows(): [FlowKey, Flow][] {
    const { keys, values, count } = this.map('rf_flows').dump();
    return Array.from({ length: count }, (_, i) => [
      FLOW_KEY.decode(keys, i * FLOW_KEY.size),
      FLOW.decode(values, i * FLOW.size),
    ]);
  }

  /** As if every flow had been last seen and reported so much earlier. */
  age(nanoseconds: bigint): void {
    const earlier = (time: bigint): bigint => (time > nanoseconds ? time - nanoseconds : 1n);
    for (const [key, flow] of this.flows()) {
      const aged = { ...flow, lastSeenNs: earlier(flow.lastSeenNs), lastReportNs: earlier(flow.lastReportNs) };
      this.map('rf_flows').update(FLOW_KEY.encode(key), FLOW.encode(aged));
    }
  }

  clearFlows(): void {
    for (const name of ['rf_flows', 'rf_denied', 'rf_frags'] as const) {
      const keys = this.map(name).keys();
      if (keys.length > 0) this.map(name).deleteBatch(keys, { missingOk: true });
    }
  }

  /** As if just loaded, policy tables aside: no flows, counters, events. Cheaper than loading: the verifier takes seconds. */
  async reset(): Promise<void> {
    await this.events();
    this.clearFlows();
    this.state(1);
    this.#read[0] = 0;
    this.#read[1] = 0;
    for (const name of ['rf_counters', 'rf_errors', 'rf_lanes'] as const) {
      const map = this.map(name);
      const { maxEntries, valueStride } = map.info;
      const keys = Buffer.concat(Array.from({ length: maxEntries }, (_, i) => u32(i)));
      map.updateBatch(keys, new Uint8Array(maxEntries * valueStride));
    }
  }

  lane(lane: number): LaneStats {
    const sum = { produced: 0n, delivered: 0n, dropped: 0n };
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const value = this.map('rf_lanes').lookup(u32(laneIndex(cpu, lane)));
      if (!value) throw new Error('rf_lanes is too short');
      const one = LANE_STATS.decode(value);
      sum.produced += one.produced;
      sum.delivered += one.delivered;
      sum.dropped += one.dropped;
    }
    return sum;
  }

  /** Packets and bytes counted, over all CPUs. */
  counter(verdict: number, reason: number, direction: number): Counter {
    const value = this.map('rf_counters').lookup(u32(counterIndex(verdict, reason, direction)));
    if (!value) throw new Error('rf_counters is too short');
    const sum = { packets: 0n, bytes: 0n };
    for (let at = 0; at < value.length; at += COUNTER.size) {
      const one = COUNTER.decode(value, at);
      sum.packets += one.packets;
      sum.bytes += one.bytes;
    }
    return sum;
  }

  /** Unexpected helper failures by name of HelperError; empty when there were none. */
  failures(): Record<string, bigint> {
    const found: Record<string, bigint> = {};
    for (const [name, index] of Object.entries(HelperError)) {
      const value = this.map('rf_errors').lookup(u32(index));
      if (name === 'COUNT' || !value) continue;
      const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
      let sum = 0n;
      for (let at = 0; at < value.length; at += 8) sum += view.getBigUint64(at, true);
      if (sum > 0n) found[name] = sum;
    }
    return found;
  }

  /**
   * Every event written so far that was not taken yet, flows lane first. Waits until all that were delivered to the rings have
   * been read.
   */
  async events(): Promise<FlowEvent[]> {
    const taken: [FlowEvent[], FlowEvent[]] = [[], []];
    const want = [this.lane(Lane.FLOWS).delivered, this.lane(Lane.DENIES).delivered] as const;
    await new Promise<void>((resolve) => {
      const consumer = new RingConsumer({ lanes: this.rings, recordBytes: EVENT.size, maxDelayMs: 1 }, (batch) => {
        taken[batch.lane as 0 | 1].push(
          ...decodeEvents(new Uint8Array(batch.buffer, 0, batch.recordCount * EVENT.size)),
        );
        batch.release();
        finish();
      });
      const finish = (): void => {
        const all = [0, 1].every(
          (lane) => BigInt(this.#read[lane as 0 | 1] + taken[lane as 0 | 1].length) >= (want[lane] ?? 0n),
        );
        if (all) void consumer.close().then(resolve);
      };
      finish();
    });
    this.#read[0] += taken[0].length;
    this.#read[1] += taken[1].length;
    return [...taken[0], ...taken[1]];
  }
  readonly #read: [number, number] = [0, 0];

  close(): void {
    for (const program of this.#programs.values()) program.close();
    for (const map of this.#maps.values()) map.close();
    for (const object of this.#objects) object.close();
    for (const ring of this.rings.flat()) ring.close();
  }
}

export function decodeEvents(bytes: Uint8Array): FlowEvent[] {
  return Array.from({ length: bytes.length / EVENT.size }, (_, i) => EVENT.decode(bytes, i * EVENT.size));
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
