// The example of a new policy file.
import { expect, test } from 'vitest';
import { firstText } from './first-text.js';

const idOf = (file: string, taken: readonly string[] = []) => /id: "(.+)"/.exec(firstText(file, new Set(taken)))?.[1];

test('firstText: an id from the name of the file, another one where it is taken', () => {
  expect(idOf('shop/databases.yaml')).toBe('shop-databases');
  expect(idOf('a.yml', ['a', 'a-2'])).toBe('a-3');
  expect(idOf('.yaml')).toBe('example');
});
