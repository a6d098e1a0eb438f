import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import type { FlowStreamMessage, FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Pair, type TestAuthority, testAuthority, writeContext } from '../testing/certificates.js';
import { type FakeController, failure, type Handlers, startFakeController } from '../testing/fake-controller.js';
import { allowedFlow, sampleFlow, sampleStatus, sampleTimeUs } from '../testing/samples.js';
import { TestTerminal } from '../testing/terminal.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

type FollowCall = ServerWritableStream<FollowFlowsRequest, FlowStreamMessage>;

let folder: string;
let authority: TestAuthority;
let server: Pair;
let operator: Pair;
let controller: FakeController;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-tail-'));
  authority = await testAuthority();
  server = await authority.issue('controller', { dns: 'ringfence-controller' });
  operator = await authority.issue('operator');
});
afterEach(() => controller.stop());
afterAll(() => rm(folder, { recursive: true }));

/** A controller whose run began at `startedMs` and that answers each follow call with the next function. */
function handlers(
  startedMs: bigint,
  follows: ((call: FollowCall) => void)[],
  seen: FollowFlowsRequest[] = [],
): Handlers {
  return {
    status: { get: (_call, done) => done(null, sampleStatus({ startedMs })) },
    flows: {
      follow: (call) => {
        seen.push(call.request);
        const next = follows.shift();
        if (next === undefined) call.emit('error', failure(status.FAILED_PRECONDITION, 'one follow too many'));
        else next(call);
      },
    },
  };
}

function rows(...flows: Flow[]): FlowStreamMessage {
  return { body: { $case: 'rows', value: { flows } } };
}

async function start(made: Handlers, columns?: number): Promise<TestTerminal> {
  controller = await startFakeController(authority.ca, server, made);
  const file = await writeContext(folder, controller.address, authority.ca, operator);
  return new TestTerminal({ env: { RINGFENCE_CONTEXT: file }, columns });
}

test('Ctrl-C ends a tail cleanly: exit code 0 and a summary', async () => {
  const terminal = await start(handlers(1n, [(call) => call.write(rows(sampleFlow(), allowedFlow({ id: 2n })))]));
  const done = terminal.run('flows', 'tail');
  await terminal.until((out) => out.includes('web-to-db'));
  terminal.interrupt.abort();
  expect(await done).toBe(0);
  expect(terminal.stdout.text.split('\n')[0]).toMatch(/^TIME +VERDICT +SOURCE +DESTINATION +SERVICE +WHY +MODE/);
  expect(terminal.stderr.text).toMatch(/^2 flows in \d+s: 1 blocked, 1 allowed\n$/);
});

test('gaps stand in the stream where they happened, and count', async () => {
  const gap: FlowStreamMessage = {
    body: {
      $case: 'gap',
      value: { count: 12n, beforeFilter: true, hop: 'ring', hostId: 'a', fromUs: 0n, untilUs: 0n },
    },
  };
  const write = (call: FollowCall) => {
    call.write(rows(sampleFlow()));
    call.write(gap);
    call.write(rows(sampleFlow({ id: 2n })));
  };
  const terminal = await start(handlers(1n, [write, write]));
  expect(await terminal.run('flows', 'tail', '-o', 'compact', '--limit', '2')).toBe(0);
  const lines = terminal.stdout.text.trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[1]).toBe('-- 12 flows missing here: kernel rings were full on a (counted before the filter) --');
  expect(terminal.stderr.text).toContain('; 12 missing');
});

test('jsonl: one document for each line, each with its type, the summary last', async () => {
  const synced: FlowStreamMessage = { body: { $case: 'synced', value: { kept: 5n, historyDropped: 0n } } };
  const terminal = await start(
    handlers(1n, [
      (call) => {
        call.write(synced);
        call.write(rows(sampleFlow()));
      },
    ]),
  );
  expect(await terminal.run('flows', 'tail', '-o', 'json', '-n', '1', '--since', '2026-03-01T08:00Z')).toBe(0);
  const lines = terminal.stdout.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string });
  expect(lines.map(({ type }) => type)).toEqual(['synced', 'flow', 'summary']);
  expect(lines[2]).toMatchObject({ flows: 1, byVerdict: { blocked: 1 }, missing: 0, reconnects: 0 });
});

test('the filter, history, sample and buffer reach the controller', async () => {
  const seen: FollowFlowsRequest[] = [];
  const terminal = await start(handlers(1n, [(call) => call.write(rows(sampleFlow()))], seen));
  await terminal.run('flows', 'tail', '--denied', '--last', '7', '--sample', '3', '--buffer', '9', '-n', '1');
  expect(seen[0]).toMatchObject({ history: true, historyLimit: 7, sample: 3, buffer: 9, filter: { verdicts: [2, 3] } });
});

test('a tail that could never show anything is refused, with the command that is meant', async () => {
  const terminal = await start(handlers(1n, []));
  expect(await terminal.run('flows', 'tail', '--since', '2h', '--until', '1h')).toBe(2);
  expect(terminal.stderr.text).toMatch(/Cannot follow flows: found --until 1h, which is over.*\n.*flows list/);
});

describe('when the controller goes away', () => {
  test('in the same run the tail resumes without a gap and without a duplicate', async () => {
    const seen: FollowFlowsRequest[] = [];
    const terminal = await start(
      handlers(
        1n,
        [
          (call) => {
            call.write(rows(sampleFlow({ id: 1n }), sampleFlow({ id: 2n })));
            call.end();
          },
          (call) => call.write(rows(sampleFlow({ id: 2n }), sampleFlow({ id: 3n }))),
        ],
        seen,
      ),
    );
    expect(await terminal.run('flows', 'tail', '-o', 'json', '-n', '3')).toBe(0);
    const lines = terminal.stdout.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; id?: number; complete?: boolean });
    expect(lines.map(({ type, id }) => (type === 'flow' ? id : type))).toEqual([1, 2, 'lost', 'back', 3, 'summary']);
    expect(lines[3]?.complete).toBe(true);
    expect(seen[1]).toMatchObject({ history: true, historyLimit: 0, filter: { sinceUs: sampleTimeUs - 300_000_000n } });
  });

  test('after a restart it says that flows may be missing, and ids begin anew', async () => {
    const terminal = await start(handlers(1n, [(call) => call.write(rows(sampleFlow({ id: 90n })))]));
    const done = terminal.run('flows', 'tail', '-o', 'compact', '--limit', '2');
    await terminal.until((out) => out.includes('blocked'));
    const { port } = controller;
    controller.stop();
    await terminal.until((_out, err) => err.includes('connection lost'));
    controller = await startFakeController(
      authority.ca,
      server,
      handlers(2n, [(call) => call.write(rows(allowedFlow({ id: 1n })))]),
      port,
    );
    expect(await done).toBe(0);
    expect(terminal.stdout.text).toContain('web-to-db');
    expect(terminal.stderr.text).toContain('the controller began anew: flows in between may be missing');
    expect(terminal.stderr.text).toContain('1 reconnect');
  });

  test('--no-reconnect ends with exit code 3', async () => {
    const terminal = await start(handlers(1n, [(call) => call.end()]));
    expect(await terminal.run('flows', 'tail', '--no-reconnect')).toBe(3);
    expect(terminal.stderr.text).toContain('RF_CLI_STREAM_LOST');
  });

  test('a refusal is no loss of connection: it ends the tail with its own exit code', async () => {
    const refuse = (call: FollowCall) =>
      call.emit('error', failure(status.PERMISSION_DENIED, 'Cannot follow flows: no right'));
    const terminal = await start(handlers(1n, [refuse]));
    expect(await terminal.run('flows', 'tail')).toBe(5);
  });

  test('Ctrl-C also ends the wait for the next try', async () => {
    const terminal = await start(handlers(1n, [() => controller.stop()]));
    const done = terminal.run('flows', 'tail');
    await terminal.until((_out, err) => err.includes('next try'));
    terminal.interrupt.abort();
    expect(await done).toBe(0);
  });
});

test('flows list: newest kept flows, gaps on standard error for people and in the document for programs', async () => {
  const query: Handlers = {
    flows: {
      query: (call) => {
        call.write(rows(sampleFlow()));
        call.write({
          body: {
            $case: 'gap',
            value: { count: 1n, beforeFilter: false, hop: 'history', hostId: '', fromUs: 0n, untilUs: 0n },
          },
        });
        call.write({ body: { $case: 'synced', value: { kept: 8n, historyDropped: 4n } } });
        call.end();
      },
    },
  };
  const terminal = await start(query, 120);
  expect(await terminal.run('flows', 'list')).toBe(0);
  expect(terminal.stdout.text).toContain('client');
  expect(terminal.stderr.text).toContain('1 flow missing here: history no longer keeps them');
  const json = await start(query);
  expect(await json.run('flows', 'list', '-o', 'json')).toBe(0);
  expect(JSON.parse(json.stdout.text)).toMatchObject({
    flows: [{ id: 1 }],
    gaps: [{ count: 1, hop: 'history' }],
    kept: 8,
    historyDropped: 4,
  });
});
