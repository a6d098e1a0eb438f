// A made-up fleet for the stitcher's tests and its benchmark: hosts with containers behind masquerade and published ports, hosts
// behind gateways, plain hosts; who sees whom under which address; source ports as a kernel translates them.
import type { Random } from '../../../policy/testing/random.js';
import { type FlowEndInfo, UNKNOWN_END } from '../../block.js';

export interface FakeWorkload {
  readonly end: FlowEndInfo;
  readonly host: FakeHost;
  /** As its own host sees it. */
  readonly ip: Uint8Array;
  /** Leaves its host under the host's address. */
  readonly masqueraded: boolean;
  /** Port under which its host publishes its service; 0: reached by its own address. */
  readonly published: number;
  readonly service: number;
}

export interface FakeHost {
  readonly id: string;
  readonly index: number;
  /** As others in its own space see it. */
  readonly ip: Uint8Array;
  /** Address under which it leaves its space; undefined: it is not translated. */
  readonly gateway: Uint8Array | undefined;
  readonly workloads: FakeWorkload[];
  /** By how much its clock is wrong, microseconds. */
  readonly skewUs: number;
}

/** A connection's addresses and ports, as its two hosts see them. */
export interface Path {
  readonly near: {
    readonly localIp: Uint8Array;
    readonly localPort: number;
    readonly remoteIp: Uint8Array;
    readonly remotePort: number;
  };
  readonly far: {
    readonly localIp: Uint8Array;
    readonly localPort: number;
    readonly remoteIp: Uint8Array;
    readonly remotePort: number;
  };
  /** The source's port was changed on the way. */
  readonly moved: boolean;
  readonly translated: boolean;
}

export function mapped(a: number, b: number, c: number, d: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0xff, a, b, c, d], 10);
  return bytes;
}

const PRIVATE = 17;
const SKEW_MAX_US = 2_500_000;

export class FakeNetwork {
  readonly hosts: FakeHost[] = [];
  readonly workloads: FakeWorkload[] = [];
  /** Until when a translated source is in use: by address and port on both sides. */
  readonly #inUse = new Map<string, number>();
  readonly #random: Random;

  constructor(random: Random, hosts: number, containers: number) {
    this.#random = random;
    for (let h = 0; h < hosts; h += 1) {
      const host: FakeHost = {
        id: `h${h}`,
        index: h,
        ip: mapped(10, 1, h >> 8, h & 255),
        // Every fourth host stands behind a gateway that it shares with three others.
        gateway: h % 4 === 3 ? mapped(198, 51, 100, 1 + (h >> 4)) : undefined,
        workloads: [],
        skewUs: Math.round((random.below(2001) / 1000 - 1) * SKEW_MAX_US),
      };
      this.hosts.push(host);
      for (let w = 0; w < containers; w += 1) this.#addWorkload(host, w);
    }
  }

  /** Whether an observer may see a workload under an address. */
  readonly mayBe = (observer: string, ip: Uint8Array, workloadId: string): boolean => {
    const workload = this.#byId.get(workloadId);
    if (workload === undefined) return false;
    if (same(ip, workload.ip) && (!workload.masqueraded || observer === workload.host.id)) return true;
    if (observer === workload.host.id) return false;
    return same(ip, workload.host.gateway ?? workload.host.ip);
  };
  readonly #byId = new Map<string, FakeWorkload>();

  endOf(workloadId: string): FlowEndInfo {
    return this.#byId.get(workloadId)?.end ?? UNKNOWN_END;
  }

  identityOf(workloadId: string): number {
    return this.endOf(workloadId).identity;
  }

  /** The way from one workload to another's service. `untilUs`: how long translations of it are kept. */
  path(from: FakeWorkload, to: FakeWorkload, port: number, atUs: number, untilUs: number): Path {
    const inside = from.host === to.host;
    const reached = inside ? to.ip : to.host.ip;
    const remoteIp = to.published === 0 ? to.ip : reached;
    const remotePort = to.published === 0 || inside ? to.service : to.published;
    const near = { localIp: from.ip, localPort: port, remoteIp, remotePort };
    const sourceIp = inside ? from.ip : (from.host.gateway ?? (from.masqueraded ? from.host.ip : from.ip));
    const translated = !same(sourceIp, from.ip);
    const sourcePort = translated ? this.#translate(sourceIp, port, to, atUs, untilUs) : port;
    const far = { localIp: to.ip, localPort: to.service, remoteIp: sourceIp, remotePort: sourcePort };
    return { near, far, moved: sourcePort !== port, translated };
  }

  /** The port is kept unless another connection to the same service has it. */
  #translate(ip: Uint8Array, port: number, to: FakeWorkload, atUs: number, untilUs: number): number {
    const key = (p: number) => `${ip[12]}.${ip[13]}.${ip[14]}.${ip[15]}:${p} ${to.end.workloadId}`;
    let chosen = port;
    while ((this.#inUse.get(key(chosen)) ?? 0) > atUs) chosen = 1024 + this.#random.below(64_512);
    this.#inUse.set(key(chosen), untilUs);
    return chosen;
  }

  #addWorkload(host: FakeHost, w: number): void {
    const id = `${host.id}/w${w}`;
    // The first is the host itself; the others are containers, the same private range on every host.
    const container = w > 0;
    const workload: FakeWorkload = {
      end: {
        workloadId: id,
        workloadName: `w${w}`,
        hostId: host.id,
        labels: { app: `a${w}` },
        identity: host.index * 64 + w + 1,
      },
      host,
      ip: container ? mapped(172, PRIVATE, 0, 1 + w) : host.ip,
      masqueraded: container,
      published: container ? 8000 + w : 0,
      service: 80 + (w % 3),
    };
    host.workloads.push(workload);
    this.workloads.push(workload);
    this.#byId.set(id, workload);
  }
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < 16; i += 1) if (a[i] !== b[i]) return false;
  return true;
}
