import { formatAddress, mappedAddress, parseAddress } from '@ringfence/proto/address.js';
import { describe, expect, it } from 'vitest';
import { PAIRS_MAX, SourceTranslationBook } from './source-translations.js';

const bytes = (text: string) => Buffer.from(parseAddress(text) ?? []);
const latin = (text: string) => bytes(text).toString('latin1');
const hex = (text: string) => bytes(text).toString('hex');

function rig(gateway: boolean, before: ConstructorParameters<typeof SourceTranslationBook>[1] = []) {
  const clock = { now: 1000 };
  const open = new Set<string>();
  const asked = { looks: 0 };
  const openNow = () => {
    asked.looks += 1;
    return (inside: string, outside: string) => open.has(inside + outside);
  };
  const book = new SourceTranslationBook({ gateway, now: () => clock.now, openNow }, before);
  book.setLocal([hex('192.0.2.10')], [hex('172.17.0.2'), hex('fd00::2')]);
  const note = (inside: string, outside: string) => book.note(latin(inside), latin(outside));
  const pairs = () =>
    book
      .report()
      .translations.map((pair) =>
        [pair.inside, pair.outside].map((each) => formatAddress(mappedAddress(each))).join(' → '),
      );
  return { book, clock, open, note, pairs, asked };
}

describe('SourceTranslationBook', () => {
  it('reports under which addresses workloads of this host leave, of both families, sorted', () => {
    const { book, note, pairs } = rig(false);
    note('fd00::2', '2001:db8::10');
    note('172.17.0.2', '192.0.2.10');
    expect(pairs()).toEqual(['172.17.0.2 → 192.0.2.10', 'fd00::2 → 2001:db8::10']);
    expect(book.changed()?.translations).toHaveLength(2);
    note('172.17.0.2', '192.0.2.10');
    expect(book.changed()).toBeUndefined();
  });

  it('leaves out what is not of this host, except at a gateway', () => {
    for (const gateway of [false, true]) {
      const { note, pairs } = rig(gateway);
      note('10.1.0.5', '198.51.100.1');
      expect(pairs()).toEqual(gateway ? ['10.1.0.5 → 198.51.100.1'] : []);
    }
  });

  it("does not take one of the host's addresses for another one as a translation, but an address that is not its own", () => {
    const { book, note, pairs } = rig(false);
    book.setLocal([hex('192.0.2.10'), hex('172.17.0.1')], []);
    note('172.17.0.1', '192.0.2.10');
    note('192.0.2.10', '203.0.113.7');
    expect(pairs()).toEqual(['192.0.2.10 → 203.0.113.7']);
  });

  it('reports a workload that comes later, and not one that has gone', () => {
    const { book, note, pairs } = rig(false);
    note('172.17.0.9', '192.0.2.10');
    expect(pairs()).toEqual([]);
    book.setLocal([], [hex('172.17.0.9')]);
    expect(pairs()).toEqual(['172.17.0.9 → 192.0.2.10']);
    book.setLocal([], []);
    expect(pairs()).toEqual([]);
  });

  it('goes on from what an earlier run kept, and gives up others after a day without a connection', () => {
    const first = rig(true);
    first.note('10.1.0.5', '198.51.100.1');
    const second = rig(true, first.book.kept());
    expect(second.pairs()).toEqual(['10.1.0.5 → 198.51.100.1']);
    second.clock.now += 25 * 3_600_000;
    second.book.changed();
    expect(second.pairs()).toEqual([]);
  });

  it('keeps a pair of others for as long as a connection is open, however old', () => {
    const { book, clock, open, note, pairs } = rig(true);
    note('10.1.0.5', '198.51.100.1');
    open.add(hex('10.1.0.5') + hex('198.51.100.1'));
    clock.now += 48 * 3_600_000;
    book.changed();
    expect(pairs()).toEqual(['10.1.0.5 → 198.51.100.1']);
    open.clear();
    clock.now += 25 * 3_600_000;
    book.changed();
    expect(pairs()).toEqual([]);
  });

  it('holds a bounded number of pairs and says how many more there were', () => {
    const { book, note } = rig(true);
    for (let i = 0; i < PAIRS_MAX + 10; i += 1) note(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, '198.51.100.1');
    expect(book.report()).toMatchObject({ leftOut: 10 });
    expect(book.report().translations).toHaveLength(PAIRS_MAX);
  });

  it('looks at what is open once, however many pairs are idle, and not at all for a connection that finds no room', () => {
    const many = rig(true);
    for (let i = 0; i < PAIRS_MAX; i += 1) many.note(`10.9.${i >> 8}.${i & 255}`, '198.51.100.1');
    many.clock.now += 25 * 3_600_000;
    many.note('10.1.0.5', '198.51.100.1');
    expect(many.asked.looks).toBe(0);
    many.open.add(hex('10.9.0.1') + hex('198.51.100.1'));
    many.book.changed();
    expect(many.asked.looks).toBe(1);
    expect(many.pairs()).toEqual(['10.9.0.1 → 198.51.100.1']);
    // There is room again.
    many.note('10.1.0.5', '198.51.100.1');
    expect(many.book.report()).toMatchObject({ leftOut: 0 });
    expect(many.book.changed()?.translations).toHaveLength(2);
  });
});
