// First packets from exact and from shared addresses, with and without tags: what each costs in the program at the workload's interface.
import { TAG_SLOT_NS, tagOption } from '@ringfence/bpf';
import { type BpfProgram, skbContext } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import { arpPacket, connections, flags, once, tcpPacket, warm } from '../datapath/packets.js';

export interface TagPlan {
  readonly ifindex: number;
  /** IPv4 addresses as text. */
  readonly workload: string;
  readonly exact: string;
  /** Several identities behind each; one for each case, so that no case meets another's connections. */
  readonly shared: readonly [off: string, absent: string, valid: string, forged: string];
  readonly port: number;
  /** Behind the shared addresses. */
  readonly identity: number;
  readonly epoch: number;
  /** 16 bytes each, hexadecimal: the fleet's, and another one. */
  readonly key: string;
  readonly otherKey: string;
}

/** Nanoseconds per packet. */
export interface TagPacketCosts {
  readonly established: { readonly off: number; readonly on: number };
  /** First packets; each is allowed. */
  readonly exact: { readonly off: number; readonly on: number };
  readonly shared: number;
  readonly absent: number;
  readonly valid: number;
  readonly forged: number;
  readonly floor: number;
}

/** Switches tags of the kernel under test; on: fleet time is in the middle of this slot from now on. */
export type Switch = (on: { readonly slot: number } | undefined) => void;

/** Any: only that it is the same for both ends counts. */
const SLOT = 418_000_000;
const MSS = [2, 4, 5, 180];

/** Measures in the caller's network namespace. */
export function runTagPackets(program: BpfProgram, plan: TagPlan, switchTags: Switch): TagPacketCosts {
  const context = skbContext({ ifindex: plan.ifindex });
  const floor = warm(program, context, arpPacket());
  const singleFloor = once(program, context, Array<Buffer>(connections).fill(arpPacket()));
  const first = (on: boolean, packets: readonly Buffer[]) => {
    // Right before: a tag is good for two slots, and 20,000 runs take about one second.
    switchTags(on ? { slot: SLOT } : undefined);
    return once(program, context, packets) - singleFloor + floor;
  };
  const bound = {
    kind: 'address',
    address: parseAddress(plan.workload) ?? new Uint8Array(16),
    port: plan.port,
  } as const;
  const tagged = (key: string) => (isn: number) =>
    tagOption(Buffer.from(key, 'hex'), { identity: plan.identity, isn, epoch: plan.epoch, slot: SLOT, bound });
  const syns = (source: string, base: number, option?: (isn: number) => Uint8Array) =>
    Array.from({ length: connections }, (_, i) => {
      const options = Uint8Array.from([...MSS, ...(option?.(base + i) ?? [])]);
      return tcpPacket(source, plan.workload, base + i, plan.port, flags.syn, { sequence: base + i, options });
    });
  const [off, absent, valid, forged] = plan.shared;
  const established = (on: boolean) => {
    switchTags(on ? { slot: SLOT } : undefined);
    const open = tcpPacket(plan.exact, plan.workload, 9000, plan.port, flags.syn);
    program.testRun({ data: open, context });
    return warm(program, context, tcpPacket(plan.exact, plan.workload, 9000, plan.port, flags.ack));
  };
  return {
    floor,
    established: { off: established(false), on: established(true) },
    exact: { off: first(false, syns(plan.exact, 10_000)), on: first(true, syns(plan.exact, 35_000)) },
    shared: first(false, syns(off, 10_000)),
    absent: first(true, syns(absent, 10_000)),
    valid: first(true, syns(valid, 10_000, tagged(plan.key))),
    forged: first(true, syns(forged, 10_000, tagged(plan.otherKey))),
  };
}

/** Fleet time in the middle of a slot, milliseconds. */
export function middleOf(slot: number): number {
  return Number((BigInt(slot) * TAG_SLOT_NS + TAG_SLOT_NS / 2n) / 1_000_000n);
}
