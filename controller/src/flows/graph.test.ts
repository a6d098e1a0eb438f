// Which edges of a large graph are kept.
import { Direction, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import { buildGraph } from './graph.js';
import type { GraphRow } from './store/archive.js';

const row = (to: number, bytes: number, verdict: Verdict): GraphRow => ({
  source: '["a"]',
  destination: `["b${String(to).padStart(3, '0')}"]`,
  direction: Direction.DIRECTION_OUTBOUND,
  views: 2,
  decider: Direction.DIRECTION_OUTBOUND,
  otherReason: 0,
  otherRule: 0,
  protocol: 6,
  servicePort: 443,
  verdict,
  reason: 1,
  rule: 0,
  process: '',
  farProcess: '',
  bytesForward: bytes,
  bytesBack: 0,
  packetsForward: 1,
  packetsBack: 0,
  records: 1,
  attempts: 1,
  connections: 1,
  durationUs: 1,
  firstSeenUs: 1,
  lastSeenUs: 2,
});
const shape = { groupBy: ['n'], minBytes: 0n, minCount: 0n, minDurationUs: 0n, ruleId: () => '' };
const bytesOf = (rows: readonly GraphRow[], limit: number) => {
  const graph = buildGraph(rows, { ...shape, limit });
  return { bytes: graph.edges.map(({ sums }) => Number(sums?.bytesForward)), leftOut: graph.edgesLeftOut };
};

test('buildGraph, more edges than the limit: refused ones have half of the places, whatever they carry; most bytes first', () => {
  const { VERDICT_ALLOWED: allowed, VERDICT_BLOCKED: blocked, VERDICT_WOULD_BLOCK: would } = Verdict;
  const many = Array.from({ length: 20 }, (_, i) => row(i, 1000 + i, allowed));
  expect(bytesOf([...many, row(100, 0, blocked), row(101, 7, would)], 6)).toEqual({
    bytes: [1019, 1018, 1017, 1016, 7, 0],
    leftOut: 16,
  });
  // A flood of them leaves the other half to what carries most.
  const flood = Array.from({ length: 20 }, (_, i) => row(100 + i, i, blocked));
  expect(bytesOf([...many, ...flood], 6).bytes).toEqual([1019, 1018, 1017, 19, 18, 17]);
  // No limit reached, nothing chosen.
  expect(bytesOf([row(1, 5, blocked), row(2, 9, allowed)], 6)).toEqual({ bytes: [9, 5], leftOut: 0 });
});
