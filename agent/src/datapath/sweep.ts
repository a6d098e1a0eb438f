// The sweep over conntrack and the closing of local sockets of connections that policy now forbids.
import { EVENT_BYTES, EVENT_COLUMNS, EventColumns, EventFlag } from '@ringfence/bpf';
import { type BpfMap, type BpfProgram, destroySocket, destroySockets, NativeError } from '@ringfence/native';
import type { SocketOf, SweepResult } from './types.js';

const TCP = 6;
const UDP = 17;

/** Runs the iterator over rf_flows; its records. */
export function sweepRecords(program: BpfProgram, flows: BpfMap): Uint8Array {
  // Each flow is told once at most. What lies beyond the bound would be lost: the program has marked it as told.
  const most = Math.max(64 << 20, 2 * EVENT_BYTES * flows.info.maxEntries);
  return program.iterate({ map: flows, maxBytes: Math.min(most, 2 ** 32 - 1) });
}

/** Sockets of the connections that a batch of records says were cut. */
export function cutSockets(records: Uint8Array): SocketOf[] {
  const sockets: SocketOf[] = [];
  const events = new EventColumns(records.buffer, records.byteOffset, Math.floor(records.length / EVENT_BYTES));
  for (let row = 0; row < events.count; row += 1) {
    if ((events.u8(row, EVENT_COLUMNS.flags) & EventFlag.CUT) === 0) continue;
    sockets.push({
      endpoint: events.u32(row, EVENT_COLUMNS.endpoint),
      protocol: events.u8(row, EVENT_COLUMNS.proto),
      localAddress: events.address(row, EVENT_COLUMNS.local).slice(),
      localPort: events.port(row, EVENT_COLUMNS.localPort),
      remoteAddress: events.address(row, EVENT_COLUMNS.remote).slice(),
      remotePort: events.port(row, EVENT_COLUMNS.remotePort),
    });
  }
  return sockets;
}

/**
 * Closes the local socket. netns: where it lives; undefined: the agent's own namespace. A namespace that is gone took its sockets
 * with it. Throws NativeError RF_NETLINK when the kernel cannot destroy sockets.
 */
export function closeSocket(socket: SocketOf, netns: string | undefined): 'destroyed' | 'not-found' {
  if (socket.protocol !== TCP && socket.protocol !== UDP) return 'not-found';
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  const protocol = socket.protocol === TCP ? 'tcp' : 'udp';
  try {
    return destroySocket({ protocol, localAddress, localPort, remoteAddress, remotePort, netns });
  } catch (error) {
    if (error instanceof NativeError && error.code === 'RF_NETNS') return 'not-found';
    throw error;
  }
}

/**
 * Closes what a sweep cut, as far as this kernel can; the programs drop the packets of the rest. All of one network namespace together: a
 * workload that is quarantined may have thousands.
 */
export function closeCut(records: Uint8Array, netnsOf: (endpoint: number) => string | undefined): SweepResult {
  const sockets = cutSockets(records);
  const known = sockets.filter(({ protocol }) => protocol === TCP || protocol === UDP);
  let socketsDestroyed = 0;
  let why = '';
  for (const [netns, those] of Map.groupBy(known, ({ endpoint }) => netnsOf(endpoint))) {
    try {
      const { destroyed, problem } = destroySockets(
        those.map((socket) => ({ ...socket, protocol: socket.protocol === TCP ? 'tcp' : 'udp' })),
        netns,
      );
      socketsDestroyed += destroyed;
      if (problem !== '') why = problem;
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      // A namespace that is gone took its sockets with it.
      if (error.code !== 'RF_NETNS') why = error.message;
    }
  }
  return { events: records.length / EVENT_BYTES, revoked: sockets.length, socketsDestroyed, socketProblem: why };
}
