// What V8 and glibc read once, when a process begins, about how much memory they may hold on to. An agent is a guest on its host.

/**
 * Flags of Node. The young generation, MiB: records live for milliseconds, and under a flood the default lets 48 MiB of dead ones pile up,
 * at no gain in time. One helper thread for compiler and collector: each has memory of its own.
 */
export const FOOTPRINT_FLAGS = ['--max-semi-space-size=2', '--v8-pool-size=1'] as const;

/**
 * Of glibc's allocator, bytes. What a batch of records took goes back to the kernel when it is freed: left alone, the thresholds grow with
 * the first large block that is freed, and a burst then stays in the heap for good. Threads share one arena.
 */
export const FOOTPRINT_ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '262144',
} as const;
