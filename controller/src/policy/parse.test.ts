import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sameDocument, serialisePolicy } from './canonical.js';
import { checkDocument, parsePolicy, provisionProblems, resolvePolicy } from './parse.js';
import { ruleNumbers } from './testing/numbers.js';

const fixtures = new URL('./fixtures/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, fixtures), 'utf8');
const parseText = (text: string) => parsePolicy([{ name: 'p.yaml', text }]);
const good = read('good/everything.yaml');

describe('parsePolicy', () => {
  it('reads every kind of object without a problem', () => {
    const { document, problems } = parseText(good);
    expect(problems).toEqual([]);
    expect(document?.rules.map((rule) => rule.id)).toEqual([
      'backup',
      'credit',
      'no-prod-from-dev',
      'ping-from-office',
      'same-app',
    ]);
  });

  it('gives the same document for an export read back, and for the same files in another order', () => {
    const first = parseText(good).document;
    const again = parseText(serialisePolicy(first ?? raise()));
    expect(again.problems).toEqual([]);
    expect(again.document).toEqual(first);
    const parts = [
      { name: 'a.yaml', text: 'rules:\n  - {id: b, service: any, providedBy: role=x, usedBy: role=y}\n' },
      {
        name: 'b.yaml',
        text: 'rules:\n  - {id: a, service: any, providedBy: role=x, usedBy: role=y, direction: both}\n',
      },
    ];
    const [forward, backward] = [parsePolicy(parts).document, parsePolicy(parts.toReversed()).document];
    expect(forward).toEqual(backward);
    expect(sameDocument(forward ?? raise(), backward ?? raise())).toBe(true);
  });

  it('keeps rule numbers when the same files come twice and when a rule is added before others', () => {
    const numbers = ruleNumbers();
    const once = resolvePolicy(parseText(good).document ?? raise(), numbers);
    const twice = resolvePolicy(parseText(good).document ?? raise(), numbers);
    expect(twice).toEqual(once);
    const more = parseText(`${good}\n---\nrules:\n  - {id: aaa, service: any, providedBy: role=x, usedBy: role=y}\n`);
    const later = resolvePolicy(more.document ?? raise(), numbers);
    for (const rule of once.rules) expect(later.rules).toContainEqual(rule);
    expect(later.rules.find((rule) => rule.id === 'aaa')?.number).toBe(once.rules.length + 1);
  });

  it('resolves groups, scopes, relations and services', () => {
    const policy = resolvePolicy(parseText(good).document ?? raise(), ruleNumbers());
    const rule = (id: string) => policy.rules.find((each) => each.id === id) ?? raise();
    expect(rule('ping-from-office').usedBy).toEqual({
      anyone: false,
      selector: { kind: 'label', dimension: 'loc', values: ['ams', 'fra', 'nyc'] },
      ipLists: ['office'],
    });
    expect(rule('ping-from-office').ports).toEqual([
      { protocol: 1, low: 3 * 256 + 4, high: 3 * 256 + 4 },
      { protocol: 1, low: 8 * 256, high: 8 * 256 + 255 },
      { protocol: 17, low: 33434, high: 33534 },
      { protocol: 47, low: 0, high: 65535 },
      { protocol: 58, low: 128 * 256, high: 128 * 256 + 255 },
    ]);
    expect(rule('shop-web-to-db').same).toEqual(['env']);
    expect(rule('shop-web-to-db').providedBy.selector).toEqual({
      kind: 'all',
      of: [
        { kind: 'label', dimension: 'role', values: ['db'] },
        { kind: 'label', dimension: 'app', values: ['shop'] },
        { kind: 'exists', dimension: 'env' },
      ],
    });
  });

  it('reports every error of every file at once and gives no document', () => {
    const { document, problems } = parsePolicy([
      { name: 'one.yaml', text: 'rules:\n  - {id: a, service: tcp/70000, providedBy: roel=x, usedBy: anyone}\n' },
      { name: 'two.yaml', text: 'modes:\n  - {id: m, match: workloads, mode: enforced}\nrule: []\n' },
      { name: 'three.yaml', text: 'rules: [\n' },
    ]);
    expect(document).toBeUndefined();
    expect(problems.map(({ file, line, column, code }) => `${file}:${line}:${column} ${code}`)).toEqual([
      'one.yaml:2:22 RF_POLICY_PORT',
      'one.yaml:2:45 RF_POLICY_UNKNOWN',
      'three.yaml:2:1 RF_POLICY_YAML',
      'two.yaml:2:37 RF_POLICY_SHAPE',
      'two.yaml:3:1 RF_POLICY_SHAPE',
    ]);
    expect(problems[0]?.message).toBe('Cannot accept rule a: found tcp/70000, wanted a port from 0 to 65535');
  });

  it('does not report references to an object that could not be read itself', () => {
    const text =
      'services:\n  - {name: web, ports: []}\nrules:\n  - {id: a, service: web, providedBy: role=x, usedBy: anyone}\n';
    expect(parseText(text).problems.map((problem) => problem.code)).toEqual(['RF_POLICY_EMPTY']);
  });
});

describe('checkDocument', () => {
  it('finds nothing wrong with a document that parsed, and what is wrong with one that did not', () => {
    const document = parseText(good).document ?? raise();
    expect(checkDocument(document)).toEqual([]);
    const problems = checkDocument({ ...document, ipLists: [] });
    expect(problems.map(({ code, found, line }) => ({ code, found, line }))).toEqual([
      { code: 'RF_POLICY_UNKNOWN', found: 'office', line: 0 },
    ]);
  });
});

describe('provisionProblems', () => {
  it('refuses an enabled rule with a constraint by name, and lets a disabled one be', () => {
    const document = parseText(good).document ?? raise();
    expect(provisionProblems(document)).toEqual([]);
    const enabled = parseText(good.replace('enabled: false', 'enabled: true')).document ?? raise();
    expect(provisionProblems(enabled).map((problem) => problem.message)).toEqual([
      'Cannot accept rule backup: found constraints encrypted, wanted a rule without constraints, or enabled: false: constraints are not enforced yet, and never silently ignored',
    ]);
  });
});

/** Each bad fixture says in its first lines what must be reported: `# CODE at LINE:COLUMN found TEXT`. */
describe('bad fixtures', () => {
  const files = readdirSync(new URL('bad/', fixtures)).filter((file) => file.endsWith('.yaml'));

  it('there are at least 100 of them', () => {
    expect(files.length).toBeGreaterThanOrEqual(100);
  });

  it.each(files)('%s', (file) => {
    const text = read(`bad/${file}`);
    const expected = text
      .split('\n')
      .filter((line) => line.startsWith('# RF_'))
      .map((line) => line.slice(2));
    expect(expected).not.toEqual([]);
    const { document, problems } = parsePolicy([{ name: file, text }]);
    expect(document).toBeUndefined();
    for (const problem of problems) {
      expect(problem.file).toBe(file);
      expect(problem.wanted).not.toBe('');
    }
    expect(problems.map((p) => `${p.code} at ${p.line}:${p.column} found ${p.found} wanted ${p.wanted}`)).toEqual(
      expected,
    );
  });
});

function raise(): never {
  throw new Error('wanted a document');
}

describe('one pass', () => {
  it('an item with a wrong field has its other fields checked as well', () => {
    const text = [
      'dimensions:',
      '  - { name: env, values: [prod] }',
      'rules:',
      '  - id: first',
      '    service: tcp/70000',
      '    providedBy: rol=db',
      '    usedBy: { any: [] }',
      '    bogus: 1',
      '  - id: first',
      '    service: nosuch',
      '    providedBy: role=db',
      '    usedBy: env=qa',
      '',
    ].join('\n');
    const { document, problems } = parsePolicy([{ name: 'p.yaml', text }]);
    expect(document).toBeUndefined();
    expect(problems.map(({ line, code }) => `${line} ${code}`)).toEqual([
      '5 RF_POLICY_PORT',
      '6 RF_POLICY_UNKNOWN',
      '7 RF_POLICY_EMPTY',
      '8 RF_POLICY_SHAPE',
      '9 RF_POLICY_DUPLICATE',
      '10 RF_POLICY_UNKNOWN',
      '12 RF_POLICY_VALUE',
    ]);
  });
});
