import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowGraph } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { testAuthority, writeContext } from '../testing/certificates.js';
import { type FakeController, startFakeController } from '../testing/fake-controller.js';
import { allowedFlow, sampleFlow } from '../testing/samples.js';
import { TestTerminal } from '../testing/terminal.js';
import { jsonListPieces, jsonText } from '../text/json.js';
import { displayWidth } from '../text/width.js';

// Real connections: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let controller: FakeController;
let context: string;
let kept: number;
let graph: FlowGraph;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-list-'));
  const authority = await testAuthority();
  const server = await authority.issue('controller', { dns: 'ringfence-controller' });
  controller = await startFakeController(authority.ca, server, {
    flows: {
      graph: (_call, done) => done(null, graph),
      query: (call) => {
        const flows = Array.from({ length: Math.min(kept, call.request.limit) }, (_, i) =>
          (i % 2 === 0 ? sampleFlow : allowedFlow)({ id: BigInt(i + 1) }),
        );
        call.write({ body: { $case: 'rows', value: { flows } } });
        call.write({ body: { $case: 'synced', value: { kept: BigInt(kept), historyDropped: 0n } } });
        call.end();
      },
    },
  });
  context = await writeContext(folder, controller.address, authority.ca, await authority.issue('operator'));
});
afterEach(async () => {
  controller.stop();
  await rm(folder, { recursive: true });
});

async function ringfence(columns: number | undefined, ...args: string[]): Promise<{ out: string; err: string }> {
  const terminal = new TestTerminal({ env: { RINGFENCE_CONTEXT: context, NO_COLOR: '1' }, columns });
  expect(await terminal.run(...args), terminal.stderr.text).toBe(0);
  return { out: terminal.stdout.text, err: terminal.stderr.text };
}

test('a list that comes to the default limit says that there may be more; one that was asked for so many does not', async () => {
  kept = 3000;
  const all = await ringfence(undefined, 'flows', 'list');
  expect(all.out.trimEnd().split('\n')).toHaveLength(1001);
  expect(all.err).toMatch(/newest 1000; older ones may match too/);
  expect((await ringfence(undefined, 'flows', 'list', '-n', '5')).err).toBe('');
  kept = 999;
  expect((await ringfence(undefined, 'flows', 'list')).err).toBe('');
});

test('a list on a narrow terminal says which columns it left out', async () => {
  kept = 2;
  const { out, err } = await ringfence(80, 'flows', 'list');
  expect(err).toBe(
    'No room for PEER, SEEN, POLICY, MODE, PROCESS: a wider terminal, --wide or -o compact shows them.\n',
  );
  expect(out.split('\n')[0]).not.toContain('POLICY');
});

test('every format of a long list has all of its rows, and JSON is one document', async () => {
  kept = 2500;
  const list = (format: string) => ringfence(undefined, 'flows', 'list', '-n', '2500', '-o', format);
  const { flows, ...rest } = JSON.parse((await list('json')).out) as { flows: { id: number }[] };
  expect(flows.map(({ id }) => id)).toEqual(Array.from({ length: 2500 }, (_, i) => i + 1));
  expect(rest).toEqual({ gaps: [], kept: 2500, historyDropped: 0 });
  for (const [format, heading] of [
    ['jsonl', 0],
    ['compact', 0],
    ['table', 1],
  ] as const)
    expect((await list(format)).out.split('\n'), format).toHaveLength(2500 + heading + 1);
});

test.each([0, 1, 1024, 2049])('a list of %i rows in pieces reads as if it were written at once', (count) => {
  const rows = Array.from({ length: count }, (_, i) => ({ id: BigInt(i), text: 'a\nb', inner: { list: [] } }));
  const extra = { gaps: [{ from: null }], kept: 12n };
  const pieces = [...jsonListPieces('rows', rows, (row) => row, extra)];
  expect(pieces.join('')).toBe(`${jsonText({ rows, ...extra })}\n`);
  expect([...jsonListPieces('rows', rows, (row) => row)].join('')).toBe(`${jsonText({ rows })}\n`);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(200_000);
});

test('a graph gives way to a narrow terminal, shows durations, and says what no end has', async () => {
  const labels = [{ dimension: 'role', value: 'a-role-with-a-rather-long-name-for-a-label' }];
  const processes = ['nginx', 'postgres', 'java', 'node', 'python3'];
  const sums = { bytesForward: 10n, count: 2n, durationUs: 125_000_000n, lastSeenUs: 1_772_352_902_123_456n };
  const decisions = [{ direction: 1, reason: 3, count: 2n }];
  graph = FlowGraph.fromPartial({
    nodes: [{ id: 1, labels }, { id: 2 }],
    edges: [
      {
        source: 1,
        destination: 2,
        verdict: 1,
        sums,
        services: [{ protocol: 6, port: 443, processes, sums, decisions }],
      },
    ],
    edgesLeftOut: 1,
  });
  const { out, err } = await ringfence(100, 'flows', 'graph', '--group-by', 'role,bogus');
  const lines = out.trimEnd().split('\n');
  expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(100);
  expect(lines[0]).toMatch(/^FROM +TO +VERDICT +BYTES +COUNT +SERVICES +PROCESSES +DURATION +LAST$/);
  expect(lines[1]).toMatch(/ 2m5s {2}2026-03-01T08:15:02Z$/);
  expect(JSON.parse((await ringfence(undefined, 'flows', 'graph', '-o', 'json')).out)).toMatchObject({
    edges: [
      {
        services: [{ decisions: [{ direction: 'inbound', reason: 'implicit-deny', rule: 0, ruleId: null, count: 2 }] }],
      },
    ],
  });
  expect(err).toBe(
    '1 edge is left out: below a threshold, or beyond --limit.\nNo end of these flows has bogus. Next: ringfence dimension list.\n',
  );
});
