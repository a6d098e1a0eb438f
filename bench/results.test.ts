import { expect, test } from 'vitest';
import { withSection } from './results.js';

const page = '# bench/a\n\nold a\n\n## Part of a\n\n1\n\n# bench/b\n\nold b\n';

test('a section takes the place of the one with its heading, with the parts below it', () => {
  expect(withSection(page, '# bench/a\n\nnew a\n')).toBe('# bench/a\n\nnew a\n\n# bench/b\n\nold b\n');
  expect(withSection(page, '# bench/b\n\nnew b\n')).toBe(page.replace('old b', 'new b'));
});

test('a section that is not there yet goes to the end, also of an empty page', () => {
  expect(withSection(page, '# bench/c\n\nc\n')).toBe(`${page}\n# bench/c\n\nc\n`);
  expect(withSection('', '# bench/c\n\nc\n')).toBe('# bench/c\n\nc\n');
});
