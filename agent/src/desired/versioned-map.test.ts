import { describe, expect, it } from 'vitest';
import { Dice } from './testing/random-state.js';
import { VersionedMap } from './versioned-map.js';

describe('VersionedMap', () => {
  it('with, after edits, leaves older versions readable and gives itself when nothing changes', () => {
    const first = VersionedMap.of(new Map([['a', 1]]));
    const second = first.with([
      ['b', 2],
      ['a', undefined],
    ]);
    expect([first.get('a'), first.get('b'), first.size]).toEqual([1, undefined, 1]);
    expect([second.get('a'), second.get('b'), second.size]).toEqual([undefined, 2, 1]);
    expect(
      second.with([
        ['b', 2],
        ['zz', undefined],
      ]),
    ).toBe(second);
    expect([...first.entries()]).toEqual([['a', 1]]);
    expect([...second.entries()]).toEqual([['b', 2]]);
  });

  it('changesSince, between any two of many branching versions, equals a full comparison', () => {
    const dice = new Dice(7);
    const versions: { map: VersionedMap<number, number>; plain: Map<number, number> }[] = [
      { map: VersionedMap.of(), plain: new Map() },
    ];
    for (let i = 0; i < 60; i += 1) {
      const from = dice.pick(versions);
      const edits = Array.from({ length: 1 + dice.below(5) }, (): [number, number | undefined] => [
        dice.below(12),
        dice.below(3) === 0 ? undefined : dice.below(4),
      ]);
      const plain = new Map(from.plain);
      for (const [key, value] of edits) {
        if (value === undefined) plain.delete(key);
        else plain.set(key, value);
      }
      versions.push({ map: from.map.with(edits), plain });
    }
    for (let i = 0; i < 300; i += 1) {
      const [a, b] = [dice.pick(versions), dice.pick(versions)];
      const want = [...new Set([...a.plain.keys(), ...b.plain.keys()])]
        .filter((key) => a.plain.get(key) !== b.plain.get(key))
        .map((key) => ({ key, before: a.plain.get(key), after: b.plain.get(key) }));
      const got = b.map.changesSince(a.map);
      expect(got.sort((x, y) => x.key - y.key)).toEqual(want.sort((x, y) => x.key - y.key));
      expect(new Map(a.map.entries())).toEqual(a.plain);
      expect(a.map.size).toBe(a.plain.size);
    }
  });

  it('changesSince, for unrelated maps, compares their content', () => {
    const one = VersionedMap.of(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    ).with([['c', 3]]);
    const other = VersionedMap.of(
      new Map([
        ['b', 2],
        ['c', 4],
      ]),
    );
    expect(other.changesSince(one)).toEqual([
      { key: 'c', before: 3, after: 4 },
      { key: 'a', before: 1, after: undefined },
    ]);
  });
});
