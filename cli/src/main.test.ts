import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Pair, type TestAuthority, testAuthority, writeContext } from './testing/certificates.js';
import { type FakeController, failure, type Handlers, startFakeController } from './testing/fake-controller.js';
import { sampleHost, sampleStatus, sampleWorkload } from './testing/samples.js';
import { TestTerminal } from './testing/terminal.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let authority: TestAuthority;
let server: Pair;
let operator: Pair;
let controller: FakeController | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-'));
  authority = await testAuthority();
  server = await authority.issue('controller', { dns: 'ringfence-controller' });
  operator = await authority.issue('operator');
});

afterEach(() => controller?.stop());
afterAll(() => rm(folder, { recursive: true }));

/** A fake controller and a terminal whose environment names its context. */
async function start(
  handlers: Handlers,
  settings: ConstructorParameters<typeof TestTerminal>[0] = {},
): Promise<TestTerminal> {
  controller = await startFakeController(authority.ca, server, handlers);
  const file = await writeContext(join(folder, 'context'), controller.address, authority.ca, operator);
  return new TestTerminal({ ...settings, env: { RINGFENCE_CONTEXT: file, ...settings.env } });
}

describe('over mutual TLS', () => {
  test('status: table, JSON, and exit code 1 with --check while an alarm stands', async () => {
    const terminal = await start({ status: { get: (_call, done) => done(null, sampleStatus()) } });
    expect(await terminal.run('status')).toBe(0);
    expect(terminal.stdout.text).toContain('version 2, 5 rules');
    const json = await start({
      status: {
        get: (_call, done) =>
          done(null, sampleStatus({ conditions: [{ code: 'RF_X', severity: 'alarm', title: 't' }] })),
      },
    });
    expect(await json.run('status', '-o', 'json', '--check')).toBe(1);
    expect(JSON.parse(json.stdout.text)).toMatchObject({
      policyVersion: 2,
      started: '2026-03-01T08:00:00.000Z',
      flows: { byVerdict: { allowed: 9, blocked: 1 } },
      conditions: [{ code: 'RF_X', severity: 'alarm', since: null }],
    });
  });

  test('workload list: asks page after page, sends the filter, gives all rows and the total', async () => {
    const asked: string[] = [];
    const terminal = await start({
      workloads: {
        list: ({ request }, done) => {
          asked.push(`${request.page?.token} ${request.filter?.selector?.requirements[0]?.values}`);
          const last = request.page?.token === 'next';
          const id = last ? 'b' : 'a';
          done(null, { workloads: [sampleWorkload({ id })], nextToken: last ? '' : 'next', total: 2 });
        },
      },
    });
    expect(await terminal.run('workload', 'list', '-l', 'role=web|api', '-o', 'json')).toBe(0);
    expect(asked).toEqual([' web,api', 'next web,api']);
    const answer = JSON.parse(terminal.stdout.text);
    expect(answer.total).toBe(2);
    expect(answer.workloads.map((w: { id: string }) => w.id)).toEqual(['a', 'b']);
    expect(answer.workloads[0]).toMatchObject({
      kind: 'container',
      labels: { role: 'web' },
      addresses: [{ address: '172.17.0.2', space: 'local:bridge' }],
      expectedMode: { inbound: 'enforce', outbound: 'test' },
      version: 4,
    });
  });

  test('workload label: sends changes and the version that is expected', async () => {
    const terminal = await start({
      workloads: {
        setLabels: ({ request }, done) => {
          expect(request).toMatchObject({
            workload: 'web',
            set: [{ dimension: 'env', value: 'prod' }],
            remove: ['role'],
            expectedVersion: 4n,
            sticky: true,
          });
          done(null, sampleWorkload());
        },
      },
    });
    const code = await terminal.run(
      'workload',
      'label',
      'web',
      'env=prod',
      'role-',
      '--expected-version',
      '4',
      '--sticky',
    );
    expect([code, terminal.stderr.text]).toEqual([0, '']);
  });

  test.each([
    [status.NOT_FOUND, 4],
    [status.PERMISSION_DENIED, 5],
    [status.UNAUTHENTICATED, 5],
    [status.ABORTED, 6],
    [status.ALREADY_EXISTS, 6],
    [status.INVALID_ARGUMENT, 2],
    [status.INTERNAL, 7],
  ])('gRPC status %i becomes exit code %i, with the controller sentence and code', async (grpc, exit) => {
    const terminal = await start({
      workloads: {
        get: (_call, done) => done(failure(grpc, 'Cannot show workload x: found none', 'RF_WORKLOAD_UNKNOWN')),
      },
    });
    expect(await terminal.run('workload', 'show', 'x')).toBe(exit);
    expect(terminal.stderr.text).toContain('error: Cannot show workload x: found none [RF_WORKLOAD_UNKNOWN]');
    expect(terminal.stderr.text).toContain(`where: controller at ${controller?.address}`);
  });

  test('an error with -o json is one line of JSON on standard error', async () => {
    const terminal = await start({
      hosts: { get: (_call, done) => done(failure(status.NOT_FOUND, 'no host x', 'RF_HOST_UNKNOWN')) },
    });
    expect(await terminal.run('host', 'show', 'x', '-o', 'json')).toBe(4);
    expect(terminal.stdout.text).toBe('');
    expect(JSON.parse(terminal.stderr.text)).toMatchObject({ error: { code: 'RF_HOST_UNKNOWN', exit: 4 } });
  });

  test('host remove: refuses without --yes where nobody can be asked, and asks nothing of the host then', async () => {
    const removed: string[] = [];
    const handlers: Handlers = {
      hosts: {
        get: (_call, done) => done(null, sampleHost()),
        remove: ({ request }, done) => {
          removed.push(request.hostId);
          done(null, { told: false });
        },
      },
    };
    const terminal = await start(handlers);
    expect(await terminal.run('host', 'remove', 'a.example')).toBe(2);
    expect(removed).toEqual([]);
    expect(await terminal.run('host', 'remove', 'a.example', '--yes')).toBe(0);
    expect(removed).toEqual(['a']);
  });

  test('explain: labels, address and workload are told apart; --expect decides the exit code', async () => {
    const terminal = await start({
      policy: {
        explain: ({ request }, done) => {
          expect(request.source?.end).toEqual({
            $case: 'labels',
            value: { labels: [{ dimension: 'role', value: 'web' }] },
          });
          expect(request.destination?.end).toEqual({ $case: 'address', value: '10.0.0.9' });
          expect(request).toMatchObject({ protocol: 6, port: 443, draft: true });
          const nobody = { labels: [], address: '10.0.0.9', ipLists: [], workload: undefined };
          const answer = {
            verdict: Verdict.VERDICT_BLOCKED,
            policyVersion: 0,
            notes: ['no agent there'],
            inbound: undefined,
          };
          done(null, { ...answer, outbound: undefined, source: nobody, destination: nobody });
        },
      },
    });
    const args = ['explain', 'role=web', '10.0.0.9', '443/tcp', '--draft', '--expect'];
    expect(await terminal.run(...args, 'blocked')).toBe(0);
    expect(await terminal.run(...args, 'allowed')).toBe(1);
    expect(terminal.stdout.text).toContain('BLOCKED  tcp/443  under the draft');
  });
});

describe('without a usable connection: exit code 3 and what to do', () => {
  test('nothing listens', async () => {
    const terminal = await start({});
    controller?.stop();
    expect(await terminal.run('status')).toBe(3);
    expect(terminal.stderr.text).toContain('nothing listens there');
    expect(terminal.stderr.text).toContain('start the controller');
  });

  test('the controller belongs to another authority', async () => {
    const other = await testAuthority('other');
    controller = await startFakeController(
      other.ca,
      await other.issue('controller', { dns: 'ringfence-controller' }),
      {},
    );
    const file = await writeContext(join(folder, 'other'), controller.address, authority.ca, operator);
    const terminal = new TestTerminal();
    expect(await terminal.run('status', '--context', file)).toBe(3);
    expect(terminal.stderr.text).toContain('certificate of another authority');
  });

  test('the server is not the one that the context names', async () => {
    controller = await startFakeController(authority.ca, await authority.issue('x', { dns: 'elsewhere' }), {});
    const file = await writeContext(join(folder, 'name'), controller.address, authority.ca, operator);
    const terminal = new TestTerminal();
    expect(await terminal.run('status', '--context', file)).toBe(3);
    expect(terminal.stderr.text).toContain('not the controller that this context names');
  });

  test('the controller does not know the certificate of the caller', async () => {
    const other = await testAuthority('other');
    controller = await startFakeController(other.ca, server, {});
    const file = await writeContext(join(folder, 'unknown'), controller.address, authority.ca, operator);
    const terminal = new TestTerminal();
    expect(await terminal.run('status', '--context', file)).toBe(3);
    expect(terminal.stderr.text).toContain('refused the TLS connection');
  });

  test('no answer in time', async () => {
    const terminal = await start({ status: { get: () => {} } });
    expect(await terminal.run('status', '--timeout', '0.3')).toBe(3);
    expect(terminal.stderr.text).toContain('no answer in time');
    expect(terminal.stderr.text).toContain('RF_CLI_TIMEOUT');
  });
});
