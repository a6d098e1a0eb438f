import { expect, it } from 'vitest';
import type { CheckLine } from '../guest/report.js';
import { type Column, hasFailure, renderNotes, renderTable } from './table.js';

function check(name: string, status: CheckLine['status'], detail = ''): CheckLine {
  return { kind: 'check', check: name, status, detail, ms: 1 };
}

const old: Column = { series: '5.10', lines: [check('tcx', 'fallback', 'by clsact'), check('cut', 'ok')], problem: '' };
const dead: Column = { series: '6.1', lines: [check('tcx', 'ok')], problem: 'panic' };
const fresh: Column = {
  series: '6.18',
  lines: [check('tcx', 'ok'), check('move', 'ok'), check('cut', 'ok')],
  problem: '',
};

it('renderTable, has a row for each check of any kernel and tells not had from not reached', () => {
  expect(renderTable([old, dead, fresh]).split('\n')).toEqual([
    'check  5.10      6.1  6.18',
    'tcx    fallback  ok   ok',
    'cut    ok        ?    ok',
    'move   -         ?    ok',
  ]);
});

it('renderNotes, explains fallbacks, failed checks and dead guests', () => {
  const failed: Column = { series: '7.2', lines: [check('cut', 'failed', 'timeout')], problem: '' };
  expect(renderNotes([old, dead, failed]).split('\n')).toEqual([
    '5.10  fallback tcx: by clsact',
    '7.2   FAILED   cut: timeout',
    '6.1   FAILED   boot: panic',
  ]);
});

it('hasFailure, a fallback is none, a failed check and a guest without an end are', () => {
  expect(hasFailure([old, fresh])).toBe(false);
  expect(hasFailure([old, dead])).toBe(true);
  expect(hasFailure([{ ...old, lines: [check('cut', 'failed')] }])).toBe(true);
});
