import { defineConfig } from 'vitest/config';

// Two projects: `unit` needs nothing, `root` needs root and a real kernel and runs one file at a time, since its files share
// the machine's cgroup tree, bpffs and network namespaces.
const shared = {
  resolve: { conditions: ['ringfence-src'] },
  ssr: { resolve: { conditions: ['ringfence-src'], externalConditions: ['ringfence-src'] } },
};
const exclude = ['**/node_modules/**', '**/dist/**', '.tools/**'];

export default defineConfig({
  test: {
    // Bounds for a broken run, not expectations of speed: a busy machine takes seconds for what takes milliseconds on an idle one.
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          testTimeout: 60_000,
          expect: { poll: { timeout: 50_000 } },
          include: ['**/*.test.ts'],
          exclude: [...exclude, '**/*.root.test.ts', '**/*.vm.test.ts'],
        },
      },
      {
        ...shared,
        test: {
          name: 'root',
          include: ['**/*.root.test.ts'],
          exclude,
          fileParallelism: false,
          testTimeout: 180_000,
          expect: { poll: { timeout: 60_000 } },
          hookTimeout: 180_000,
          pool: 'forks',
        },
      },
    ],
  },
});
