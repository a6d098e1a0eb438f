import { expect, test } from 'vitest';
import { Tombstones } from './tombstones.js';

const place = (scope: string, hex: string) => ({ scope, hex, key: scope === '' ? hex : `${scope}|${hex}` });

test('who left is remembered for the time that it rests, the last one first, and in its scope only', () => {
  const tombstones = new Tombstones(1000);
  tombstones.tick(100);
  tombstones.bury({ workloadId: 'a', identity: 1 }, [place('', 'ff'), place('@h', 'ee')]);
  tombstones.tick(600);
  tombstones.bury({ workloadId: 'b', identity: 2 }, [place('', 'ff')]);
  const names = (scopes: string[], hex: string) => tombstones.at(scopes, hex).map(({ workloadId }) => workloadId);
  expect(names(['@h', ''], 'ff')).toEqual(['b', 'a']);
  expect(names(['@h', ''], 'ee')).toEqual(['a']);
  expect(names(['@other', ''], 'ee')).toEqual([]);
  tombstones.tick(1100);
  expect(names(['@h', ''], 'ff')).toEqual(['b']);
  tombstones.tick(1600);
  expect(names(['@h', ''], 'ff')).toEqual([]);
});

test('more than it holds, the oldest is forgotten first', () => {
  const tombstones = new Tombstones(1000);
  for (let i = 0; i <= 200_000; i += 1) {
    tombstones.bury({ workloadId: `w${i}`, identity: 1 }, [place('', String(i))]);
  }
  expect(tombstones.at([''], '0')).toEqual([]);
  expect(tombstones.at([''], '1')).toHaveLength(1);
});
