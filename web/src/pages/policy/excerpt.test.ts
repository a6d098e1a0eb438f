import { expect, test } from 'vitest';
import { excerpt } from './excerpt.js';

const FILE = `rules:
  - { id: one, service: [tcp/1] }
  - service: [tcp/2]
    # why
    id: two
    usedBy:
      all: [a=b]

  - id: three
modes:
  - id: m
`;

test('excerpt gives the item that holds the line, and nothing of the next', () => {
  expect(excerpt(FILE, 2)).toBe('- { id: one, service: [tcp/1] }');
  expect(excerpt(FILE, 5)).toBe('- service: [tcp/2]\n  # why\n  id: two\n  usedBy:\n    all: [a=b]');
  expect(excerpt(FILE, 9)).toBe('- id: three');
  expect(excerpt(FILE, 99)).toBe('');
});
