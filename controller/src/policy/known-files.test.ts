// Files that are read again: what was known before must change nothing of the answer, and what is written as before must be the same
// objects, since that is what makes a change of one rule cost what one rule costs.
import { describe, expect, test } from 'vitest';
import type { RuleNumbers } from './model.js';
import { KnownFiles, parsePolicy, resolvePolicy } from './parse.js';

function numbering(): RuleNumbers {
  const numbers = new Map<string, number>();
  return {
    numberOf: (id) => {
      const known = numbers.get(id) ?? numbers.size + 1;
      numbers.set(id, known);
      return known;
    },
  };
}

const NAMES = `dimensions:
  - { name: role, values: [web, db, api] }
labelGroups:
  - { name: fronts, dimension: role, values: [web] }
services:
  - { name: sql, ports: [tcp/5432] }
ipLists:
  - { name: office, include: [192.0.2.0/24] }
`;
const RULES = `rules:
  - { id: a, service: sql, providedBy: role=db, usedBy: role=web }
  - { id: b, service: [tcp/80], providedBy: { label: role, group: fronts }, usedBy: { ipList: office } }
  - { id: c, service: [tcp/443], providedBy: role=api, usedBy: anyone, enabled: true }
`;
const SETS = `ruleSets:
  - id: shop
    scope: [app=shop]
    rules:
      - { id: s1, service: sql, providedBy: role=db, usedBy: role=api }
      - { id: s2, service: [tcp/1], providedBy: role=db, usedBy: role=api, same: [env] }
tests:
  - { name: t, from: { labels: { role: web } }, to: { labels: { role: db } }, service: tcp/5432, expect: allowed }
`;
type Files = Readonly<Record<string, string>>;
const START: Files = { 'names.yaml': NAMES, 'rules.yaml': RULES, 'sets.yaml': SETS };
const with_ = (change: Files): Files => ({ ...START, ...change });

/** One after the other, each from the one before. */
const STATES: readonly (readonly [string, Files])[] = [
  ['as written', START],
  ['one rule changed', with_({ 'rules.yaml': RULES.replace('tcp/80', 'tcp/81') })],
  ['a service means something else', with_({ 'names.yaml': NAMES.replace('5432', '5433') })],
  ['a service is gone: told at rules whose files did not change', with_({ 'names.yaml': NAMES.replace('sql', 'pg') })],
  ['a value is not permitted any more', with_({ 'names.yaml': NAMES.replace('db, ', '') })],
  ['a label group with other values', with_({ 'names.yaml': NAMES.replace('[web] }', '[web, api] }') })],
  ['an IP list is gone', with_({ 'names.yaml': NAMES.replace('office', 'home') })],
  ['the scope of a set', with_({ 'sets.yaml': SETS.replace('app=shop', 'app') })],
  ['a set switched off', with_({ 'sets.yaml': SETS.replace('scope', 'enabled: false\n    scope') })],
  ['a rule of a set changed', with_({ 'sets.yaml': SETS.replace('tcp/1]', 'tcp/2]') })],
  ['a shape that is wrong', with_({ 'rules.yaml': RULES.replace('usedBy: role=web', 'usedBy: 7') })],
  ['a broken name is not told of where it is used', with_({ 'names.yaml': NAMES.replace('[tcp/5432]', '7') })],
  ['no YAML', with_({ 'rules.yaml': `${RULES}  - { id: d` })],
  ['one id twice, in two files', with_({ 'more.yaml': RULES.split('\n').slice(0, 2).join('\n') })],
  [
    'a rule on another line, and one more before it',
    with_({
      'rules.yaml': RULES.replace(
        'rules:\n',
        'rules:\n\n  - { id: x, service: [udp/53], providedBy: workloads, usedBy: anyone }\n',
      ),
    }),
  ],
  ['as at the beginning', START],
];

const sourcesOf = (files: Files) => Object.entries(files).map(([name, text]) => ({ name, text }));

describe('parsePolicy with known files', () => {
  test.each([
    ['forward', STATES],
    ['in reverse', STATES.toReversed()],
    ['each twice', STATES.flatMap((state) => [state, state])],
  ])('says what reading everything anew says, %s', (_, states) => {
    const known = new KnownFiles();
    const numbers = numbering();
    let wrong = 0;
    for (const [name, files] of states) {
      const sources = sourcesOf(files);
      const again = parsePolicy(sources, known);
      const anew = parsePolicy(structuredClone(sources));
      expect(again.problems, name).toEqual(anew.problems);
      expect(again.document, name).toEqual(anew.document);
      if (again.document === undefined || anew.document === undefined) wrong += 1;
      else
        expect(resolvePolicy(again.document, numbers), name).toEqual(
          resolvePolicy(structuredClone(anew.document), numbers),
        );
    }
    expect(wrong).toBeGreaterThan(4);
    expect(wrong).toBeLessThan(states.length / 1.5);
  });

  test('what is written as before is the same objects, in files that changed too; what its names mean counts', () => {
    const known = new KnownFiles();
    const numbers = numbering();
    const read = (files: Files) => {
      const { document, problems } = parsePolicy(sourcesOf(files), known);
      if (document === undefined) throw new Error(problems.map((p) => p.message).join('; '));
      const { rules } = resolvePolicy(document, numbers);
      return new Map(rules.map((rule) => [rule.id, rule]));
    };
    const first = read(START);
    const same = (others: ReturnType<typeof read>) =>
      [...others.keys()].filter((id) => others.get(id) === first.get(id)).sort();
    expect(same(read(START))).toEqual(['a', 'b', 'c', 's1', 's2']);
    expect(same(read(with_({ 'rules.yaml': RULES.replace('tcp/80', 'tcp/81') })))).toEqual(['a', 'c', 's1', 's2']);
    expect(same(read(with_({ 'sets.yaml': SETS.replace('tcp/1]', 'tcp/2]') })))).toEqual(['a', 'b', 'c', 's1']);
    // Numbers of a check that is thrown away take nothing from what is in force.
    parsePolicy(sourcesOf(START), known);
    expect(same(read(START))).toEqual(['a', 'b', 'c', 's1', 's2']);
    const renamed = read(with_({ 'names.yaml': NAMES.replace('5432', '5433') }));
    expect(same(renamed)).toEqual([]);
    expect(renamed.get('a')?.ports).toMatchObject([{ low: 5433 }]);
  });
});
