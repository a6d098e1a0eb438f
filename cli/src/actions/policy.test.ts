import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListHostsResponse } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import {
  ApplyPolicyResponse,
  type CheckPolicyRequest,
  DiffPolicyResponse,
  ImportPolicyResponse,
  LintPolicyResponse,
  type PolicyContent,
  PolicyHistoryResponse,
  PolicyVersion,
  PolicyVersionState,
  RuleInfo,
  SimulatePolicyResponse,
  type TestPolicyRequest,
  TestPolicyResponse,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Pair, type TestAuthority, testAuthority, writeContext } from '../testing/certificates.js';
import { type FakeController, type Handlers, startFakeController } from '../testing/fake-controller.js';
import { sampleHost } from '../testing/samples.js';
import { TestTerminal } from '../testing/terminal.js';

// Real connections and processes: only a machine that hangs takes this long.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let policy: string;
let authority: TestAuthority;
let server: Pair;
let operator: Pair;
let controller: FakeController | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-cli-policy-'));
  policy = join(folder, 'policy');
  await mkdir(join(policy, 'sub'), { recursive: true });
  await mkdir(join(policy, '.git'));
  await writeFile(join(policy, 'web.yaml'), 'rules:\n  - id: web\n    service: [tcp/70000]\n');
  await writeFile(join(policy, 'sub/db.yml'), 'rules: []\n');
  await writeFile(join(policy, '.git/x.yaml'), 'no');
  await writeFile(join(policy, 'readme.md'), 'no');
  authority = await testAuthority();
  server = await authority.issue('controller', { dns: 'ringfence-controller' });
  operator = await authority.issue('operator');
});
afterEach(() => controller?.stop());
afterAll(() => rm(folder, { recursive: true }));

async function start(
  handlers: Handlers,
  settings: ConstructorParameters<typeof TestTerminal>[0] = {},
): Promise<TestTerminal> {
  controller = await startFakeController(authority.ca, server, handlers);
  const file = await writeContext(join(folder, 'context'), controller.address, authority.ca, operator);
  return new TestTerminal({ ...settings, env: { RINGFENCE_CONTEXT: file } });
}

const answer = (change: Parameters<typeof ApplyPolicyResponse.fromPartial>[0]) =>
  ApplyPolicyResponse.fromPartial({ accepted: true, changed: true, version: 3, rules: 2, hostsAffected: 2, ...change });

describe('policy apply', () => {
  test('a folder is the whole policy: YAML below it by relative name, hidden and other files left out', async () => {
    const terminal = await start({
      policy: {
        apply: ({ request }, done) => {
          expect(request.files.map(({ name }) => name)).toEqual(['sub/db.yml', 'web.yaml']);
          expect(request).toMatchObject({ prune: true, draftOnly: false, note: 'why', expectedVersion: 2 });
          done(null, answer({}));
        },
      },
    });
    expect(await terminal.run('policy', 'apply', '-f', policy, '--note', 'why', '--expected-version', '2')).toBe(0);
    expect(terminal.stdout.text).toBe('version 3 in force: 2 rules, sent to 2 hosts\n');
  });

  test('a file is added to the policy; standard input too', async () => {
    const asked: [string[], boolean][] = [];
    const handlers: Handlers = {
      policy: {
        apply: ({ request }, done) => {
          asked.push([request.files.map(({ name }) => name), request.prune]);
          done(null, answer({ changed: false }));
        },
      },
    };
    const terminal = await start(handlers, { stdin: 'rules: []' });
    expect(await terminal.run('policy', 'apply', '-f', join(policy, 'sub/db.yml'), '-f', '-')).toBe(0);
    expect(await terminal.run('policy', 'apply', '-f', join(policy, 'sub/db.yml'), '--base', policy, '--prune')).toBe(
      0,
    );
    expect(asked).toEqual([
      [['db.yml', 'stdin.yaml'], false],
      [['sub/db.yml'], true],
    ]);
    expect(terminal.stdout.text).toContain('unchanged: version 3');
  });

  test('refused: exit code 1, every problem with its line and a caret, nothing on standard output but the verdict', async () => {
    const problem = {
      code: 'RF_POLICY_PORT',
      message: 'Port 70000, wanted 0 to 65535',
      file: 'web.yaml',
      line: 3,
      column: 15,
      found: 'tcp/70000',
    };
    const refused: Handlers = {
      policy: { apply: (_call, done) => done(null, answer({ accepted: false, version: 2, problems: [problem] })) },
    };
    const terminal = await start(refused);
    expect(await terminal.run('policy', 'apply', '-f', policy)).toBe(1);
    expect(terminal.stderr.text).toBe(
      `${join(policy, 'web.yaml')}:3:15: error: Port 70000, wanted 0 to 65535 [RF_POLICY_PORT]\n 3 |     service: [tcp/70000]\n   |               ^^^^^^^^^\n`,
    );
    expect(terminal.stdout.text).toBe('refused: 1 error; nothing changed, version 2 stays in force\n');
    const json = await start(refused);
    expect(await json.run('policy', 'apply', '-f', policy, '-o', 'json')).toBe(1);
    expect(JSON.parse(json.stdout.text)).toMatchObject({
      accepted: false,
      problems: [{ severity: 'error', line: 3, column: 15 }],
    });
  });

  test('--wait ends when every connected host has the version, and fails when one refuses it', async () => {
    let polls = 0;
    const handlers = (refuses: boolean): Handlers => ({
      policy: { apply: (_call, done) => done(null, answer({})) },
      hosts: {
        list: (_call, done) => {
          polls += 1;
          const late = sampleHost({
            id: 'b',
            policyVersion: polls > 2 ? 3 : 2,
            policyVersionWanted: 3,
            nack: refuses
              ? { revision: 6n, code: 'RF_MAP_FULL', message: 'rf_ports is full', table: 'rf_ports' }
              : undefined,
          });
          const away = sampleHost({ id: 'c', connected: false, policyVersion: 1 });
          done(
            null,
            ListHostsResponse.fromPartial({
              hosts: [sampleHost({ policyVersion: 3, policyVersionWanted: 3 }), late, away],
            }),
          );
        },
      },
    });
    const terminal = await start(handlers(false));
    expect(await terminal.run('policy', 'apply', '-f', policy, '--wait')).toBe(0);
    expect(polls).toBe(3);
    expect(terminal.stdout.text).toContain('in force on 2 hosts');
    const refusing = await start(handlers(true));
    expect(await refusing.run('policy', 'apply', '-f', policy, '--wait', '5s')).toBe(1);
    expect(refusing.stderr.text).toContain('host b refuses: rf_ports is full [RF_MAP_FULL]');
  });

  test.each([
    [['-f', '/nonexistent'], 4, 'no such file'],
    [[], 2, "required option '-f, --file <path>' not specified"],
  ])('%j: exit code %i', async (args, exit, text) => {
    const terminal = await start({});
    expect(await terminal.run('policy', 'apply', ...args)).toBe(exit);
    expect(terminal.stderr.text).toContain(text);
  });

  test('a folder without YAML, a name that comes twice, and bytes that are no text are refused before anything is sent', async () => {
    const empty = join(folder, 'empty');
    await mkdir(empty, { recursive: true });
    const binary = join(folder, 'binary.yaml');
    await writeFile(binary, Buffer.from('ok: 1\nbad: \xff\n', 'latin1'));
    const terminal = await start({});
    expect(await terminal.run('policy', 'apply', '-f', empty)).toBe(2);
    expect(await terminal.run('policy', 'apply', '-f', join(policy, 'web.yaml'), '-f', policy)).toBe(2);
    expect(await terminal.run('policy', 'apply', '-f', binary)).toBe(2);
    expect(terminal.stderr.text).toContain('wanted a .yaml or .yml file');
    expect(terminal.stderr.text).toContain('web.yaml twice');
    expect(terminal.stderr.text).toContain(`where: ${binary}:2`);
  });
});

test('policy check: warnings pass, unless --strict', async () => {
  const seen: CheckPolicyRequest[] = [];
  const terminal = await start({
    policy: {
      check: ({ request }, done) => {
        seen.push(request);
        done(
          null,
          answer({
            problems: [{ code: 'RF_X', message: 'unused', warning: true, file: 'web.yaml', line: 2, column: 5 }],
          }),
        );
      },
    },
  });
  expect(await terminal.run('policy', 'check', '-f', policy, '-o', 'compact')).toBe(0);
  expect(await terminal.run('policy', 'check', '-f', policy, '--strict')).toBe(1);
  expect(seen[0]?.prune).toBe(true);
  expect(terminal.stderr.text.split('\n')[0]).toBe(`${join(policy, 'web.yaml')}:2:5: warning: unused [RF_X]`);
  expect(terminal.stdout.text).toContain('ok: 2 rules (1 warning)');
});

const content: PolicyContent = {
  files: [{ name: 'sub/web.yaml', content: 'rules:\n  - id: web\n    note: x\n\n  - id: db\n' }],
  rules: [
    RuleInfo.fromPartial({
      number: 12,
      id: 'web',
      file: 'sub/web.yaml',
      line: 2,
      allow: true,
      service: 'tcp/80',
      providedBy: 'role=web',
      usedBy: 'anyone',
      enabled: true,
    }),
  ],
  version: PolicyVersion.fromPartial({ number: 3, author: 'me', createdMs: 1n, rules: 1 }),
  draftDiffers: true,
  problems: [],
};

test('policy show: all rules, or one by id or number with its text', async () => {
  const terminal = await start({ policy: { get: (_call, done) => done(null, content) } });
  expect(await terminal.run('policy', 'show')).toBe(0);
  expect(terminal.stderr.text).toContain('The draft differs');
  expect(await terminal.run('policy', 'show', '12', '-o', 'json', '--version', '3')).toBe(0);
  expect(terminal.stdout.text).toContain(JSON.stringify('- id: web\n  note: x'));
  expect(await terminal.run('policy', 'show', 'other')).toBe(4);
  expect(await terminal.run('policy', 'show', '--draft', '--version', '3')).toBe(2);
});

test('policy export: writes below the folder only, keeps files that differ unless forced', async () => {
  const out = join(folder, 'out');
  const terminal = await start({ policy: { get: (_call, done) => done(null, content) } });
  expect(await terminal.run('policy', 'export', out)).toBe(0);
  const file = join(out, 'sub/web.yaml');
  expect(await readFile(file, 'utf8')).toBe(content.files[0]?.content);
  expect(await terminal.run('policy', 'export', out)).toBe(0);
  expect(terminal.stdout.text).toContain('1 file in');
  await writeFile(file, 'mine');
  expect(await terminal.run('policy', 'export', out)).toBe(6);
  expect(await readFile(file, 'utf8')).toBe('mine');
  expect(await terminal.run('policy', 'export', out, '--force')).toBe(0);
  const evil = { ...content, files: [{ name: '../evil.yaml', content: 'x' }] };
  const attacked = await start({ policy: { get: (_call, done) => done(null, evil) } });
  expect(await attacked.run('policy', 'export', out)).toBe(6);
  await expect(readFile(join(folder, 'evil.yaml'))).rejects.toThrow('ENOENT');
});

test('policy diff: words for people, exit code on demand', async () => {
  const [web] = content.rules;
  const changed = RuleInfo.fromPartial({ ...web, service: 'tcp/443' });
  const terminal = await start({
    policy: {
      diff: ({ request }, done) => {
        expect(request).toEqual({ from: undefined, to: { ref: { $case: 'draft', value: true } } });
        const rules = [
          { id: 'new', before: undefined, after: web },
          { id: 'web', before: web, after: changed },
        ];
        const object = { section: 'services', key: 'https', change: 'changed' };
        done(
          null,
          DiffPolicyResponse.fromPartial({
            rules,
            files: [{ name: 'web.yaml', change: 'changed' }],
            objects: [
              { section: 'rules', key: 'web', change: 'changed' },
              { ...object, fields: [{ field: 'ports', before: '["tcp/443"]', after: '["tcp/8443"]' }] },
            ],
            reach: [
              { from: 'role=app', to: 'role=web', fromWorkloads: 2, toWorkloads: 1, gained: 'tcp/443', lost: 'tcp/80' },
            ],
          }),
        );
      },
    },
  });
  expect(await terminal.run('policy', 'diff')).toBe(0);
  expect(terminal.stdout.text).toMatchInlineSnapshot(`
    "+ new: allow tcp/80 provided by role=web used by anyone
    ~ web
        - allow tcp/80 provided by role=web used by anyone
        + allow tcp/443 provided by role=web used by anyone
    ~ services https
        - ports: ["tcp/443"]
        + ports: ["tcp/8443"]
    file web.yaml: changed

    reach between today's workloads
      role=app (2) -> role=web (1)
        gains tcp/443
        loses tcp/80
    "
  `);
  expect(await terminal.run('policy', 'diff', '--exit-code', '-o', 'json')).toBe(1);
});

const rollout = { version: 2, baseVersion: 1, startedMs: 1n, author: 'me', hosts: 2, hostsInForce: 1, workloads: 3 };

test('policy provision, promote, confirm, return: conditions are sent, and told with the next step', async () => {
  const asked: unknown[] = [];
  const answer = (more: object) =>
    ApplyPolicyResponse.fromPartial({ accepted: true, changed: true, version: 2, ...more });
  const terminal = await start({
    policy: {
      provision: ({ request }, done) => {
        asked.push(request.rollout);
        const canary = request.rollout?.canary === undefined ? '' : 'role=web';
        const confirmByMs = request.rollout?.confirmWithinMs ? BigInt(Date.now() + 90_000) : 0n;
        done(null, answer({ rollout: { ...rollout, canary, confirmByMs } }));
      },
      promote: ({ request }, done) => {
        asked.push(request);
        done(null, answer({}));
      },
      confirm: ({ request }, done) => {
        asked.push(request);
        done(null, answer({}));
      },
      return: ({ request }, done) => {
        asked.push(request);
        done(null, answer({ version: 1 }));
      },
    },
  });
  expect(await terminal.run('policy', 'provision', '--confirm-within', '90s')).toBe(0);
  expect(terminal.stdout.take()).toMatch(
    /version 2, in force on 1 of 2 hosts; version 1 comes back unless confirmed within .*\nNext: ringfence policy confirm, or/,
  );
  expect(await terminal.run('policy', 'provision', '--canary', 'role=web,!env')).toBe(0);
  expect(terminal.stdout.take()).toMatch(
    /on role=web \(3 workloads\).*version 1 elsewhere until it is promoted\nNext: ringfence policy promote/,
  );
  expect(await terminal.run('policy', 'provision', '-o', 'json')).toBe(0);
  expect(JSON.parse(terminal.stdout.take())).toMatchObject({
    rollout: { version: 2, hostsInForce: 1, confirmBy: null },
  });
  expect(await terminal.run('policy', 'promote', '2', '--confirm-within', '5m')).toBe(0);
  expect(await terminal.run('policy', 'confirm')).toBe(0);
  expect(await terminal.run('policy', 'return', '--note', 'too strict')).toBe(0);
  expect(terminal.stdout.take()).toContain('version 1 in force');
  expect(asked).toEqual([
    { confirmWithinMs: 90_000, canary: undefined },
    {
      confirmWithinMs: 0,
      canary: {
        requirements: [
          { dimension: 'role', operator: 1, values: ['web'] },
          { dimension: 'env', operator: 4, values: [] },
        ],
      },
    },
    undefined,
    { version: 2, confirmWithinMs: 300_000 },
    { version: 0 },
    { version: 0, note: 'too strict' },
  ]);
  expect(await terminal.run('policy', 'provision', '--confirm-within', 'soon')).toBe(2);
  expect(await terminal.run('policy', 'provision', '--confirm-within', '2d')).toBe(2);
  expect(await terminal.run('policy', 'provision', '--canary', 'role=')).toBe(2);
  expect(await terminal.run('policy', 'apply', '-f', policy, '--draft', '--confirm-within', '9s')).toBe(2);
  expect(terminal.stderr.text).toContain('them at `policy provision`');
});

test('policy history: what has become of each version', async () => {
  const State = PolicyVersionState;
  const versions = [
    { number: 4, state: State.POLICY_VERSION_STATE_CANARY, canary: 'role=web' },
    { number: 3, state: State.POLICY_VERSION_STATE_RETURNED, next: 2, why: 'not confirmed within 60 s' },
    { number: 2, state: State.POLICY_VERSION_STATE_IN_FORCE, confirmedMs: 5n, confirmedBy: 'ann' },
    { number: 1, state: State.POLICY_VERSION_STATE_SUPERSEDED, next: 2 },
  ];
  const terminal = await start({
    policy: { history: (_call, done) => done(null, PolicyHistoryResponse.fromPartial({ versions })) },
  });
  expect(await terminal.run('policy', 'history')).toBe(0);
  const lines = terminal.stdout.take().split('\n');
  expect(lines[1]).toContain('canary on role=web');
  expect(lines[2]).toContain('returned to 2: not confirmed within 60 s');
  expect(lines[3]).toContain('in force, confirmed by ann');
  expect(lines[4]).toContain('superseded by 2');
  expect(await terminal.run('policy', 'history', '-o', 'json')).toBe(0);
  expect(JSON.parse(terminal.stdout.take()).versions[1]).toMatchObject({ state: 'returned', next: 2, confirmBy: null });
});

test('policy lint and simulate: findings and groups in every format, exit codes on demand', async () => {
  const asked: unknown[] = [];
  const terminal = await start({
    policy: {
      get: (_call, done) => done(null, content),
      lint: ({ request }, done) => {
        asked.push(request.policy?.ref?.$case);
        const finding = {
          kind: 'shadowed',
          rule: 'web',
          other: 'no-web',
          text: 'rule web can never',
          file: 'a.yaml',
          line: 3,
        };
        done(
          null,
          LintPolicyResponse.fromPartial({ findings: [finding], rules: 2, notes: ['Nothing is known of use.'] }),
        );
      },
      simulate: ({ request }, done) => {
        asked.push([request.to?.ref?.$case, request.asEnforced, request.dimensions]);
        const group = {
          from: 'role=app',
          to: 'role=db',
          protocol: 6,
          port: 5432,
          connections: 7n,
          lastSeenMs: 5n,
          why: 'x',
        };
        const groups = [
          { ...group, outcome: 'newly blocked' },
          { ...group, outcome: 'unchanged', port: 80 },
        ];
        done(null, SimulatePolicyResponse.fromPartial({ groups, connections: 14n, newlyBlocked: 7n, unchanged: 7n }));
      },
    },
  });
  expect(await terminal.run('policy', 'lint')).toBe(0);
  expect(terminal.stdout.take()).toMatch(/shadowed +web +rule web can never +a\.yaml:3/);
  expect(terminal.stderr.text).toContain('Nothing is known of use.');
  expect(await terminal.run('policy', 'lint', 'active', '--strict', '-o', 'json')).toBe(1);
  expect(JSON.parse(terminal.stdout.take()).findings[0]).toMatchObject({ kind: 'shadowed', other: 'no-web', line: 3 });
  expect(await terminal.run('policy', 'simulate', '--exit-code')).toBe(1);
  const table = terminal.stdout.take();
  expect(table).toMatch(/newly blocked +role=app +role=db +tcp\/5432 +7/);
  expect(table).not.toContain('tcp/80');
  expect(terminal.stderr.text).toContain('7 newly blocked, 0 newly allowed, 7 unchanged of 14 connections');
  expect(await terminal.run('policy', 'simulate', '5', '--all', '--as-enforced', '--by', 'role', '-o', 'compact')).toBe(
    0,
  );
  expect(terminal.stdout.take()).toContain('tcp/80');
  expect(asked).toEqual(['draft', 'version', ['draft', false, []], ['version', true, ['role']]]);
});

describe('policy test', () => {
  const result = { name: 'a', from: 'role=web', to: 'role=db', protocol: 6, port: 5432, expected: 'allowed' };
  const passed = { ...result, found: 'allowed', passed: true };
  const failed = { ...result, name: 'b', found: 'blocked', passed: false };
  const answering = (results: object[], asked: TestPolicyRequest[] = []) =>
    start({
      policy: {
        get: (_call, done) => done(null, content),
        test: ({ request }, done) => {
          asked.push(request);
          done(null, TestPolicyResponse.fromPartial({ results }));
        },
      },
    });

  test('without a question: the stored tests of the draft or a version; exit code 1 when one fails', async () => {
    const asked: TestPolicyRequest[] = [];
    const terminal = await answering([passed, failed], asked);
    expect(await terminal.run('policy', 'test')).toBe(1);
    const table = terminal.stdout.take();
    expect(table).toMatch(/passes +a +role=web +role=db +tcp\/5432 +allowed +allowed/);
    expect(table).toMatch(/fails +b .* blocked/);
    expect(terminal.stderr.text).toContain('1 of 2 tests failed.');
    expect(await terminal.run('policy', 'test', '5', '-o', 'json')).toBe(1);
    expect(JSON.parse(terminal.stdout.take())).toMatchObject({
      tests: 2,
      failed: 1,
      results: [
        { name: 'a', service: 'tcp/5432', passed: true },
        { name: 'b', expected: 'allowed', found: 'blocked', passed: false },
      ],
    });
    expect(asked.map(({ policy, questions }) => [policy?.ref, questions.length])).toEqual([
      [{ $case: 'draft', value: true }, 0],
      [{ $case: 'version', value: 5 }, 0],
    ]);
  });

  test('all pass, or there are none: exit code 0', async () => {
    const terminal = await answering([passed]);
    expect(await terminal.run('policy', 'test')).toBe(0);
    expect(terminal.stderr.text).toContain('1 test, none fails.');
    await controller?.stop();
    const none = await answering([]);
    expect(await none.run('policy', 'test', 'active')).toBe(0);
    expect(none.stdout.text + none.stderr.text).toContain('The policy has no tests.');
  });

  test('one question: both ends, service and what is wanted; half a question is refused before anything is asked', async () => {
    const asked: TestPolicyRequest[] = [];
    const terminal = await answering([failed], asked);
    const question = ['--from', 'role=web,env=prod', '--to', '10.0.0.2', '--service', 'tcp/5432'];
    expect(await terminal.run('policy', 'test', ...question, '--expect', 'blocked')).toBe(1);
    expect(await terminal.run('policy', 'test', ...question)).toBe(1);
    expect(asked[0]?.questions).toEqual([
      {
        name: 'tcp/5432',
        from: {
          end: {
            $case: 'labels',
            value: {
              labels: [
                { dimension: 'role', value: 'web' },
                { dimension: 'env', value: 'prod' },
              ],
            },
          },
        },
        to: { end: { $case: 'address', value: '10.0.0.2' } },
        protocol: 6,
        port: 5432,
        expectAllowed: false,
      },
    ]);
    expect(asked[1]?.questions[0]?.expectAllowed).toBe(true);
    expect(await terminal.run('policy', 'test', '--from', 'role=web')).toBe(2);
    expect(terminal.stderr.text).toContain('found --from alone');
    expect(await terminal.run('policy', 'test', '--expect', 'blocked')).toBe(2);
    expect(asked).toHaveLength(2);
  });
});

test('policy import: YAML to standard output or a new file; what cannot be expressed is refused by name', async () => {
  const terminal = await start({
    policy: {
      import: ({ request }, done) => {
        expect(request.files.map(({ name }) => name)).toEqual(['sub/db.yml', 'web.yaml']);
        const refused = [{ policy: 'shop/odd', reason: 'Cannot import NetworkPolicy shop/odd: found SCTP' }];
        done(null, ImportPolicyResponse.fromPartial({ content: 'rules: []\n', imported: 2, refused }));
      },
    },
  });
  expect(await terminal.run('policy', 'import', 'networkpolicy', policy)).toBe(1);
  expect(terminal.stdout.take()).toBe('rules: []\n');
  expect(terminal.stderr.text).toContain('refused shop/odd: Cannot import NetworkPolicy shop/odd: found SCTP');
  expect(terminal.stderr.text).toContain('2 NetworkPolicies imported, 1 refused. Next: ringfence policy check');
  const out = join(folder, 'imported.yaml');
  expect(await terminal.run('policy', 'import', 'networkpolicy', policy, '--out', out)).toBe(1);
  expect(await readFile(out, 'utf8')).toBe('rules: []\n');
  expect(await terminal.run('policy', 'import', 'networkpolicy', policy, '--out', out)).toBe(6);
  expect(await terminal.run('policy', 'import', 'calico', policy)).toBe(2);
});
