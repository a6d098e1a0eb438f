// A stored row as the observations that it was made of.
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowBlock } from '../block.js';
import { VIEW } from '../stitch/row.js';
import type { Observations } from '../stitch/types.js';
import type { Arrivals } from './arrivals.js';

const ALIKE = ['protocol', 'kind', 'tcpFlags', 'attempts'] as const;
const DECISION = ['verdict', 'reason', 'mode', 'rule', 'policyVersion'] as const;
const OTHER = ['otherVerdict', 'otherReason', 'otherMode', 'otherRule', 'otherPolicyVersion'] as const;
const NEAR_COLUMNS = [
  ...(['firstSeenUs', 'lastSeenUs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const),
  ...(['pid', 'localPort', 'remotePort', 'servicePort'] as const),
];
const FAR_COLUMNS = [
  ...(['farFirstSeenUs', 'farLastSeenUs', 'farBytesIn', 'farBytesOut', 'farPacketsIn', 'farPacketsOut'] as const),
  ...(['farPid', 'farLocalPort', 'farRemotePort', 'farServicePort'] as const),
];

/** Where the two views of a row stand, one row after the other: a block is far larger than a row. */
export type RestoredInto = readonly [Arrivals, Arrivals];

/** The views of a row, each at place 0 of a block of `into`, until the next row. */
export function restoredViews(
  block: FlowBlock,
  index: number,
  into: RestoredInto,
): { readonly near: Observations | undefined; readonly far: Observations | undefined } {
  const both = block.views[index] === (VIEW.inbound | VIEW.outbound);
  const inbound = block.direction[index] === Direction.DIRECTION_INBOUND;
  const first = viewOf(block, index, into[0], false, both && block.decider[index] === Direction.DIRECTION_INBOUND);
  first.direction[0] = inbound ? Direction.DIRECTION_INBOUND : Direction.DIRECTION_OUTBOUND;
  first.confidence[0] = (both ? block.nearConfidence : block.confidence)[index] as number;
  if (!both) return inbound ? { near: undefined, far: first } : { near: first, far: undefined };
  const second = viewOf(block, index, into[1], true, block.decider[index] !== Direction.DIRECTION_INBOUND);
  second.direction[0] = Direction.DIRECTION_INBOUND;
  second.confidence[0] = block.farConfidence[index] as number;
  return { near: first, far: second };
}

/** `other`: this view is the one that did not decide. */
function viewOf(block: FlowBlock, index: number, view: Arrivals, far: boolean, other: boolean): Arrivals {
  view.reset();
  view.count = 1;
  for (const name of ALIKE) view[name][0] = block[name][index] as number;
  DECISION.forEach((name, place) => {
    view[name][0] = block[other ? (OTHER[place] ?? name) : name][index] as number;
  });
  NEAR_COLUMNS.forEach((name, place) => {
    view[name][0] = block[far ? (FAR_COLUMNS[place] ?? name) : name][index] as number;
  });
  const text = (refs: Uint32Array) => view.stringRef(block.strings[refs[index] as number] ?? '');
  const end = (refs: Uint32Array) => {
    const info = block.ends[refs[index] as number];
    return info === undefined ? 0 : view.endRef(info);
  };
  view.process[0] = text(far ? block.farProcess : block.process);
  view.reporter[0] = text(far ? block.farReporter : block.reporter);
  view.local[0] = end(far ? block.farEnd : block.local);
  view.remote[0] = end(far ? block.local : block.remote);
  const [localIp, remoteIp] = far ? [block.farLocalIp, block.farRemoteIp] : [block.localIp, block.remoteIp];
  view.localIp.set(localIp.subarray(16 * index, 16 * index + 16));
  view.remoteIp.set(remoteIp.subarray(16 * index, 16 * index + 16));
  return view;
}
