// How much a record says went each way: of a connection's two views the fuller one counts.
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowBlock } from './block.js';

export interface FlowTraffic {
  readonly bytesForward: number;
  readonly bytesBack: number;
  readonly packetsForward: number;
  readonly packetsBack: number;
}

/** Forward is from who opened the connection. */
export function trafficOf(block: FlowBlock, index: number): FlowTraffic {
  const at = (column: ArrayLike<number>) => column[index] ?? 0;
  const towards = { bytes: at(block.bytesIn), packets: at(block.packetsIn) };
  const away = { bytes: at(block.bytesOut), packets: at(block.packetsOut) };
  const inbound = at(block.direction) === Direction.DIRECTION_INBOUND;
  const [forward, back] = inbound ? [towards, away] : [away, towards];
  return {
    bytesForward: Math.max(forward.bytes, at(block.farBytesIn)),
    bytesBack: Math.max(back.bytes, at(block.farBytesOut)),
    packetsForward: Math.max(forward.packets, at(block.farPacketsIn)),
    packetsBack: Math.max(back.packets, at(block.farPacketsOut)),
  };
}
