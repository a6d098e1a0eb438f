// Rows that a stitcher left, held against what really happened: every connection once, nobody mistaken for another.
import { FlowBlock, UNKNOWN_END } from '../../block.js';
import { VIEW, writeRow } from '../row.js';
import type { Stitcher } from '../stitcher.js';
import { FAR } from '../types.js';
import { ArrivalBlock, type FakeConnection, type Traffic } from './traffic.js';

/** Rows by id, as a store keeps them: what is replaced or removed is gone. */
export class RowStore {
  readonly blocks: FlowBlock[] = [];
  written = 0;
  #nextId = 1;

  /** Takes what the stitcher has to write. */
  drain(stitcher: Stitcher): void {
    stitcher.drain(
      (entry, before) => {
        let block = this.blocks.at(-1);
        if (block === undefined || block.count === block.rule.length) {
          block = new FlowBlock(this.#nextId);
          this.blocks.push(block);
        }
        writeRow(stitcher.entries, entry, block, block.count, before);
        block.count += 1;
        this.written += 1;
        if (before !== 0) this.retire(before);
        this.#nextId += 1;
        return this.#nextId - 1;
      },
      (id) => this.retire(id),
    );
  }

  retire(id: number): void {
    const block = this.blocks[Math.floor((id - 1) / 4096)];
    if (block?.retired[(id - 1) % 4096] !== 0)
      throw new Error(`Cannot retire row ${id}: found it gone or never written`);
    block.retired[(id - 1) % 4096] = 1;
  }

  *rows(): Generator<{ block: FlowBlock; i: number }> {
    for (const block of this.blocks) {
      for (let i = 0; i < block.count; i += 1) if (block.retired[i] === 0) yield { block, i };
    }
  }
}

export interface Verdicts {
  readonly rows: number;
  /** Rows that hold views of two different connections, or name somebody who had no part in it. */
  readonly mistaken: number;
  /** Connections of which two rows tell the same stretch. */
  readonly doubled: number;
  /** Refused ones of which the called end's row stands beside the other one's, without a source. */
  readonly keptApart: number;
  /** Connections that arrived and have no row; each was given up in favour of another one, or is an error. */
  readonly missing: number;
  /** Connections of which both sides arrived that stand in one row with both views. */
  readonly together: number;
  /** Connections of which both sides arrived. */
  readonly both: number;
  /** Connections whose bytes are not those that arrived. */
  readonly miscounted: number;
}

export function judge(traffic: Traffic, store: RowStore, examples: string[] = []): Verdicts {
  const { connections } = traffic;
  const [rowsOf, bytes] = [new Uint32Array(connections.length), [0, 1].map(() => new Float64Array(connections.length))];
  const paired = new Uint8Array(connections.length);
  /** 1 + view bits of rows that were seen; two rows of one connection must both be of both sides, or it is doubled. */
  const views = new Uint8Array(connections.length);
  const lone = new Uint8Array(connections.length);
  const counts = { rows: 0, mistaken: 0, doubled: 0, keptApart: 0, missing: 0, together: 0, both: 0, miscounted: 0 };
  const say = (what: string, id: number) => {
    if (examples.length < 20) examples.push(`${what} ${id}: ${describe(connections[id])}`);
  };
  for (const { block, i } of store.rows()) {
    counts.rows += 1;
    const id = block.pid[i] as number;
    const connection = connections[id];
    const seen = block.views[i] as number;
    const both = seen === (VIEW.inbound | VIEW.outbound);
    const wrong = connection === undefined || (both && block.farPid[i] !== id) || misnamed(connection, block, i);
    if (wrong) {
      counts.mistaken += 1;
      say(`mistaken, far is ${describe(connections[block.farPid[i] as number])}, near`, id);
    }
    rowsOf[id] = (rowsOf[id] as number) + 1;
    views[id] = (views[id] as number) | seen;
    if (both) paired[id] = 1;
    else lone[id] = 1;
    const near = (seen & VIEW.outbound) !== 0;
    add(bytes[near ? 0 : 1], id, block.bytesIn[i] as number);
    if (both) add(bytes[1], id, block.farBytesIn[i] as number);
  }
  for (let id = 0; id < connections.length; id += 1) {
    const connection = connections[id];
    if (connection === undefined) continue;
    const [nears, fars] = connection.arrived;
    if (nears > 0 && fars > 0) counts.both += 1;
    if (paired[id] !== 0) counts.together += 1;
    if (rowsOf[id] === 0 && nears + fars > 0) {
      counts.missing += 1;
      say('missing', id);
    }
    // Rows one after the other tell a long connection; a row of one side beside one of the other tells one twice.
    if (lone[id] !== 0 && nears > 0 && fars > 0 && (paired[id] !== 0 || views[id] === 3)) {
      // What was refused behind a translation that nobody told of is kept, its source unnamed, when it may be several.
      const ambiguous = connection.blocked === FAR && connection.path.translated && !connection.told;
      if (ambiguous) counts.keptApart += 1;
      else {
        counts.doubled += 1;
        say('doubled', id);
      }
    }
    const given = nears > 0 && fars > 0 && views[id] === VIEW.outbound;
    if ((bytes[0] as Float64Array)[id] !== connection.bytes[0]) counts.miscounted += 1;
    else if (!given && rowsOf[id] !== 0 && (bytes[1] as Float64Array)[id] !== connection.bytes[1]) {
      counts.miscounted += 1;
      say('miscounted', id);
    }
  }
  return counts;
}

/** Every record through the stitcher in order of arrival; rows are drained after each block. Gives the time of the last arrival. */
export function replay(traffic: Traffic, stitcher: Stitcher, store: RowStore, blockRecords = 4096): number {
  let block = new ArrivalBlock(1);
  let nowMs = 0;
  for (let from = 0; from < traffic.records; from += blockRecords) {
    const to = Math.min(traffic.records, from + blockRecords);
    block = new ArrivalBlock(1);
    traffic.fill(block, from, to);
    nowMs = traffic.arrivalMs(to - 1);
    stitcher.take(block, 0, to - from, nowMs);
    stitcher.expire(nowMs);
    store.drain(stitcher);
  }
  return nowMs;
}

function misnamed(connection: FakeConnection, block: FlowBlock, i: number): boolean {
  const outbound = ((block.views[i] as number) & VIEW.outbound) !== 0;
  const local = block.ends[block.local[i] as number] ?? UNKNOWN_END;
  const remote = block.ends[block.remote[i] as number] ?? UNKNOWN_END;
  const [source, destination] = outbound ? [local, remote] : [remote, local];
  const is = (named: string, wanted: string) => named === '' || named === wanted;
  return (
    !is(source.workloadId, connection.from.end.workloadId) || !is(destination.workloadId, connection.to.end.workloadId)
  );
}

function add(column: Float64Array | undefined, at: number, value: number): void {
  if (column !== undefined) column[at] = (column[at] as number) + value;
}

function describe(connection: FakeConnection | undefined): string {
  if (connection === undefined) return 'nobody';
  const { from, to, path, told, blocked, arrived } = connection;
  return `${from.end.workloadId}:${path.near.localPort} → ${to.end.workloadId}, translated ${path.translated}, seen from port ${path.far.remotePort}, told ${told}, blocked ${blocked}, arrived ${arrived}`;
}
