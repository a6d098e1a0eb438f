import { parseAddress } from '@ringfence/proto/address.js';
import { TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { describe, expect, it } from 'vitest';
import { translationsProblem } from './translation-columns.js';
import {
  CLOSED_KEPT_MS,
  OPEN_KEPT_MS,
  TranslationResolver,
  type TranslationResolverOptions,
} from './translation-resolver.js';

/** "192.0.2.1:80" → bytes and port. */
function end(text: string): { ip: Buffer; port: number } {
  const at = text.lastIndexOf(':');
  return { ip: Buffer.from(parseAddress(text.slice(0, at)) ?? []), port: Number(text.slice(at + 1)) };
}

interface Row {
  readonly from: string;
  readonly to: string;
  readonly as: string;
  readonly at?: string;
  readonly by?: string;
  readonly openedUs?: number;
  readonly closedUs?: number;
}

function columns(rows: readonly Row[], protocol = 6): TranslationColumns {
  const addresses: Buffer[] = [];
  const strings = [''];
  const list = (values: readonly number[], width: 1 | 2 | 8) => {
    const bytes = Buffer.alloc(values.length * width);
    values.forEach((value, i) => {
      if (width === 8) bytes.writeBigUInt64LE(BigInt(value), 8 * i);
      else bytes.writeUIntLE(value, width * i, width);
    });
    return bytes;
  };
  const ends = (pick: (row: Row) => string) => rows.map((row) => end(pick(row)));
  const refs = (list_: readonly { ip: Buffer }[]) =>
    list(
      list_.map(({ ip }) => addresses.push(ip) - 1),
      2,
    );
  const ports = (list_: readonly { port: number }[]) =>
    list(
      list_.map(({ port }) => port),
      2,
    );
  const [from, to, as, at] = [
    ends((row) => row.from),
    ends((row) => row.to),
    ends((row) => row.as),
    ends((row) => row.at ?? row.to),
  ];
  return TranslationColumns.create({
    count: rows.length,
    sourceRef: refs(from),
    destinationRef: refs(to),
    translatedSourceRef: refs(as),
    translatedDestinationRef: refs(at),
    sourcePort: ports(from),
    destinationPort: ports(to),
    translatedSourcePort: ports(as),
    translatedDestinationPort: ports(at),
    openedUs: list(
      rows.map((row) => row.openedUs ?? 1e9),
      8,
    ),
    closedUs: list(
      rows.map((row) => row.closedUs ?? 0),
      8,
    ),
    protocol: list(
      rows.map(() => protocol),
      1,
    ),
    workloadRef: list(
      rows.map((row) => (row.by === undefined ? 0 : strings.push(row.by) - 1)),
      2,
    ),
    strings,
    addresses: Buffer.concat(addresses),
  });
}

function rig(options: Partial<TranslationResolverOptions> = {}) {
  const clock = { nowMs: 1_000_000 };
  const resolver = new TranslationResolver({ now: () => clock.nowMs, behind: () => [], ...options });
  const tell = (hostId: string, ...rows: Row[]) => resolver.take(hostId, 'run', columns(rows));
  const who = (hostId: string, from: string, to: string, firstSeenUs = 1e9, protocol = 6, final = false) => {
    const [source, destination] = [end(from), end(to)];
    const found = resolver.trueSource({
      hostId,
      protocol,
      sourceIp: source.ip,
      sourcePort: source.port,
      destinationIp: destination.ip,
      destinationPort: destination.port,
      firstSeenUs,
      final,
    });
    return found && `${found.workloadId}:${found.port}`;
  };
  return { clock, resolver, tell, who };
}

/** Container a behind host A calls B. */
const MASQUERADE: Row = { from: '172.17.0.2:40000', to: '192.0.2.20:443', as: '192.0.2.10:50000', by: 'container:a' };

describe('TranslationResolver', () => {
  it('names the container behind its masquerade, and nobody for another port, destination or protocol', () => {
    const { tell, who } = rig();
    expect(tell('A', MASQUERADE)).toBeUndefined();
    expect(who('B', '192.0.2.10:50000', '192.0.2.20:443')).toBe('A/container:a:40000');
    expect(who('B', '192.0.2.10:50001', '192.0.2.20:443')).toBeUndefined();
    expect(who('B', '192.0.2.10:50000', '192.0.2.21:443')).toBeUndefined();
    expect(who('B', '192.0.2.10:50000', '192.0.2.20:443', 1e9, 17)).toBeUndefined();
  });

  it('undoes the published port of the called host, then a gateway, then the masquerade of the caller', () => {
    const { tell, who } = rig();
    tell('B', { from: '198.51.100.1:7000', to: '192.0.2.20:8080', as: '198.51.100.1:7000', at: '172.17.0.9:80' });
    tell('gw', { from: '10.1.0.5:6000', to: '192.0.2.20:8080', as: '198.51.100.1:7000' });
    tell('A', { from: '172.17.0.2:5000', to: '192.0.2.20:8080', as: '10.1.0.5:6000', by: 'container:a' });
    expect(who('B', '198.51.100.1:7000', '172.17.0.9:80')).toBe('A/container:a:5000');
  });

  it("names who is known under an address on a gateway's inner side when the one who opened it translates nothing", () => {
    const { tell, who } = rig({
      behind: (host, hex) => (host === 'gw' && hex.endsWith('0a010005') ? ['A/host'] : ['x', 'y']),
    });
    tell('gw', { from: '10.1.0.5:6000', to: '192.0.2.20:80', as: '198.51.100.1:7000' });
    tell('gw', { from: '10.1.0.6:6000', to: '192.0.2.20:80', as: '198.51.100.1:7001' });
    expect(who('B', '198.51.100.1:7000', '192.0.2.20:80')).toBe('A/host:6000');
    expect(who('B', '198.51.100.1:7001', '192.0.2.20:80')).toBeUndefined();
  });

  it('does not name a machine by its address while its own agent may still tell whom it hides, until asked for the last time', () => {
    const { tell, who } = rig({
      behind: () => ['A/host'],
      mayTell: (workloadId, hostId) => workloadId === 'A/host' && hostId !== 'A',
    });
    const [seen, called] = ['198.51.100.1:7000', '192.0.2.20:80'];
    tell('gw', { from: '10.1.0.5:6000', to: called, as: seen });
    expect(who('B', seen, called)).toBeUndefined();
    expect(who('B', seen, called, 1e9, 6, true)).toBe('A/host:6000');
    tell('A', { from: '172.17.0.2:5000', to: called, as: '10.1.0.5:6000', by: 'container:a' });
    expect(who('B', seen, called)).toBe('A/container:a:5000');
  });

  it('says nothing of the source when only the destination was translated', () => {
    const { tell, who } = rig();
    tell('B', { from: '192.0.2.10:7000', to: '192.0.2.20:8080', as: '192.0.2.10:7000', at: '172.17.0.9:80' });
    expect(who('B', '192.0.2.10:7000', '172.17.0.9:80')).toBeUndefined();
  });

  it('takes the reporting host for its own private range, and nobody when several others could be meant', () => {
    const published: Row = {
      from: '192.0.2.10:50000',
      to: '192.0.2.20:8080',
      as: '192.0.2.10:50000',
      at: '172.17.0.2:80',
    };
    const { tell, who } = rig();
    tell('B', published);
    tell('C', { ...published, to: '192.0.2.30:8080' });
    tell('A', { ...MASQUERADE, to: '192.0.2.20:8080' });
    tell('A', { ...MASQUERADE, from: '172.17.0.3:1', to: '192.0.2.30:8080', by: 'container:other' });
    expect(who('B', '192.0.2.10:50000', '172.17.0.2:80')).toBe('A/container:a:40000');
    expect(who('C', '192.0.2.10:50000', '172.17.0.2:80')).toBe('A/container:other:1');
    expect(who('D', '192.0.2.10:50000', '172.17.0.2:80')).toBeUndefined();
  });

  it('tells apart two networks of one range by whom each gateway translates for', () => {
    const { tell, who } = rig({ inside: (gateway, host) => gateway.slice(2) === host.slice(4) });
    for (const side of ['1', '2']) {
      tell(`gw${side}`, { from: '10.1.0.5:6000', to: '192.0.2.20:80', as: `198.51.100.${side}:7000` });
      tell(`host${side}`, { from: '172.17.0.2:5', to: '192.0.2.20:80', as: '10.1.0.5:6000', by: `container:${side}` });
    }
    expect(who('B', '198.51.100.1:7000', '192.0.2.20:80')).toBe('host1/container:1:5');
    expect(who('B', '198.51.100.2:7000', '192.0.2.20:80')).toBe('host2/container:2:5');
  });

  it('tells users of one port one after the other by their time, with clocks that differ by five seconds', () => {
    const { tell, who } = rig();
    const minute = 60e6;
    tell('A', { ...MASQUERADE, openedUs: 1e9, closedUs: 1e9 + minute });
    tell('A', { ...MASQUERADE, from: '172.17.0.3:1', by: 'container:b', openedUs: 1e9 + 3 * minute });
    const at = (us: number) => who('B', '192.0.2.10:50000', '192.0.2.20:443', us);
    expect(at(1e9 - 5e6)).toBe('A/container:a:40000');
    expect(at(1e9 + minute + 5e6)).toBe('A/container:a:40000');
    expect(at(1e9 + 3 * minute - 5e6)).toBe('A/container:b:1');
    expect(at(1e9 + 2 * minute)).toBeUndefined();
  });

  it('keeps an ended connection as a tombstone, an open one until nobody tells of it any more', () => {
    const { clock, resolver, tell, who } = rig();
    tell('A', { ...MASQUERADE, closedUs: 1e9 + 1 });
    tell('A', { ...MASQUERADE, as: '192.0.2.10:50001' });
    const both = () => [50000, 50001].map((port) => who('B', `192.0.2.10:${port}`, '192.0.2.20:443') !== undefined);
    clock.nowMs += CLOSED_KEPT_MS - 1;
    tell('A');
    expect(both()).toEqual([true, true]);
    clock.nowMs += 20_000;
    tell('A');
    expect(both()).toEqual([false, true]);
    clock.nowMs += OPEN_KEPT_MS;
    tell('A');
    expect(resolver.counters.entries).toBe(0);
  });

  it('buries what a new run of the agent does not tell again, and keeps since when what it does', () => {
    const { clock, resolver, who } = rig();
    resolver.take('A', 'one', columns([MASQUERADE, { ...MASQUERADE, as: '192.0.2.10:50001' }]));
    resolver.take('A', 'two', columns([{ ...MASQUERADE, openedUs: 0 }]));
    expect(resolver.counters.entries).toBe(2);
    clock.nowMs += CLOSED_KEPT_MS + 20_000;
    resolver.take('A', 'two', columns([]));
    expect(who('B', '192.0.2.10:50000', '192.0.2.20:443')).toBe('A/container:a:40000');
    expect(who('B', '192.0.2.10:50001', '192.0.2.20:443')).toBeUndefined();
  });

  it('is bounded for all and for each host, counts what it gives up, and gives up ended ones first', () => {
    const { resolver, who } = rig({ entriesMax: 10, hostEntriesMax: 8 });
    const row = (i: number, more: Partial<Row> = {}): Row => ({
      ...MASQUERADE,
      as: `192.0.2.10:${50_000 + i}`,
      ...more,
    });
    resolver.take('A', 'r', columns(Array.from({ length: 9 }, (_, i) => row(i, i === 3 ? { closedUs: 2e9 } : {}))));
    expect(resolver.counters).toMatchObject({ entries: 8, refused: 1n, evicted: 0n });
    resolver.take('C', 'r', columns([row(20), row(21), row(22)]));
    expect(resolver.counters).toMatchObject({ entries: 10, evicted: 1n });
    expect(who('B', '192.0.2.10:50003', '192.0.2.20:443')).toBeUndefined();
    expect(who('B', '192.0.2.10:50000', '192.0.2.20:443')).toBe('A/container:a:40000');
    resolver.forget('A');
    expect(resolver.counters.entries).toBe(3);
  });

  it('adds up what hosts lost, each run from nothing, a repeated batch once', () => {
    const { resolver } = rig();
    const lost = (run: string, dropped: bigint, overruns: bigint) =>
      resolver.take('A', run, { ...columns([]), strings: [], dropped, overruns });
    lost('one', 5n, 1n);
    lost('one', 7n, 2n);
    lost('one', 5n, 1n);
    lost('two', 3n, 0n);
    expect(resolver.counters).toMatchObject({ hostDropped: 10n, hostOverruns: 2n });
  });

  it('does not follow translations round in circles', () => {
    const { tell, who } = rig();
    tell('A', { from: '10.0.0.1:1', to: '10.0.0.9:9', as: '10.0.0.2:2' });
    tell('B', { from: '10.0.0.2:2', to: '10.0.0.9:9', as: '10.0.0.1:1' });
    expect(who('C', '10.0.0.1:1', '10.0.0.9:9')).toBeUndefined();
  });

  it('refuses columns that contradict themselves, in words', () => {
    const good = columns([MASQUERADE]);
    expect(translationsProblem(good)).toBeUndefined();
    const bad: [Partial<TranslationColumns>, RegExp][] = [
      [{ count: 2 }, /bytes in column/],
      [{ count: 1_000_000 }, /at most/],
      [{ addresses: Buffer.alloc(15) }, /multiple of 16/],
      [{ sourceRef: Buffer.from([9, 0]) }, /an address beyond/],
      [{ workloadRef: Buffer.from([9, 0]) }, /a string beyond/],
      [{ strings: ['x'] }, /empty string/],
      [{ strings: ['', 'x'.repeat(300)] }, /characters/],
    ];
    for (const [change, words] of bad) expect(translationsProblem({ ...good, ...change })).toMatch(words);
  });
});
