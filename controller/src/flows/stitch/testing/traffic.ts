// Records of made-up connections as they reach the controller: out of order, some lost, some twice, by clocks that differ.
import { Confidence, Direction, EventKind, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Random } from '../../../policy/testing/random.js';
import { FlowBlock, type FlowEndInfo, UNKNOWN_END } from '../../block.js';
import { FAR, NEAR, type Observations, type Side } from '../types.js';
import { FakeNetwork, type FakeWorkload, type Path } from './network.js';

export interface TrafficOptions {
  readonly records: number;
  readonly hosts: number;
  readonly containers: number;
  /** Of the records. */
  readonly loss: number;
  readonly duplicates: number;
  /** Of the translations, of which the controller hears. */
  readonly told: number;
  /** Connections begun in a second. */
  readonly perSecond: number;
  /** Most records take up to a second to arrive; one in ten up to this long. */
  readonly delayMs: number;
}

export interface FakeConnection {
  readonly from: FakeWorkload;
  readonly to: FakeWorkload;
  readonly path: Path;
  readonly told: boolean;
  /** Blocked where it leaves, where it arrives, or nowhere. */
  readonly blocked: Side | undefined;
  /** Records of each side that arrive, and what they sum up to. */
  readonly arrived: [number, number];
  readonly bytes: [number, number];
}

const START_US = 1_790_000_000_000_000;
const FIRST_PORT = 32_768;

interface Arrivals {
  readonly atMs: Float64Array;
  readonly connection: Uint32Array;
  readonly side: Uint8Array;
  readonly firstUs: Float64Array;
  readonly lastUs: Float64Array;
  readonly kind: Uint8Array;
  readonly bytes: Float64Array;
  count: number;
}

/** Records with what the translating hosts tell beside them. */
export class ArrivalBlock extends FlowBlock implements Observations {
  readonly told = new Uint8Array(this.rule.length);
  readonly toldPort = new Uint16Array(this.rule.length);
  readonly toldIp = new Uint8Array(16 * this.rule.length);
}

export class Traffic {
  readonly network: FakeNetwork;
  readonly connections: FakeConnection[] = [];
  /** Records that arrive, repetitions included. */
  readonly records: number;
  readonly #arrivals: Arrivals;
  readonly #order: Uint32Array;
  readonly #unnamed = new Map<string, FlowEndInfo>();
  readonly #lastUse = new Map<string, number>();

  constructor(random: Random, options: TrafficOptions) {
    this.network = new FakeNetwork(random, options.hosts, options.containers);
    this.#arrivals = room(Math.ceil(options.records * 1.2) + 64);
    let sent = 0;
    for (let c = 0; sent < options.records; c += 1) {
      sent += this.#connect(random, options, c, Math.round((c / options.perSecond) * 1e6));
    }
    const { atMs, count } = this.#arrivals;
    this.#order = Uint32Array.from({ length: count }, (_, i) => i).sort(
      (a, b) => (atMs[a] as number) - (atMs[b] as number),
    );
    this.records = count;
  }

  /** Time of arrival of record n in order of arrival, milliseconds. */
  arrivalMs(n: number): number {
    return this.#arrivals.atMs[this.#order[n] as number] as number;
  }

  /** Records from..to in order of arrival, at the block's beginning. */
  fill(block: ArrivalBlock, from: number, to: number): number {
    for (let n = from; n < to; n += 1) this.#write(block, n - from, this.#order[n] as number);
    block.count = to - from;
    return to - from;
  }

  #connect(random: Random, options: TrafficOptions, id: number, atUs: number): number {
    const from = random.pick(this.network.workloads);
    const to = random.pick(this.network.workloads);
    if (from === to || to.host.gateway !== undefined) return 0;
    const blocked = random.chance(0.05) ? (random.chance(0.5) ? NEAR : FAR) : undefined;
    const lifeUs = blocked === undefined ? lifeOf(random) : 0;
    const port = this.#port(random, from, to, atUs);
    const path = this.network.path(from, to, port, atUs, atUs + lifeUs + 30_000_000);
    const told = path.translated && from.host.gateway === undefined && random.chance(options.told);
    const connection: FakeConnection = { from, to, path, told, blocked, arrived: [0, 0], bytes: [0, 0] };
    this.connections[id] = connection;
    let sent = 0;
    for (const side of blocked === NEAR ? ([NEAR] as const) : ([NEAR, FAR] as const)) {
      const skewUs = (side === NEAR ? from : to).host.skewUs;
      const begun = atUs + skewUs + (side === FAR ? 200 + random.below(2000) : 0);
      for (const [lastUs, kind] of reports(begun, lifeUs, blocked === side)) {
        sent += 1;
        if (random.chance(options.loss)) continue;
        const bytes = 100 + random.below(10_000);
        connection.arrived[side] += 1;
        connection.bytes[side] += bytes;
        const delay = random.chance(0.1) ? options.delayMs : 1000;
        const arrive = () => (lastUs - skewUs) / 1000 + random.below(1000 * delay) / 1000;
        this.#add(arrive(), id, side, begun, lastUs, kind, bytes);
        if (random.chance(options.duplicates)) this.#add(arrive(), id, side, begun, lastUs, kind, bytes);
      }
    }
    return sent;
  }

  /** A port of the source that it has not used towards this service for a while, as TIME_WAIT sees to. */
  #port(random: Random, from: FakeWorkload, to: FakeWorkload, atUs: number): number {
    for (;;) {
      const port = FIRST_PORT + random.below(28_000);
      const key = `${from.end.workloadId}:${port} ${to.end.workloadId}`;
      if ((this.#lastUse.get(key) ?? Number.NEGATIVE_INFINITY) > atUs - 200_000_000) continue;
      this.#lastUse.set(key, atUs);
      return port;
    }
  }

  #add(atMs: number, connection: number, side: Side, firstUs: number, lastUs: number, kind: EventKind, bytes: number) {
    const a = this.#arrivals;
    if (a.count === a.atMs.length) throw new RangeError(`Cannot add a record: found room for ${a.count}, wanted more`);
    a.atMs[a.count] = atMs;
    a.connection[a.count] = connection;
    a.side[a.count] = side;
    a.firstUs[a.count] = firstUs + START_US;
    a.lastUs[a.count] = lastUs + START_US;
    a.kind[a.count] = kind;
    a.bytes[a.count] = bytes;
    a.count += 1;
  }

  #write(block: ArrivalBlock, at: number, n: number): void {
    const a = this.#arrivals;
    const id = a.connection[n] as number;
    const side = a.side[n] as Side;
    const { from, to, path, told, blocked } = this.connections[id] as FakeConnection;
    const seen = side === NEAR ? path.near : path.far;
    const [own, other] = side === NEAR ? [from, to] : [to, from];
    block.firstSeenUs[at] = a.firstUs[n] as number;
    block.lastSeenUs[at] = a.lastUs[n] as number;
    block.bytesIn[at] = a.bytes[n] as number;
    block.bytesOut[at] = 0;
    block.kind[at] = a.kind[n] as number;
    block.pid[at] = id;
    block.attempts[at] = 1;
    block.protocol[at] = 6;
    block.direction[at] = side === NEAR ? Direction.DIRECTION_OUTBOUND : Direction.DIRECTION_INBOUND;
    block.verdict[at] = blocked === side ? Verdict.VERDICT_BLOCKED : Verdict.VERDICT_ALLOWED;
    block.reason[at] = blocked === side ? Reason.REASON_IMPLICIT_DENY : Reason.REASON_RULE_ALLOW;
    block.localPort[at] = seen.localPort;
    block.remotePort[at] = seen.remotePort;
    block.servicePort[at] = to.service;
    block.localIp.set(seen.localIp, 16 * at);
    block.remoteIp.set(seen.remoteIp, 16 * at);
    block.reporter[at] = block.stringRef(own.host.id);
    block.process[at] = block.stringRef('p');
    block.local[at] = block.endRef(own.end);
    const mapped = side === NEAR && seen.remotePort !== to.service;
    const hidden = side === FAR && path.translated;
    const tells = side === FAR && told;
    block.told[at] = tells ? 1 : 0;
    block.toldPort[at] = path.near.localPort;
    block.toldIp.set(path.near.localIp, 16 * at);
    block.remote[at] = block.endRef(hidden && !tells ? this.#nameless(from) : other.end);
    if (mapped) block.confidence[at] = Confidence.CONFIDENCE_MAPPED;
    else block.confidence[at] = hidden ? Confidence.CONFIDENCE_SHARED : Confidence.CONFIDENCE_EXACT;
  }

  /** All that is known of who is behind a host's address. */
  #nameless({ host }: FakeWorkload): FlowEndInfo {
    const hostId = host.gateway === undefined ? host.id : '';
    const known = this.#unnamed.get(hostId) ?? { ...UNKNOWN_END, hostId };
    this.#unnamed.set(hostId, known);
    return known;
  }
}

/** Most are over at once, some live for seconds, a few for minutes. */
function lifeOf(random: Random): number {
  const kind = random.below(100);
  if (kind < 80) return 1000 + random.below(900_000);
  if (kind < 97) return 1_000_000 + random.below(20_000_000);
  return 30_000_000 + random.below(90_000_000);
}

/** The last packet and the kind of each report of one side: when it begins, each ten seconds, when it ends. */
function reports(begun: number, lifeUs: number, denied: boolean): (readonly [number, EventKind])[] {
  if (denied) return [[begun, EventKind.EVENT_KIND_DENY]];
  const found: (readonly [number, EventKind])[] = [];
  if (lifeUs > 1_000_000) found.push([begun, EventKind.EVENT_KIND_NEW]);
  for (let at = 10_000_000; at < lifeUs; at += 10_000_000) found.push([begun + at, EventKind.EVENT_KIND_UPDATE]);
  found.push([begun + lifeUs, EventKind.EVENT_KIND_END]);
  return found;
}

function room(size: number): Arrivals {
  const f64 = () => new Float64Array(size);
  const u8 = () => new Uint8Array(size);
  const numbers = { atMs: f64(), firstUs: f64(), lastUs: f64(), bytes: f64(), connection: new Uint32Array(size) };
  return { ...numbers, side: u8(), kind: u8(), count: 0 };
}
