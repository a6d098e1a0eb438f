// Adds records up to rows of a traffic graph: one row for what is the same in all that names it.
import { EventKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { FlowBlock } from './block.js';
import type { GraphRow } from './store/archive.js';
import { trafficOf } from './traffic.js';

type Sum =
  | 'bytesForward'
  | 'bytesBack'
  | 'packetsForward'
  | 'packetsBack'
  | 'records'
  | 'attempts'
  | 'connections'
  | 'durationUs'
  | 'firstSeenUs'
  | 'lastSeenUs';

/** What names a row; all else is added up. */
export type GraphRowName = Omit<GraphRow, Sum>;

export class GraphRows {
  readonly #rows = new Map<string, { -readonly [K in keyof GraphRow]: GraphRow[K] }>();

  /** Adds record i to the row of this name. Names of one GraphRows are written with their fields in one order. */
  add(block: FlowBlock, i: number, name: GraphRowName): void {
    const at = (column: ArrayLike<number>) => column[i] ?? 0;
    const [firstSeenUs, lastSeenUs] = [at(block.firstSeenUs), at(block.lastSeenUs)];
    const key = JSON.stringify(Object.values(name));
    let row = this.#rows.get(key);
    if (row === undefined) {
      const sums = { bytesForward: 0, bytesBack: 0, packetsForward: 0, packetsBack: 0, records: 0, attempts: 0 };
      row = { ...name, ...sums, connections: 0, durationUs: 0, firstSeenUs, lastSeenUs };
      this.#rows.set(key, row);
    }
    const traffic = trafficOf(block, i);
    row.bytesForward += traffic.bytesForward;
    row.bytesBack += traffic.bytesBack;
    row.packetsForward += traffic.packetsForward;
    row.packetsBack += traffic.packetsBack;
    row.records += 1;
    row.attempts += at(block.attempts);
    if (at(block.kind) === EventKind.EVENT_KIND_END) row.connections += 1;
    if (at(block.kind) === EventKind.EVENT_KIND_DENY) row.connections += at(block.attempts);
    row.durationUs += lastSeenUs - firstSeenUs;
    row.firstSeenUs = Math.min(row.firstSeenUs, firstSeenUs);
    row.lastSeenUs = Math.max(row.lastSeenUs, lastSeenUs);
  }

  get all(): GraphRow[] {
    return [...this.#rows.values()];
  }
}
