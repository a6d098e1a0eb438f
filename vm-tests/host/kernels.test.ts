import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { newest, parseKernels } from './kernels.js';

describe('parseKernels', () => {
  it('reads series, suite and packages, without comments and blank lines', () => {
    expect(parseKernels('# a comment\n\n6.1  bookworm linux-image-6.1.*  # why\n7.2 sid a-* b-*\n')).toEqual([
      { series: '6.1', suite: 'bookworm', packages: ['linux-image-6.1.*'] },
      { series: '7.2', suite: 'sid', packages: ['a-*', 'b-*'] },
    ]);
  });

  it('names the line that has no package', () => {
    expect(() => parseKernels('\n6.1 bookworm\n')).toThrow('line 2: found "6.1 bookworm"');
  });

  it('reads the list that is shipped', () => {
    const kernels = parseKernels(readFileSync(new URL('../kernels.txt', import.meta.url), 'utf8'));
    expect(kernels.map((kernel) => kernel.series)).toContain('5.10');
    expect(new Set(kernels.map((kernel) => kernel.series)).size).toBe(kernels.length);
  });
});

describe('newest', () => {
  const names = [
    'linux-image-6.1.0-9-cloud-amd64',
    'linux-image-6.1.0-50-cloud-amd64',
    'linux-image-6.12.1-cloud-amd64',
    'linux-image-6.1.0-99-cloud-amd64-dbg',
    'linux-image-6x1.0-99-cloud-amd64',
  ];

  it('compares numbers as numbers and takes only what matches as a whole', () => {
    expect(newest('linux-image-6.1.*-cloud-amd64', names)).toBe('linux-image-6.1.0-50-cloud-amd64');
  });

  it('is undefined when nothing matches', () => {
    expect(newest('linux-image-4.19.*', names)).toBeUndefined();
  });
});
