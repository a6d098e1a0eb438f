import { CONNTRACK, ConntrackKind } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import type { TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { describe, expect, it } from 'vitest';
import { destinationKey, sourceKey, TranslationTable } from './translation-table.js';

type Kind = keyof typeof ConntrackKind;

/** A connection from 172.17.0.2 that leaves as 192.0.2.10; the source's port says which. */
function record(kind: Kind, id: number, port: number, ms = 0): Uint8Array {
  const bytes = Buffer.alloc(CONNTRACK.bytes);
  bytes.writeBigUInt64LE(BigInt(ms) * 1_000_000n, CONNTRACK.atNs);
  bytes.writeUInt32LE(id, CONNTRACK.id);
  bytes[CONNTRACK.kind] = ConntrackKind[kind];
  bytes[CONNTRACK.protocol] = 6;
  const addresses = { source: '172.17.0.2', destination: '192.0.2.20', translatedSource: '192.0.2.10' };
  for (const [name, text] of Object.entries({ ...addresses, translatedDestination: '192.0.2.20' })) {
    bytes.set(parseAddress(text) ?? [], CONNTRACK[name as keyof typeof CONNTRACK]);
  }
  bytes.writeUInt16LE(port, CONNTRACK.sourcePort);
  bytes.writeUInt16LE(port + 1, CONNTRACK.translatedSourcePort);
  bytes.writeUInt16LE(443, CONNTRACK.destinationPort);
  bytes.writeUInt16LE(443, CONNTRACK.translatedDestinationPort);
  return bytes;
}

interface Told {
  readonly port: number;
  readonly translated: number;
  readonly openedMs: number;
  readonly closedMs: number;
  readonly workload: string;
}

function rig(rowsMax = 1024) {
  const sources: string[] = [];
  const destinations: string[] = [];
  const table = new TranslationTable({
    rowsMax,
    toWallUs: (ns) => 1e9 + ns / 1000,
    localIdAt: (address) => (address.endsWith('\x00\x02') ? 'container:a' : ''),
    onSource: (inside, outside) =>
      sources.push(
        `${Buffer.from(inside.slice(12), 'latin1').join('.')} ${Buffer.from(outside.slice(12), 'latin1').join('.')}`,
      ),
    onDestination: ({ protocol, port, toPort }, listed) =>
      destinations.push(`${protocol} ${port} ${toPort}${listed ? ' listed' : ''}`),
  });
  const take = (...records: Uint8Array[]) => table.take(Buffer.concat(records), records.length);
  /** What is told now. */
  const told = (max = 4096): Told[] => {
    let columns: TranslationColumns | undefined;
    table.offer(max, 7n, (given) => {
      columns = given;
      return true;
    });
    return columns === undefined ? [] : rows(columns);
  };
  return { table, sources, destinations, take, told };
}

function rows(columns: TranslationColumns): Told[] {
  return Array.from({ length: columns.count }, (_, i) => ({
    port: columns.sourcePort.readUInt16LE(2 * i),
    translated: columns.translatedSourcePort.readUInt16LE(2 * i),
    openedMs: Number(columns.openedUs.readBigUInt64LE(8 * i)) / 1000 - 1e6,
    closedMs: Math.max(0, Number(columns.closedUs.readBigUInt64LE(8 * i)) / 1000 - 1e6),
    workload: columns.strings[columns.workloadRef.readUInt16LE(2 * i)] ?? '?',
  }));
}

describe('TranslationTable', () => {
  it('tells an opened connection once, with its workload, and its end', () => {
    const { take, told, sources } = rig();
    take(record('created', 1, 1000, 5));
    expect(told()).toEqual([{ port: 1000, translated: 1001, openedMs: 5, closedMs: 0, workload: 'container:a' }]);
    expect(sources).toEqual(['172.17.0.2 192.0.2.10']);
    take(record('created', 1, 1000, 6), record('listed', 1, 1000, 7));
    expect(told()).toEqual([]);
    take(record('gone', 1, 1000, 9));
    expect(told()).toMatchObject([{ port: 1000, openedMs: 5, closedMs: 9 }]);
  });

  it('says where a translated destination led, whether a dump found it, and for how long it is open', () => {
    const { table, take, destinations } = rig();
    const mapped = (kind: Kind, id: number) => {
      const bytes = Buffer.from(record(kind, id, 1000));
      bytes.writeUInt16LE(8443, CONNTRACK.translatedDestinationPort);
      return bytes;
    };
    take(record('created', 1, 1000), mapped('created', 2), mapped('listed', 3));
    expect(destinations).toEqual(['6 443 8443', '6 443 8443 listed']);
    const address = Buffer.from(parseAddress('192.0.2.20') ?? []).toString('latin1');
    const way = { protocol: 6, address, port: 443, to: address, toPort: 8443 };
    const destination = (toPort: number) => table.destinations().has(destinationKey({ ...way, toPort }));
    expect([destination(8443), destination(8444)]).toEqual([true, false]);
    const [inside, outside] = ['172.17.0.2', '192.0.2.10'].map((each) => Buffer.from(parseAddress(each) ?? []));
    const pair = sourceKey(String(inside?.toString('latin1')), String(outside?.toString('latin1')));
    const source = () => table.sources().has(pair);
    expect(source()).toBe(true);
    take(mapped('gone', 2), mapped('gone', 3));
    expect(destination(8443)).toBe(false);
    take(record('gone', 1, 1000));
    expect(source()).toBe(false);
  });

  it('tells a connection that opened and ended between two batches once, as closed', () => {
    const { table, take, told } = rig();
    take(record('created', 1, 1000, 5), record('gone', 1, 1000, 6));
    expect(table.open).toBe(0);
    expect(told()).toMatchObject([{ openedMs: 5, closedMs: 6 }]);
    expect(told()).toEqual([]);
  });

  it('ends what a dump does not list, and takes up what it lists', () => {
    const { table, take, told } = rig();
    take(record('created', 1, 1000, 1), record('created', 2, 2000, 1));
    told();
    table.beginDump();
    take(record('listed', 2, 2000, 50), record('listed', 3, 3000, 50), record('created', 4, 4000, 51));
    table.endDump(60e6);
    expect(table.open).toBe(3);
    expect(told().map(({ port, closedMs }) => [port, closedMs])).toEqual([
      [3000, 0],
      [4000, 0],
      [1000, 60],
    ]);
  });

  it('takes another connection under an id for the end of the one before, and a late end of that one for nothing', () => {
    const { table, take, told } = rig();
    take(record('created', 1, 1000, 1));
    told();
    take(record('created', 1, 2000, 5), record('gone', 1, 1000, 6));
    expect(told()).toMatchObject([
      { port: 1000, closedMs: 5 },
      { port: 2000, closedMs: 0 },
    ]);
    expect(table.open).toBe(1);
  });

  it('keeps what is not taken, in order, and tells all open ones again when asked', () => {
    const { table, take, told } = rig();
    take(...[1, 2, 3, 4, 5].map((id) => record('created', id, 1000 * id)));
    expect(table.offer(10, 0n, () => false)).toBe(false);
    expect(told(2).map(({ port }) => port)).toEqual([1000, 2000]);
    expect(table.waiting).toBe(3);
    table.tellAll();
    expect(told().map(({ port }) => port)).toEqual([3000, 4000, 5000, 1000, 2000]);
  });

  it('never holds more rows than its bound, counts what found no room, and gets it by a dump once there is some', () => {
    const { table, take, told } = rig(1024);
    const all = Array.from({ length: 1500 }, (_, i) => record('created', i + 1, i + 1));
    take(...all);
    expect([table.open, table.dropped]).toEqual([1024, 476]);
    expect(told()).toHaveLength(1024);
    take(...all.slice(0, 500).map((_, i) => record('gone', i + 1, i + 1)));
    // Ended rows are held until they were told.
    take(record('created', 9000, 9000));
    expect(table.dropped).toBe(477);
    expect(told()).toHaveLength(500);
    table.beginDump();
    take(...Array.from({ length: 1000 }, (_, i) => record('listed', i + 501, i + 501)));
    table.endDump(1);
    expect([table.open, table.dropped]).toEqual([1000, 477]);
  });
});
