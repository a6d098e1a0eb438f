// A batch into blocks, column by column.
import type { FlowColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { BatchEnds } from './batch-ends.js';
import { BLOCK_RECORDS, type FlowBlock, UNKNOWN_END } from './block.js';
import { aligned32, copyFixed, copyUint64 } from './decode.js';
import type { FlowHistory } from './history.js';

/** Writes all records of a checked batch into blocks, each with room when it is asked for. `processName` is what a process is called there. */
export function stageBatch(
  history: Pick<FlowHistory, 'writable'>,
  hostId: string,
  columns: FlowColumns,
  { ends, local, remote }: BatchEnds,
  processName: (name: string) => string = (name) => name,
): void {
  const processes = aligned32(columns.processRef);
  for (let start = 0; start < columns.count; ) {
    const block = history.writable();
    const at = block.count;
    const count = Math.min(columns.count - start, BLOCK_RECORDS - at);
    copyColumns(block, at, columns, start, count);
    block.reporter.fill(block.stringRef(hostId), at, at + count);
    copyRefs(processes, start, count, block.process, at, columns.strings.length, (ref) =>
      block.stringRef(processName(columns.strings[ref] ?? '')),
    );
    const endRef = (ref: number) => block.endRef(ends[ref] ?? UNKNOWN_END);
    copyRefs(local, start, count, block.local, at, ends.length, endRef);
    copyRefs(remote, start, count, block.remote, at, ends.length, endRef);
    block.count += count;
    start += count;
  }
}

/** Copies references, each translated once. */
function copyRefs(
  from: Uint32Array,
  start: number,
  count: number,
  to: Uint32Array,
  at: number,
  distinct: number,
  translate: (ref: number) => number,
): void {
  /** Translation + 1. */
  const known = new Uint32Array(distinct);
  for (let i = 0; i < count; i += 1) {
    const ref = from[start + i] as number;
    let translated = known[ref] as number;
    if (translated === 0) {
      translated = translate(ref) + 1;
      known[ref] = translated;
    }
    to[at + i] = translated - 1;
  }
}

function copyColumns(block: FlowBlock, at: number, columns: FlowColumns, start: number, count: number): void {
  for (const name of WIDE) copyUint64(columns[name], start, count, block[name], at);
  // A host's clock may have gone back while the connection was open.
  for (let i = at; i < at + count; i += 1) {
    const firstUs = block.firstSeenUs[i] as number;
    if ((block.lastSeenUs[i] as number) < firstUs) block.lastSeenUs[i] = firstUs;
  }
  for (const name of FIXED) copyFixed(columns[name], start, count, block[name], at);
  for (const name of ADDRESSES) {
    block[name].set(columns[name].subarray(16 * start, 16 * (start + count)), 16 * at);
  }
}

const WIDE = ['firstSeenUs', 'lastSeenUs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const;
const ADDRESSES = ['localIp', 'remoteIp'] as const;
const FIXED = [
  'rule',
  'policyVersion',
  'attempts',
  'pid',
  'localPort',
  'remotePort',
  'servicePort',
  'protocol',
  'direction',
  'verdict',
  'reason',
  'mode',
  'kind',
  'tcpFlags',
  'confidence',
] as const;
