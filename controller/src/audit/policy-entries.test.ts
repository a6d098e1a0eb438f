import { expect, test } from 'vitest';
import { draftEntries, fateEntries } from './policy-entries.js';

const content = (text: string) => ({ content: text });

test('draftEntries: added, changed and removed files; what is the same is none; many at once are one', () => {
  const changes = [
    { key: 'a', after: content('1') },
    { key: 'b', before: content('1'), after: content('2') },
    { key: 'c', before: content('1') },
    { key: 'd', before: content('1'), after: content('1') },
  ];
  expect(draftEntries(changes).map(({ text }) => text)).toEqual([
    'file a added to the draft',
    'file b changed in the draft',
    'file c removed from the draft',
  ]);
  const many = Array.from({ length: 21 }, (_, i) => ({ key: `f${i}`, after: content('') }));
  expect(draftEntries(many)).toEqual([
    { action: 'policy.draft', object: 'draft', text: '21 files of the draft changed', detail: { files: 21 } },
  ]);
});

test('fateEntries: a confirmation and a return once each', () => {
  const none = { confirmedMs: 0, confirmedBy: '', endedMs: 0, returned: false, next: 0, why: '' };
  const confirmed = { ...none, confirmedMs: 5, confirmedBy: 'admin' };
  expect(fateEntries('0000000012', undefined, confirmed)).toMatchObject([{ action: 'policy.confirm', object: '12' }]);
  expect(fateEntries('0000000012', confirmed, { ...confirmed, endedMs: 9, next: 13 })).toEqual([]);
  expect(fateEntries('0000000012', none, { ...none, returned: true, why: 'not confirmed' })).toMatchObject([
    { action: 'policy.return', text: 'policy version 12 taken back: not confirmed' },
  ]);
  expect(fateEntries('0000000012', none, undefined)).toEqual([]);
});
