// What stitching asks of translations: who may be seen under an address, by the compiler's view, and who it truly was, by what hosts told.
import { addressHex } from '@ringfence/proto/address.js';
import { Confidence, Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowBlock, FlowEndInfo } from '../block.js';
import type { StitchPorts } from '../stitch/types.js';
import type { InboundTuple, SourceResolver } from '../true-source.js';
import type { Arrivals } from './arrivals.js';

export interface TranslationSource {
  /** Ids of the workloads that a host may see under an address (hexadecimal). */
  behind(hostId: string, ipHex: string): readonly string[];
  /** Who was there until lately. */
  lately(hostId: string, ipHex: string): readonly { readonly workloadId: string }[];
  /** Moves on when the two above may answer otherwise. */
  version(): number;
  /** A workload as records name it. */
  end(workloadId: string): FlowEndInfo;
}

/** Addresses whose workloads are remembered until something changes. */
const KNOWN_MAX = 65_536;
const ICMP = 1;
const ICMPV6 = 58;
const NAMED: ReadonlySet<number> = new Set([Confidence.CONFIDENCE_EXACT, Confidence.CONFIDENCE_TAGGED]);

export class Translations implements StitchPorts {
  readonly #source: TranslationSource | undefined;
  readonly #resolver: SourceResolver | undefined;
  readonly #known = new Map<string, ReadonlySet<string>>();
  #version = -1;
  #tuple: { -readonly [K in keyof InboundTuple]: InboundTuple[K] } = {
    hostId: '',
    protocol: 0,
    sourceIp: new Uint8Array(16),
    sourcePort: 0,
    destinationIp: new Uint8Array(16),
    destinationPort: 0,
    firstSeenUs: 0,
    final: false,
  };

  /** Without a source nobody is behind an address but who has it; without a resolver nobody tells. */
  constructor(source: TranslationSource | undefined, resolver: SourceResolver | undefined) {
    this.#source = source;
    this.#resolver = resolver;
  }

  mayBe(observerHostId: string, ip: Uint8Array, workloadId: string): boolean {
    if (this.#source === undefined) return false;
    const version = this.#source.version();
    if (version !== this.#version || this.#known.size > KNOWN_MAX) this.#known.clear();
    this.#version = version;
    const hex = addressHex(ip);
    const key = `${hex}${observerHostId}`;
    let here = this.#known.get(key);
    if (here === undefined) {
      const late = this.#source.lately(observerHostId, hex).map((departed) => departed.workloadId);
      here = new Set([...this.#source.behind(observerHostId, hex), ...late]);
      this.#known.set(key, here);
    }
    return here.has(workloadId);
  }

  trueSource(tuple: InboundTuple): { end: FlowEndInfo; ip: Uint8Array; port: number } | undefined {
    const told = this.#resolver?.trueSource(tuple);
    if (told === undefined || this.#source === undefined) return undefined;
    return { end: this.#source.end(told.workloadId), ip: told.ip, port: told.port };
  }

  /** Names the sources of translated inbound records, as far as they were told. */
  name(arrivals: Arrivals, hostId: string, from: number, to: number): void {
    arrivals.told.fill(0, from, to);
    if (this.#resolver === undefined) return;
    for (let i = from; i < to; i += 1) {
      if (arrivals.direction[i] !== Direction.DIRECTION_INBOUND || NAMED.has(arrivals.confidence[i] as number))
        continue;
      const source = this.trueSource(this.#tupleOf(arrivals, hostId, i));
      if (source === undefined) continue;
      arrivals.tell(i, source.end, source.ip, source.port);
    }
  }

  #tupleOf(block: FlowBlock, hostId: string, i: number): InboundTuple {
    const tuple = this.#tuple;
    const protocol = block.protocol[i] as number;
    const [local, remote] = [block.localPort[i] as number, block.remotePort[i] as number];
    const echo = protocol === ICMP || protocol === ICMPV6;
    tuple.hostId = hostId;
    tuple.protocol = protocol;
    tuple.sourceIp = block.remoteIp.subarray(16 * i, 16 * i + 16);
    tuple.destinationIp = block.localIp.subarray(16 * i, 16 * i + 16);
    tuple.sourcePort = echo ? local : remote;
    tuple.destinationPort = echo ? remote : local;
    tuple.firstSeenUs = block.firstSeenUs[i] as number;
    return tuple;
  }
}
