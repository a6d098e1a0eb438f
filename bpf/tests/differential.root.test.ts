// Random policies and packets: evaluate.ts and the programs must say the same: verdict, reason, rule and mode. Every world goes
// through two policies: the second revisits what the first left open, half by packets and half by the sweep. Half of the SYNs that come
// in carry tags, genuine and false ones.
import type { CompilerWorkload } from '@ringfence/controller/compile/types.js';
import type { Decision } from '@ringfence/controller/policy/evaluate.js';
import { randomPolicy, randomTuple, randomWorkload } from '@ringfence/controller/policy/testing/generate.js';
import { ruleNumbers } from '@ringfence/controller/policy/testing/numbers.js';
import { type Random, random } from '@ringfence/controller/policy/testing/random.js';
import { formatAddress } from '@ringfence/proto/address.js';
import { Direction, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  EventFlag,
  type FlowEvent,
  FlowFlag,
  PEER,
  PEER_KEY,
  PeerFlag,
  type TagClaim,
  tagOption,
} from '../ts/index.js';
import { DROP, PASS, REDIRECT, TestKernel } from './kernel.js';
import * as p from './packets.js';
import { clearTags, keyOf, SLOT, setKey, setTags } from './tag-bed.js';
import {
  type Connection,
  connection,
  HOST,
  isIcmpError,
  keyText,
  type Way,
  World,
  type WorldOptions,
} from './world.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const CASES = Number(process.env.RINGFENCE_CASES ?? 10_000);
/** Of the genuine tags. */
const EPOCH = 5;
const WAYS = [Direction.DIRECTION_INBOUND, Direction.DIRECTION_OUTBOUND] as const;

interface Case {
  readonly subject: CompilerWorkload;
  readonly connection: Connection;
  readonly endpoint: number;
  /** Its SYN carries a valid tag of this identity; who is behind the address is another question. */
  readonly tag?: number | undefined;
}

let kernel: TestKernel;
beforeAll(() => {
  kernel = new TestKernel();
});
afterAll(() => kernel.close());

describe('programs', () => {
  it(`decide as evaluate.ts does (seed ${SEED}, ${CASES} cases; repeat with RINGFENCE_SEED)`, {
    timeout: 300_000,
  }, async () => {
    const r = random(SEED);
    const outcomes = new Map<string, number>();
    const seen = (kind: string): void => void outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
    let checked = 0;
    while (checked < CASES) {
      kernel.clearFlows();
      clearTags(kernel);
      setTags(kernel);
      setKey(kernel, EPOCH);
      const numbers = ruleNumbers();
      const workloads = Array.from({ length: 6 + r.below(10) }, (_, i) => subjectsHere(randomWorkload(r, i), r));
      const nats = randomNats(r, workloads);
      const world = new World(kernel, randomPolicy(r, 12, numbers), workloads, { nats });
      const cases = draw(r, world, workloads, nats);
      const passed: Case[] = [];
      const expected = new Map<string, { decision: Decision; it: Case }>();
      for (const it of cases) {
        world.enter(it.subject);
        const decision = expectation(world, it);
        const told = isTold(world, it);
        if (told) seen('tagged');
        const { retval } = run(it.connection.way, it.connection.opening);
        check(it, decision, 'opening', retval, decision.verdict !== Verdict.VERDICT_BLOCKED);
        expected.set(keyText({ ...it.connection.key, endpoint: it.endpoint }), { decision, it });
        if (retval === PASS) {
          // Where the tag told nothing at the opening, the flow knows of none later either.
          passed.push(told ? it : { ...it, tag: undefined });
          const back = it.connection.way === WAYS[0] ? WAYS[1] : WAYS[0];
          if (it.connection.answer) check(it, decision, 'answer', run(back, it.connection.answer).retval, true);
        }
        seen(`${Verdict[decision.verdict]} ${Reason[decision.reason]}`);
      }
      const events = await kernel.events();
      for (const event of events) {
        const { decision, it } = expected.get(keyText(event)) ?? {};
        if (!decision || !it) throw new Error(`seed ${SEED}: event for no case: ${show(event)}`);
        expected.delete(keyText(event));
        compare(it, decision, event);
        const told = (event.flags & EventFlag.TAGGED) !== 0;
        if (told !== isTold(world, it) || (told && event.peerIdentity !== it.tag))
          throw new Error(`seed ${SEED}: tagged or not: ${show({ event, it })}`);
      }
      if (expected.size > 0) throw new Error(`seed ${SEED}: no event for ${show([...expected.values()][0])}`);
      revisit(world, passed, () => world.provision(randomPolicy(r, 12, numbers)), seen);
      await kernel.events();
      checked += cases.length + passed.length;
    }
    console.log(
      `differential: ${checked} cases, seed ${SEED}: ${JSON.stringify(Object.fromEntries([...outcomes].sort()))}`,
    );
    for (const kind of [
      'VERDICT_ALLOWED REASON_RULE_ALLOW',
      'VERDICT_BLOCKED REASON_RULE_DENY',
      'VERDICT_BLOCKED REASON_IMPLICIT_DENY',
      'VERDICT_WOULD_BLOCK REASON_IMPLICIT_DENY',
      'VERDICT_BLOCKED REASON_ISOLATED',
      'cut by packet',
      'cut by sweep',
    ]) {
      expect([kind, (outcomes.get(kind) ?? 0) > 0]).toEqual([kind, true]);
    }
    expect(outcomes.get('tagged')).toBeGreaterThan(50);
    expect(kernel.failures()).toEqual({});
  });
});

/** Most workloads on the host under test. */
function subjectsHere(workload: CompilerWorkload, r: Random): CompilerWorkload {
  return workload.hostId !== '' && r.chance(0.5) ? { ...workload, hostId: HOST } : workload;
}

type Nats = NonNullable<WorldOptions['nats']>;

/** A few addresses and ports that mean somebody else. Ports are those that connections are drawn with. */
function randomNats(r: Random, workloads: readonly CompilerWorkload[]): Nats {
  const remotes = workloads.flatMap((workload) => workload.addresses.map((at) => at.address));
  if (remotes.length === 0) return [];
  const drawn = Array.from({ length: r.below(8) }, () => {
    const { protocol, port, remote } = randomTuple(r, remotes);
    const workload = r.pick(workloads).id;
    return { space: '', protocol, port, address: remote, workload, targetPort: r.pick([80, 443, 53, 5432]) };
  }).filter(({ protocol }) => protocol === 6 || protocol === 17);
  const keyOf = (nat: Nats[number]) => `${nat.protocol} ${nat.port} ${Buffer.from(nat.address).toString('hex')}`;
  return [...new Map(drawn.map((nat) => [keyOf(nat), nat])).values()];
}

function draw(r: Random, world: World, workloads: readonly CompilerWorkload[], nats: Nats): Case[] {
  const remotes = workloads.flatMap((workload) => workload.addresses.map((at) => at.address));
  // Few workloads share an address by chance: half of what comes in is made to come from one that is shared.
  const shared = remotes.filter((remote) => world.identitiesBehind(remote).length > 1);
  const cases: Case[] = [];
  const keys = new Set<string>();
  let client = 20_000;
  for (const subject of world.subjects) {
    const { number: endpoint } = world.enter(subject);
    for (let i = 0; i < 24; i++) {
      // Some come to a mapped port, and some, which must not count, come from one.
      const nat = nats.length > 0 && r.chance(0.3) ? r.pick(nats) : undefined;
      const way = WAYS[r.below(2)] ?? WAYS[0];
      const inbound = way === Direction.DIRECTION_INBOUND;
      const any = randomTuple(r, remotes);
      const plain =
        inbound && shared.length > 0 && r.chance(0.5) ? { ...any, protocol: p.TCP, remote: r.pick(shared) } : any;
      const at = nat && { protocol: nat.protocol, remote: nat.address, port: inbound ? plain.port : nat.port };
      const asked = connection(at ?? plain, way, nat && inbound ? nat.port : client++);
      const { drawn, tag } = tagged(r, world, asked, client * 32 + i);
      const text = keyText({ ...drawn.key, endpoint });
      // Protocols without ports have one flow per peer: the first asks, the others would hit it.
      if (keys.has(text)) continue;
      keys.add(text);
      cases.push({ subject, connection: drawn, endpoint, tag });
    }
  }
  return cases;
}

/** Gives half of the SYNs that come in a tag: of somebody behind the address, of somebody else, or a false one. */
function tagged(
  r: Random,
  world: World,
  drawn: Connection,
  isn: number,
): { readonly drawn: Connection; readonly tag: number | undefined } {
  const { key, tuple, way } = drawn;
  const inbound = way === Direction.DIRECTION_INBOUND && tuple.protocol === p.TCP;
  if (!inbound || r.chance(0.5)) return { drawn, tag: undefined };
  const there = world.identitiesBehind(tuple.remote);
  const identity = r.chance(0.8) && there.length > 0 ? (there[r.below(there.length)] ?? 1) : 1 + r.below(40);
  const good = r.chance(0.7);
  // False ones: another time, another number, another port, or another key.
  const wrong = good ? -1 : r.below(4);
  const claim: TagClaim = {
    identity,
    isn: wrong === 0 ? isn + 1 : isn,
    epoch: EPOCH,
    slot: wrong === 1 ? SLOT + 4 : SLOT,
    bound: { kind: 'address', address: key.local, port: wrong === 2 ? tuple.port ^ 1 : tuple.port },
  };
  const options = tagOption(keyOf(wrong === 3 ? EPOCH + 1 : EPOCH), claim);
  const [src, dst] = [formatAddress(key.remote), formatAddress(key.local)];
  const opening = p.tcp(src, dst, { sport: key.remotePort, dport: tuple.port, flags: p.SYN, seq: isn, options });
  return { drawn: { ...drawn, opening }, tag: good ? identity : undefined };
}

/**
 * The tag names one of several behind the address: the record says so. Hosts are told of addresses that their rules may speak of; to
 * others everybody is unknown, and a tag changes nothing.
 */
function isTold(world: World, { subject, tag, connection: { tuple } }: Case): boolean {
  const there = world.identitiesBehind(tuple.remote);
  if (tag === undefined || there.length < 2 || !there.includes(tag)) return false;
  const key = PEER_KEY.encode({ space: world.enter(subject).space, addr: tuple.remote });
  const peer = kernel.map('rf_peers').lookup(key);
  return peer !== undefined && (PEER.decode(peer).flags & PeerFlag.SHARED) !== 0;
}

/** Generation change: what is open is decided again in its original direction. */
function revisit(world: World, open: readonly Case[], provision: () => void, seen: (kind: string) => void): void {
  provision();
  // One endpoint is at the test device at a time, and the sweep ends the flows of absent ones: its subject comes last.
  const swept = open[0]?.subject;
  for (const it of open.filter(({ subject }) => subject !== swept)) {
    world.enter(it.subject);
    const decision = expectation(world, it);
    const blocked = decision.verdict === Verdict.VERDICT_BLOCKED;
    check(it, decision, 'following', run(it.connection.way, it.connection.following).retval, !blocked);
    settled(it, decision);
    if (blocked) seen('cut by packet');
  }
  if (!swept) return;
  world.enter(swept);
  kernel.sweep();
  for (const it of open.filter(({ subject }) => subject === swept)) {
    const decision = expectation(world, it);
    settled(it, decision);
    if (decision.verdict === Verdict.VERDICT_BLOCKED) seen('cut by sweep');
  }
}

/** The entry says what was decided. */
function settled(it: Case, decision: Decision): void {
  const flow = kernel.flow({ ...it.connection.key, endpoint: it.endpoint });
  if (!flow) throw new Error(`seed ${SEED}: no flow for ${show(it)}`);
  const blocked = decision.verdict === Verdict.VERDICT_BLOCKED;
  const wanted = { ...decision, reason: blocked ? Reason.REASON_REVOKED : decision.reason };
  compare(it, wanted, flow);
  if (((flow.flags & FlowFlag.CUT) !== 0) !== blocked)
    throw new Error(`seed ${SEED}: cut or not: ${show({ it, flow, decision })}`);
}

function expectation(world: World, { subject, connection: asked, tag }: Case): Decision {
  const decision = world.evaluate(subject, asked.tuple, asked.way, tag);
  if (decision.reason === Reason.REASON_IMPLICIT_DENY && isIcmpError(asked.tuple)) {
    return { ...decision, reason: Reason.REASON_ICMP_UNRELATED };
  }
  return decision;
}

function run(way: Way, packet: Uint8Array): { readonly retval: number } {
  return way === Direction.DIRECTION_INBOUND ? kernel.receive(packet) : kernel.send(packet);
}

function check(it: Case, decision: Decision, packet: string, retval: number, passes: boolean): void {
  const wanted = passes ? [PASS] : [DROP, REDIRECT];
  // A cut connection in reject mode goes on as a reset: passed, but no longer the packet it was.
  const reset = packet === 'following' && !passes && it.connection.key.proto === 6 && it.subject.reject;
  if (reset ? retval !== PASS : !wanted.includes(retval)) {
    throw new Error(`seed ${SEED}: ${packet} gave ${retval}, wanted ${wanted}: ${show({ it, decision })}`);
  }
}

function compare(it: Case, decision: Decision, got: Pick<FlowEvent, 'verdict' | 'reason' | 'rule' | 'mode'>): void {
  const { verdict, reason, rule, mode } = got;
  const same =
    verdict === decision.verdict && reason === decision.reason && rule === decision.rule && mode === decision.mode;
  if (!same)
    throw new Error(`seed ${SEED}: found ${show({ verdict, reason, rule, mode })}, wanted ${show({ decision, it })}`);
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, v) =>
    typeof v === 'bigint' ? `${v}` : v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v,
  );
}
