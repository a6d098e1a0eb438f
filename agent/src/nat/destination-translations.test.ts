import { formatAddress, mappedAddress, parseAddress } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import {
  DestinationTranslationBook,
  isKeptDestination,
  type KeptDestination,
  MAPPINGS_MAX,
  type SeenDestination,
  TARGETS_MAX,
} from './destination-translations.js';

const hex = (text: string) => Buffer.from(parseAddress(text) ?? []).toString('hex');
const GATEWAY = '198.51.100.1';
const MINUTE = 60_000;

/** A gateway of its own address GATEWAY, with a container 172.17.0.2, that hides others under 198.51.100.9. */
function rig(before: readonly KeptDestination[] = []) {
  const clock = { now: 1000 };
  const open = new Set<string>();
  const asked = { looks: 0 };
  const openNow = () => {
    asked.looks += 1;
    return ({ to }: SeenDestination) => open.has(to);
  };
  const book = new DestinationTranslationBook({ now: () => clock.now, openNow }, before);
  book.setLocal([hex(GATEWAY)], [hex('172.17.0.2')]);
  const outside = new Set([hex('198.51.100.9')]);
  const seen = (to: string, toPort: number, address = GATEWAY, port = 9080, protocol = 6): SeenDestination => ({
    ...{ protocol, address: hex(address), port },
    ...{ to: hex(to), toPort },
  });
  const note = (...of: Parameters<typeof seen>) => book.note(seen(...of), false);
  const told = () =>
    book
      .report(outside)
      .map(
        (each) =>
          `${each.protocol} ${formatAddress(mappedAddress(each.address))}:${each.port} → ${formatAddress(mappedAddress(each.to))}:${each.toPort}`,
      );
  return { book, clock, open, note, seen, told, changed: () => book.changed(outside), asked };
}

describe('DestinationTranslationBook', () => {
  it('tells where a port of the gateway leads from its first connection on, once', () => {
    const { note, told, changed } = rig();
    expect(changed()).toBe(false);
    note('10.1.0.2', 8080);
    expect(told()).toEqual(['6 198.51.100.1:9080 → 10.1.0.2:8080']);
    expect(changed()).toBe(true);
    note('10.1.0.2', 8080);
    expect(changed()).toBe(false);
  });

  it('tells ports of addresses under which the gateway hides others too, sorted', () => {
    const { note, told } = rig();
    note('10.1.0.3', 53, '198.51.100.9', 53, 17);
    note('10.1.0.2', 8080);
    expect(told()).toEqual(['6 198.51.100.1:9080 → 10.1.0.2:8080', '17 198.51.100.9:53 → 10.1.0.3:53']);
  });

  it.each([
    ['a redirect to a proxy of the gateway', GATEWAY, 3128, '93.184.216.34', 80],
    ['an intercepted resolver', '10.1.0.53', 53, '8.8.8.8', 53],
    ['a container of the gateway', '172.17.0.2', 80, GATEWAY, 8080],
  ] as const)('is silent about %s', (_, to, toPort, address, port) => {
    const { note, told } = rig();
    note(to, toPort, address, port);
    expect(told()).toEqual([]);
  });

  it('and about protocols without ports', () => {
    const { note, told } = rig();
    note('10.1.0.2', 2048, GATEWAY, 2048, 1);
    expect(told()).toEqual([]);
  });

  it('a port that is published anew leads to the new target at once', () => {
    const { note, told, changed } = rig();
    note('10.1.0.2', 8080);
    changed();
    note('10.1.0.3', 8080);
    expect(told()).toEqual(['6 198.51.100.1:9080 → 10.1.0.3:8080']);
    expect(changed()).toBe(true);
  });

  it('targets that take turns are nobody, until all but one have been quiet for ten minutes', () => {
    const { book, note, told, changed, clock } = rig();
    for (const last of [2, 3, 2]) note(`10.1.0.${last}`, 8080);
    expect(told()).toEqual([]);
    expect(book.untold).toBe(1);
    changed();
    clock.now += 9 * MINUTE;
    note('10.1.0.2', 8080);
    changed();
    expect(told()).toEqual([]);
    clock.now += 2 * MINUTE;
    expect(changed()).toBe(true);
    expect(told()).toEqual(['6 198.51.100.1:9080 → 10.1.0.2:8080']);
  });

  it('more targets than are held stay nobody as long as they take turns', () => {
    const { note, told, changed, clock } = rig();
    for (let turn = 0; turn < 3; turn += 1) {
      for (let target = 1; target <= 2 * TARGETS_MAX; target += 1) {
        clock.now += 1000;
        note(`10.1.0.${target}`, 80);
      }
    }
    changed();
    expect(told()).toEqual([]);
    clock.now += 11 * MINUTE;
    note('10.1.1.1', 80);
    changed();
    expect(told()).toEqual(['6 198.51.100.1:9080 → 10.1.1.1:80']);
  });

  it('of two that a dump finds open nobody knows which is newer; what was known before stands', () => {
    const fresh = rig();
    for (const last of [2, 3]) fresh.book.note(fresh.seen(`10.1.0.${last}`, 8080), true);
    expect(fresh.told()).toEqual([]);
    const again = rig([{ ...fresh.seen('10.1.0.3', 8080), seenMs: 900 }]);
    again.book.note(again.seen('10.1.0.2', 8080), true);
    expect(again.told()).toEqual(['6 198.51.100.1:9080 → 10.1.0.3:8080']);
  });

  it('gives up a mapping after a day without a connection, and never while one is open', () => {
    const { note, told, changed, clock, open } = rig();
    note('10.1.0.2', 8080);
    open.add(hex('10.1.0.2'));
    clock.now += 25 * 60 * MINUTE;
    changed();
    expect(told()).toHaveLength(1);
    open.clear();
    clock.now += 25 * 60 * MINUTE;
    changed();
    expect(told()).toEqual([]);
  });

  it('goes on from what an earlier run kept, without what was ambiguous', () => {
    const first = rig();
    first.note('10.1.0.2', 8080);
    for (const last of [2, 3, 2]) first.note(`10.1.0.${last}`, 53, GATEWAY, 53, 17);
    const kept: unknown = JSON.parse(JSON.stringify(first.book.kept()));
    expect(Array.isArray(kept) && kept.every(isKeptDestination)).toBe(true);
    expect(rig(first.book.kept()).told()).toEqual(['6 198.51.100.1:9080 → 10.1.0.2:8080']);
    expect(isKeptDestination({ ...first.book.kept()[0], port: 0 })).toBe(false);
  });

  it('holds a bounded number and says how many more there were', () => {
    const { book, note, told } = rig();
    for (let port = 1; port <= MAPPINGS_MAX + 7; port += 1) note('10.1.0.2', port, GATEWAY, port);
    expect(told()).toHaveLength(MAPPINGS_MAX);
    expect(book.untold).toBe(7);
  });

  it('looks at what is open once, however many are idle; one that finds no room is counted once, and gets in when there is some', () => {
    const { book, note, told, changed, clock, asked } = rig();
    for (let port = 1; port <= MAPPINGS_MAX; port += 1) note('10.1.0.2', port, GATEWAY, port);
    clock.now += 25 * 60 * MINUTE;
    for (let connection = 0; connection < 5; connection += 1) note('10.1.0.3', 80, GATEWAY, 60_000);
    expect([asked.looks, book.untold]).toEqual([0, 1]);
    expect(changed()).toBe(false);
    expect([asked.looks, told()]).toEqual([1, []]);
    note('10.1.0.3', 80, GATEWAY, 60_000);
    expect([changed(), book.untold]).toEqual([true, 0]);
    expect(told()).toEqual(['6 198.51.100.1:60000 → 10.1.0.3:80']);
  });
});
