import { type BpfProgram, NativeError, skbContext } from '@ringfence/native';

/** Nanoseconds in the program at the workload's interface, per packet towards the workload. */
export interface PacketCosts {
  /** A packet of an open, allowed connection. */
  established: number;
  /** First packet of a connection that is allowed: decision, conntrack entry, event. */
  newAllowed: number;
  /** First packet of a connection that is refused: decision, deny accounting. */
  newDenied: number;
  /** The same test run around a program that has nothing to decide: what the harness itself costs. */
  floor: number;
}

export interface PacketPlan {
  ifindex: number;
  /** IPv4 addresses as text. */
  workload: string;
  member: string;
  stranger: string;
  port: number;
}

export const flags = { syn: 0x02, ack: 0x10 };
/** Distinct connections for the costs of a first packet, so that each run meets a tuple never seen before. */
export const connections = 20_000;
/** One call runs this often; a longer one is interrupted by the process's own timers (EINTR). */
const warmRuns = 20_000;
const warmCalls = 51;

/** What a packet has beyond its flags: sequence number, options (a multiple of 4 bytes). */
export interface TcpMore {
  readonly sequence?: number;
  readonly options?: Uint8Array;
}

/** Ethernet, IPv4, TCP without data. Checksums are left 0: nothing on the path reads them. */
export function tcpPacket(
  source: string,
  destination: string,
  sourcePort: number,
  port: number,
  tcpFlags: number,
  { sequence = 0, options = new Uint8Array() }: TcpMore = {},
): Buffer {
  const packet = Buffer.alloc(54 + options.length);
  packet.writeUInt16BE(0x0800, 12);
  packet.writeUInt8(0x45, 14);
  packet.writeUInt16BE(40 + options.length, 16);
  packet.writeUInt8(64, 22);
  packet.writeUInt8(6, 23);
  Buffer.from(source.split('.').map(Number)).copy(packet, 26);
  Buffer.from(destination.split('.').map(Number)).copy(packet, 30);
  packet.writeUInt16BE(sourcePort, 34);
  packet.writeUInt16BE(port, 36);
  packet.writeUInt32BE(sequence, 38);
  packet.writeUInt8((20 + options.length) << 2, 46);
  packet.writeUInt8(tcpFlags, 47);
  packet.set(options, 54);
  return packet;
}

/** An ARP frame: the program returns before any lookup. */
export function arpPacket(): Buffer {
  const packet = Buffer.alloc(60);
  packet.writeUInt16BE(0x0806, 12);
  return packet;
}

function middle(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? Number.NaN;
}

/** One run each over many distinct packets; the median, as single runs are disturbed by interrupts. */
export function once(program: BpfProgram, context: Uint8Array, packets: Iterable<Buffer>): number {
  const durations: number[] = [];
  for (const data of packets) durations.push(program.testRun({ data, context }).durationNs);
  return middle(durations);
}

function* firstPackets(source: string, plan: PacketPlan, base: number): Iterable<Buffer> {
  for (let i = 0; i < connections; i++) yield tcpPacket(source, plan.workload, base + i, plan.port, flags.syn);
}

/** The same packet again and again: mean of a call, median over the calls. */
export function warm(program: BpfProgram, context: Uint8Array, data: Buffer): number {
  const durations: number[] = [];
  while (durations.length < warmCalls) {
    try {
      durations.push(program.testRun({ data, context, repeat: warmRuns }).durationNs);
    } catch (error) {
      // A signal of the process's own timers ended the call early; it measured nothing.
      if (!(error instanceof NativeError && error.errnoName === 'EINTR')) throw error;
    }
  }
  return middle(durations);
}

/** Measures in the caller's network namespace. Enforcement must be on. */
export function runPackets(program: BpfProgram, plan: PacketPlan): PacketCosts {
  const context = skbContext({ ifindex: plan.ifindex });
  const single = (data: Buffer) => once(program, context, Array<Buffer>(connections).fill(data));
  const open = tcpPacket(plan.member, plan.workload, 9000, plan.port, flags.syn);
  program.testRun({ data: open, context });
  const data = tcpPacket(plan.member, plan.workload, 9000, plan.port, flags.ack);
  const established = warm(program, context, data);
  const floor = warm(program, context, arpPacket());
  // A single run carries the cost of the clock around it; the same for a packet without a decision is taken off.
  const singleFloor = single(arpPacket());
  const newAllowed = once(program, context, firstPackets(plan.member, plan, 10_000)) - singleFloor + floor;
  const newDenied = once(program, context, firstPackets(plan.stranger, plan, 35_000)) - singleFloor + floor;
  return { established, newAllowed, newDenied, floor };
}
