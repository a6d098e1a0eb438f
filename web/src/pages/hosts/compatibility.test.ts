import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compatibilityOf, furtherFeatures } from './compatibility.js';

/** Names and versions as the agent's probe has them; its source is read, since it cannot be loaded without the addon. */
const PROBED = Object.fromEntries(
  [...readFileSync('native/ts/features.ts', 'utf8').matchAll(/^ {2}(\w+): '([\d.]+)',$/gm)].map(([, name, since]) => [
    name,
    since,
  ]),
);

test('every feature that agents probe is known here with the same kernel version', () => {
  const none = compatibilityOf(['syn_tags']);
  expect(none.length).toBeGreaterThan(5);
  expect(none.map(({ name }) => name).sort()).toEqual(Object.keys(PROBED).sort());
  for (const { name, text } of none) expect(text).toContain(`wants kernel ${PROBED[name]} `);
});

test('a kernel without TCX is done without it, one without ring buffers is not enough', () => {
  const report = compatibilityOf(Object.keys(PROBED).filter((name) => name !== 'tcx' && name !== 'ringbuf'));
  const found = Object.fromEntries(report.map(({ name, state }) => [name, state]));
  expect(found).toMatchObject({ tcx: 'done without', ringbuf: 'missing', clsact: 'available' });
});

test('nothing reported: nothing said', () => {
  expect(compatibilityOf([])).toEqual([]);
  expect(furtherFeatures(['tcx', 'syn_tags'])).toEqual(['syn_tags']);
});
