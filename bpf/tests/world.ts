// Policy and workloads into the kernel by the product's own path: model → compiler → instructions → rendered tables → maps. And
// one connection as both sides judge it: evaluate.ts, and a packet through the programs.
import { applyUpdate, emptyInstructions } from '@ringfence/agent/desired/instructions.js';
import type { LocalWorkload } from '@ringfence/agent/desired/local.js';
import { ifindexKey } from '@ringfence/agent/desired/pack.js';
import { computeDesired } from '@ringfence/agent/desired/renderer.js';
import type { FailsafeState, NatState } from '@ringfence/agent/desired/update.js';
import { createCompiler } from '@ringfence/controller/compile/graph.js';
import type { Compiler, CompilerWorkload } from '@ringfence/controller/compile/types.js';
import { type Decision, evaluate, type Tuple } from '@ringfence/controller/policy/evaluate.js';
import type { Policy } from '@ringfence/controller/policy/model.js';
import { candidatesByTag } from '@ringfence/controller/policy/tagged.js';
import { identityNumbers } from '@ringfence/controller/policy/testing/numbers.js';
import { behind } from '@ringfence/controller/topology/testing/behind.js';
import { Topology } from '@ringfence/controller/topology/view.js';
import { formatAddress, isIpv4 } from '@ringfence/proto/address.js';
import { Direction, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { ENDPOINT, type Endpoint, type FlowKey, type MapName } from '../ts/index.js';
import type { TestKernel } from './kernel.js';
import * as packets from './packets.js';

export const NOW_MS = Date.parse('2030-01-01T00:00:00Z');
/** The host whose kernel is under test. */
export const HOST = 'h1';
/** What the container under test calls itself, in both families. */
export const LOCAL = { v4: '10.250.0.1', v6: 'fd00:250::1' } as const;

export type Way = Direction.DIRECTION_INBOUND | Direction.DIRECTION_OUTBOUND;

export interface WorldOptions {
  readonly nats?: readonly (Omit<NatState, 'identity'> & { readonly workload: string })[];
  readonly failsafes?: readonly FailsafeState[];
}

export class World {
  readonly #kernel: TestKernel;
  readonly #compiler: Compiler;
  readonly #workloads: readonly CompilerWorkload[];
  readonly #topology = new Topology();
  readonly #options: WorldOptions;
  #policy: Policy;
  #endpoints = new Map<string, Endpoint>();
  #version = 0;
  #generation = 0;

  constructor(kernel: TestKernel, policy: Policy, workloads: readonly CompilerWorkload[], options: WorldOptions = {}) {
    this.#kernel = kernel;
    this.#workloads = workloads;
    this.#options = options;
    this.#policy = policy;
    this.#compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
    this.#compiler.tick(NOW_MS);
    this.#compiler.setHost(HOST);
    for (const workload of workloads) {
      this.#compiler.setWorkload(workload);
      this.#topology.add(workload);
    }
    this.#topology.settle();
    this.provision(policy);
  }

  /** Workloads that this kernel enforces. */
  get subjects(): readonly CompilerWorkload[] {
    return this.#workloads.filter((workload) => workload.hostId === HOST);
  }

  get generation(): number {
    return this.#generation;
  }

  /** Another policy: new tables, then a new generation. */
  provision(policy: Policy): void {
    this.#policy = policy;
    this.#version += 1;
    this.#generation += 1;
    this.#compiler.setPolicy(policy, this.#version);
    this.#compiler.flush();
    const snapshot = this.#compiler.snapshot(HOST);
    if (!snapshot) throw new Error('no snapshot');
    const applied = applyUpdate(emptyInstructions(), undefined, {
      ...snapshot,
      revision: 1,
      more: false,
      nats: (this.#options.nats ?? []).map((nat) => ({ ...nat, identity: this.#compiler.identityOf(nat.workload) })),
      removedNats: [],
      failsafes: this.#options.failsafes ?? [],
      unpaired: undefined,
    });
    if (applied.kind !== 'complete') throw new Error(JSON.stringify(applied));
    const locals: LocalWorkload[] = this.subjects.map((subject, i) => ({
      localId: subject.localId,
      kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
      interfaces: [{ name: `test${i}`, ifindex: 1000 + i }],
      cgroup: undefined,
      addresses: [],
      netns: undefined,
    }));
    const desired = computeDesired(applied.next, locals, {
      unassigned: 'visibility',
      rejectMode: 'policy',
      failsafes: [],
    });
    for (const [name, table] of Object.entries(desired.tables)) {
      if (name !== 'rf_endpoints') fill(this.#kernel, name as MapName, [...table.entries()]);
    }
    this.#endpoints = new Map(
      this.subjects.map((subject, i) => {
        const value = desired.tables.rf_endpoints.get(ifindexKey(1000 + i));
        if (value === undefined) throw new Error(`no endpoint for ${subject.id}`);
        return [subject.id, ENDPOINT.decode(Buffer.from(value, 'latin1'))];
      }),
    );
    this.#kernel.bump();
  }

  /** The packets that follow are this workload's. */
  enter(subject: CompilerWorkload): Endpoint {
    const endpoint = this.#endpoints.get(subject.id);
    if (!endpoint) throw new Error(`no endpoint for ${subject.id}`);
    const current = { ...endpoint, generation: this.#generation };
    this.#kernel.endpoint(current);
    return current;
  }

  /** Identities behind a remote address, ascending. */
  identitiesBehind(remote: Uint8Array): number[] {
    const peers = behind(this.#topology, this.#workloads, HOST, remote);
    return [...new Set(peers.map(({ id }) => this.#compiler.identityOf(id)))].sort((a, b) => a - b);
  }

  /**
   * What policy means. Outbound a destination mapping names the peer and the port that policy is asked about. tagged: the identity that
   * a valid tag names.
   */
  evaluate(subject: CompilerWorkload, tuple: Tuple, way: Way, tagged?: number): Decision {
    const outbound = way === Direction.DIRECTION_OUTBOUND;
    const nat = this.#options.nats?.find(
      (each) =>
        outbound && each.protocol === tuple.protocol && each.port === tuple.port && equal(each.address, tuple.remote),
    );
    if (nat) {
      const peers = this.#workloads.filter((workload) => workload.id === nat.workload);
      return evaluate(this.#policy, subject, peers, { ...tuple, port: nat.targetPort }, way, NOW_MS);
    }
    const peers = behind(this.#topology, this.#workloads, HOST, tuple.remote).sort(
      (a, b) => this.#compiler.identityOf(a.id) - this.#compiler.identityOf(b.id),
    );
    const candidates =
      tagged === undefined ? peers : candidatesByTag(peers, ({ id }) => this.#compiler.identityOf(id) === tagged);
    return evaluate(this.#policy, subject, candidates, tuple, way, NOW_MS);
  }
}

function fill(kernel: TestKernel, name: MapName, entries: readonly (readonly [string, string])[]): void {
  const map = kernel.map(name);
  const old = map.keys();
  if (old.length > 0) map.deleteBatch(old, { missingOk: true });
  if (entries.length === 0) return;
  const keys = Buffer.concat(entries.map(([key]) => Buffer.from(key, 'latin1')));
  const values = Buffer.concat(entries.map(([, value]) => Buffer.from(value, 'latin1')));
  const result = map.updateBatch(keys, values);
  if (result.errno !== 0)
    throw new Error(`Cannot fill ${name}: ${result.errnoName} at ${result.applied} of ${entries.length}`);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

/** One connection: how it starts, goes on and is answered, and how the kernel keys it. */
export interface Connection {
  /** What policy is asked, as the wire can carry it. */
  readonly tuple: Tuple;
  readonly way: Way;
  readonly opening: Uint8Array;
  /** A later packet the same way. */
  readonly following: Uint8Array;
  /** A packet the other way; undefined where the protocol has none of its own (ICMP errors, replies). */
  readonly answer: Uint8Array | undefined;
  readonly key: Omit<FlowKey, 'endpoint'>;
}

/**
 * The connection that a tuple describes, told apart from others by `client` (client port or echo id). ICMP of the wrong family is
 * just a protocol number: policy is asked about port 0.
 */
export function connection(asked: Tuple, way: Way, client: number): Connection {
  const v4 = isIpv4(asked.remote);
  const local = v4 ? LOCAL.v4 : LOCAL.v6;
  const remote = formatAddress(asked.remote);
  const inbound = way === Direction.DIRECTION_INBOUND;
  const [src, dst] = inbound ? [remote, local] : [local, remote];
  const key = { local: mapped(local), remote: asked.remote, proto: asked.protocol, opened: 0 };
  const ports = inbound ? { localPort: asked.port, remotePort: client } : { localPort: client, remotePort: asked.port };
  if (asked.protocol === packets.TCP) {
    const there = { sport: client, dport: asked.port };
    const back = { sport: asked.port, dport: client };
    return {
      tuple: asked,
      way,
      opening: packets.tcp(src, dst, { ...there, flags: packets.SYN }),
      following: packets.tcp(src, dst, { ...there, flags: packets.ACK, payload: new Uint8Array(10) }),
      answer: packets.tcp(dst, src, { ...back, flags: packets.SYN | packets.ACK }),
      key: { ...key, ...ports },
    };
  }
  if (asked.protocol === packets.UDP) {
    const opening = packets.udp(src, dst, client, asked.port);
    const answer = packets.udp(dst, src, asked.port, client);
    return { tuple: asked, way, opening, following: opening, answer, key: { ...key, ...ports } };
  }
  if (asked.protocol === (v4 ? packets.ICMP : packets.ICMPV6)) return icmpConnection(asked, way, client, src, dst, key);
  if (asked.protocol === 132) {
    const opening = packets.ported(src, dst, asked.protocol, client, asked.port);
    const answer = packets.ported(dst, src, asked.protocol, asked.port, client);
    return { tuple: asked, way, opening, following: opening, answer, key: { ...key, ...ports } };
  }
  const tuple = { ...asked, port: 0 };
  const opening = packets.other(src, dst, asked.protocol);
  const answer = packets.other(dst, src, asked.protocol);
  return { tuple, way, opening, following: opening, answer, key: { ...key, localPort: 0, remotePort: 0 } };
}

function icmpConnection(
  tuple: Tuple,
  way: Way,
  client: number,
  src: string,
  dst: string,
  base: { readonly local: Uint8Array; readonly remote: Uint8Array; readonly proto: number },
): Connection {
  const type = tuple.port >> 8;
  const code = tuple.port & 255;
  const v4 = tuple.protocol === packets.ICMP;
  const withId = v4 ? type === 0 || type === 8 : type === 128 || type === 129;
  const opening = packets.icmp(src, dst, type, code, withId ? packets.echoRest(client) : undefined);
  const isQuery = type === (v4 ? 8 : 128);
  return {
    tuple,
    way,
    opening,
    following: opening,
    answer: isQuery && code === 0 ? packets.icmp(dst, src, v4 ? 0 : 129, 0, packets.echoRest(client)) : undefined,
    key: { ...base, localPort: withId ? client : 0, remotePort: tuple.port, opened: way },
  };
}

function mapped(text: string): Uint8Array {
  const bytes = packets.addressBytes(text);
  if (bytes.length === 16) return bytes;
  const out = new Uint8Array(16);
  out.set([0xff, 0xff], 10);
  out.set(bytes, 12);
  return out;
}

/** ICMP errors that speak of no flow are decided by policy, but an implicit deny of one says so. */
export function isIcmpError(tuple: Tuple): boolean {
  const type = tuple.port >> 8;
  if (tuple.protocol === packets.ICMP) return isIpv4(tuple.remote) && [3, 4, 5, 11, 12].includes(type);
  return tuple.protocol === packets.ICMPV6 && !isIpv4(tuple.remote) && type < 128;
}

/** Comparable text of a flow key. */
export function keyText(key: Omit<FlowKey, 'endpoint' | 'opened'> & { readonly endpoint?: number }): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  return `${key.endpoint ?? 0} ${key.proto} ${hex(key.local)}:${key.localPort} ${hex(key.remote)}:${key.remotePort}`;
}
