import { Problem } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import { plain } from '../text/style.js';
import { compactProblems, countProblems, renderProblems } from './problems.js';

const content = 'rules:\n  - id: web\n\tservice: [tcp/70000]\r\n  - id: 数据库 # x\n';
const files = [{ name: 'web.yaml', path: 'policy/web.yaml', content }];

function problem(change: Partial<Problem>): Problem {
  return Problem.fromPartial({
    code: 'RF_POLICY_PORT',
    message: 'Port 70000 is too high',
    file: 'web.yaml',
    ...change,
  });
}

test('a problem is shown with its line and a caret below the offending text', () => {
  expect(
    renderProblems([problem({ line: 3, column: 12, found: 'tcp/70000' })], files, plain, 100),
  ).toMatchInlineSnapshot(`
    "policy/web.yaml:3:12: error: Port 70000 is too high [RF_POLICY_PORT]
     3 |  service: [tcp/70000]
       |            ^^^^^^^^^
    "
  `);
});

test('the caret stands below wide characters and covers them', () => {
  expect(
    renderProblems([problem({ line: 4, column: 9, found: '数据库', warning: true })], files, plain, 100),
  ).toMatchInlineSnapshot(`
    "policy/web.yaml:4:9: warning: Port 70000 is too high [RF_POLICY_PORT]
     4 |   - id: 数据库 # x
       |         ^^^^^^
    "
  `);
});

test('what was found elsewhere than the text says gets one caret; a problem at the end of a line too', () => {
  const [, , caret] = renderProblems([problem({ line: 2, column: 5, found: 'other' })], files, plain, 100).split('\n');
  expect(caret).toBe('   |     ^');
  const [, , end] = renderProblems([problem({ line: 1, column: 7 })], files, plain, 100).split('\n');
  expect(end).toBe('   |       ^');
});

test('without a line, a file, or the text of the file, the sentence stands alone', () => {
  const text = renderProblems(
    [
      problem({}),
      problem({ file: '', line: 3 }),
      problem({ file: 'other.yaml', line: 9, column: 1 }),
      problem({ line: 99 }),
    ],
    files,
    plain,
    100,
  );
  expect(text).toBe(
    'policy/web.yaml: error: Port 70000 is too high [RF_POLICY_PORT]\n' +
      'error: Port 70000 is too high [RF_POLICY_PORT]\n' +
      'other.yaml:9:1: error: Port 70000 is too high [RF_POLICY_PORT]\n' +
      'policy/web.yaml:99: error: Port 70000 is too high [RF_POLICY_PORT]\n',
  );
});

test('a long line is shown around the problem and stays inside the terminal', () => {
  const long = [{ name: 'l.yaml', path: 'l.yaml', content: `${'x'.repeat(300)}BAD${'y'.repeat(300)}` }];
  const [, source = '', caret = ''] = renderProblems(
    [problem({ file: 'l.yaml', line: 1, column: 301, found: 'BAD' })],
    long,
    plain,
    60,
  ).split('\n');
  expect(source.length).toBeLessThanOrEqual(60);
  const at = caret.indexOf('^');
  expect([source.slice(at, at + 3), caret.slice(at)]).toEqual(['BAD', '^^^']);
});

test('control characters of a policy file never reach the terminal', () => {
  const evil = [{ name: 'e.yaml', path: 'e.yaml', content: 'a: \u001b[2Jx' }];
  expect(
    renderProblems([problem({ file: 'e.yaml', line: 1, column: 4, found: '\u001b[2J' })], evil, plain, 60),
  ).not.toContain('\u001b');
});

test('compact is one line each, as compilers write them', () => {
  expect(compactProblems([problem({ line: 3, column: 12 }), problem({ file: '', warning: true })], files)).toBe(
    'policy/web.yaml:3:12: error: Port 70000 is too high [RF_POLICY_PORT]\nwarning: Port 70000 is too high [RF_POLICY_PORT]\n',
  );
});

test('countProblems counts both kinds', () => {
  expect(countProblems([])).toBe('no problems');
  expect(countProblems([problem({}), problem({}), problem({ warning: true })])).toBe('2 errors, 1 warning');
});
