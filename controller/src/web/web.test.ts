// The page's server as others meet it: over HTTP, with and without a session, under its own name and under foreign ones.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { AuditFilter, ListAuditRequest } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import {
  GetWorkloadRequest,
  SetLabelsRequest,
  WorkloadSpec,
} from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';
import { GRPC_WEB_TYPE, messageFrame, oneMessage, statusFrame } from './frames.js';
import { Gauge, RateLimit } from './limits.js';
import { ServedAt } from './names.js';
import { WebPage } from './page.js';

let rf: Harness;
afterEach(() => rf?.dispose());

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

const origin = () => rf.controller.addresses.web ?? '';

/** A request with exactly these headers. */
async function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Buffer,
): Promise<Answer> {
  const url = new URL(origin());
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const request = send(url, { method, path, headers, ca: rf.admin.caPem, agent: false });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  request.end(body);
  const [response] = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

const own = () => ({ origin: origin(), 'sec-fetch-site': 'same-origin' });

async function link(ttlSeconds = 0): Promise<string> {
  const { web } = rf.admin;
  const { url } = await call(web, web.createLink, { ttlSeconds });
  return url.slice(url.indexOf('#sign-in=') + '#sign-in='.length);
}

function signIn(text: string, headers: Record<string, string> = own()): Promise<Answer> {
  return ask(
    'POST',
    '/auth/sign-in',
    { ...headers, 'content-type': 'application/json' },
    JSON.stringify({ link: text }),
  );
}

/** Headers of a signed-in browser. */
async function session(): Promise<Record<string, string>> {
  const answer = await signIn(await link());
  expect(answer.status).toBe(200);
  return { ...own(), cookie: cookieOf(answer) };
}

function cookieOf(answer: Answer): string {
  return (answer.headers['set-cookie']?.[0] ?? '').split(';', 1)[0] ?? '';
}

function grpc(path: string, message: Uint8Array, headers: Record<string, string>): Promise<Answer> {
  return ask('POST', `/api/ringfence.v1.${path}`, { ...headers, 'content-type': GRPC_WEB_TYPE }, messageFrame(message));
}

const NOTHING = new Uint8Array(0);

test('without a session nothing answers but the page and the way in; with one, what is on the list and nothing else', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  expect((await grpc('Status/Get', NOTHING, own())).status).toBe(401);
  expect((await ask('GET', '/auth/session')).status).toBe(401);
  for (const cookie of ['x=y', `ringfence-${new URL(origin()).port}=${'A'.repeat(43)}`]) {
    expect((await grpc('Status/Get', NOTHING, { ...own(), cookie })).status).toBe(401);
  }
  const signed = await session();
  const answer = await grpc('Status/Get', NOTHING, signed);
  expect(answer.status).toBe(200);
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(answer.body.includes('grpc-status: 0')).toBe(true);
  // Writes files on the controller's machine; makes links; does not exist; is no path.
  for (const path of ['Flows/Backup', 'Web/CreateLink', 'Workloads/Push', 'Flows/Nothing', 'Flows']) {
    expect([path, (await grpc(path, NOTHING, signed)).status]).toEqual([path, 404]);
  }
  expect((await ask('GET', '/../../etc/passwd')).status).toBe(404);
  expect((await ask('GET', '/assets/%2e%2e/index.html')).status).toBe(404);
});

test('a link works once, whoever is fastest, only in its time, and whole', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  const text = await link();
  const answers = await Promise.all(Array.from({ length: 5 }, () => signIn(text)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401, 401]);
  const cut = await link();
  expect((await signIn(`${cut.slice(0, -1)}${cut.endsWith('A') ? 'B' : 'A'}`)).status).toBe(401);
  expect((await signIn(cut)).status).toBe(200);
  const late = await link(2);
  rf.clockAheadMs = 3000;
  expect((await signIn(late)).status).toBe(401);
  const { web } = rf.admin;
  await expect(call(web, web.createLink, { ttlSeconds: 3601 })).rejects.toThrow('RF_WEB_TTL');
});

test('secrets are neither in the store nor in the log', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  const [used, unused] = [await link(), await link()];
  const cookie = cookieOf(await signIn(used)).split('=')[1] ?? '';
  await rf.stop();
  const stored = ['controller.db', 'controller.db-wal'].map((name) => {
    try {
      return readFileSync(join(rf.stateDir, name)).toString('latin1');
    } catch {
      return '';
    }
  });
  expect(cookie).toMatch(/^[\w-]{43}$/);
  for (const secret of [cookie, unused.split('.')[1] ?? '', used.split('.')[1] ?? '']) {
    expect(stored.join('').includes(secret)).toBe(false);
    expect(rf.logged.join('').includes(secret)).toBe(false);
  }
});

test('a session holds over a restart, ends when it was idle, by sign-out, and by an operator; its streams end with it', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  let signed = await session();
  const port = new URL(origin()).port;
  await rf.restart();
  // Another port, so another cookie name: what is meant is the record.
  signed = { ...own(), cookie: signed.cookie?.replace(port, new URL(origin()).port) ?? '' };
  expect((await ask('GET', '/auth/session', signed)).status).toBe(200);
  rf.clockAheadMs = 61 * 60_000;
  expect((await ask('GET', '/auth/session', signed)).status).toBe(401);

  const second = await session();
  const flows = grpc('Flows/Follow', FollowFlowsRequest.encode(FollowFlowsRequest.create()).finish(), second);
  const { web, status } = rf.admin;
  await expect.poll(async () => (await call(status, status.get, {})).flows?.followers).toBe(1);
  const { sessions } = await call(web, web.listSessions, {});
  expect(sessions).toMatchObject([{ operator: 'admin', address: '127.0.0.1' }]);
  await expect(call(web, web.endSessions, { id: 'nobody', all: false })).rejects.toThrow('RF_WEB_SESSION');
  const [all, cut] = await Promise.allSettled([
    call(web, web.endSessions, { id: sessions[0]?.id ?? '', all: false }),
    flows,
  ]);
  expect(all).toMatchObject({ value: { ended: 1 } });
  expect(cut.status).toBe('rejected');
  await expect.poll(async () => (await call(status, status.get, {})).flows?.followers).toBe(0);
  expect((await ask('GET', '/auth/session', second)).status).toBe(401);

  const third = await session();
  const out = await ask('POST', '/auth/sign-out', third);
  expect(out.headers['set-cookie']?.[0]).toContain('Max-Age=0');
  expect((await ask('GET', '/auth/session', third)).status).toBe(401);
});

test('a foreign name, a foreign page and what is no browser are refused, also with the cookie', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  const signed = await session();
  const { port } = new URL(origin());
  const host = (name: string) => ask('GET', '/auth/session', { ...signed, host: name });
  expect((await host('evil.example')).status).toBe(421);
  expect((await host(`evil.example:${port}`)).status).toBe(421);
  expect((await host('127.0.0.1:1')).status).toBe(421);
  expect((await host(`localhost:${port}`)).status).toBe(200);
  const post = (headers: Record<string, string>) =>
    grpc('Status/Get', NOTHING, { cookie: signed.cookie ?? '', ...headers });
  expect((await post({})).status).toBe(403);
  expect((await post({ origin: 'https://evil.example' })).status).toBe(403);
  expect((await post({ origin: 'null' })).status).toBe(403);
  expect((await post({ origin: origin(), 'sec-fetch-site': 'same-site' })).status).toBe(403);
  expect((await post({ origin: origin(), 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  expect((await post({ origin: origin() })).status).toBe(200);
});

test('what a signed-in operator does is in the audit log under his name; a refusal keeps its code', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  const signed = await session();
  const { workloads, audit } = rf.admin;
  await call(workloads, workloads.create, {
    workload: WorkloadSpec.fromPartial({ id: 'w/1', name: 'one' }),
    source: 's',
  });
  const request = SetLabelsRequest.fromPartial({ workload: 'w/1', set: [{ dimension: 'role', value: 'web' }] });
  const done = await grpc('Workloads/SetLabels', SetLabelsRequest.encode(request).finish(), signed);
  expect(done.body.includes('grpc-status: 0')).toBe(true);
  const filter = AuditFilter.fromPartial({ actions: ['label.change'] });
  const { entries } = await call(audit, audit.list, ListAuditRequest.fromPartial({ filter }));
  expect(entries[0]).toMatchObject({ actor: 'admin', source: '127.0.0.1', object: 'w/1' });
  const missing = GetWorkloadRequest.encode({ workload: 'nobody' }).finish();
  const refused = await grpc('Workloads/Get', missing, signed);
  expect(refused.status).toBe(200);
  expect(refused.body.toString()).toMatch(
    /grpc-status: 5\r\ngrpc-message: RF_WORKLOAD_UNKNOWN.*\r\nrf-code: RF_WORKLOAD_UNKNOWN/,
  );
  const garbage = await grpc('Workloads/Get', Buffer.from([0xff, 0xff]), signed);
  expect(garbage.body.toString()).toContain('RF_WEB_REQUEST');
  const framed = await ask(
    'POST',
    '/api/ringfence.v1.Status/Get',
    { ...signed, 'content-type': GRPC_WEB_TYPE },
    Buffer.from([0, 0, 0]),
  );
  expect(framed.status).toBe(400);
  const json = await ask(
    'POST',
    '/api/ringfence.v1.Status/Get',
    { ...signed, 'content-type': 'application/json' },
    '{}',
  );
  expect(json.status).toBe(400);
});

test('too much at once is refused: failed links, large bodies, many calls', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  const signed = await session();
  const large = await ask(
    'POST',
    '/auth/sign-in',
    { ...own(), 'content-type': 'application/json' },
    `{"link":"${'x'.repeat(5000)}"}`,
  );
  expect(large.status).toBe(413);
  const answers = [];
  for (let i = 0; i < 12; i += 1) answers.push((await signIn('AAAAAAAA.B')).status);
  expect(answers.slice(0, 10).every((status) => status === 401)).toBe(true);
  expect(answers.at(-1)).toBe(429);
  expect((await ask('GET', '/auth/session', signed)).status).toBe(200);
});

test('every answer carries the policy that lets a browser load nothing foreign and run nothing inline', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  for (const path of ['/', '/policy', '/auth/session', '/no.such', '/api/x']) {
    const { headers } = await ask('GET', path);
    const policy = headers['content-security-policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|http:|https:|data:/);
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  }
});

test("beyond loopback: TLS by the controller's own authority, and a cookie that is never sent in the clear", async () => {
  rf = await Harness.start(['--listen-web', '0.0.0.0:0']);
  const { port } = new URL(origin());
  expect(origin()).toMatch(/^https:/);
  const local = `https://127.0.0.1:${port}`;
  const { web } = rf.admin;
  const made = await call(web, web.createLink, { ttlSeconds: 0 });
  expect(made.caFingerprint).toMatch(/^[0-9a-f]{64}$/);
  const text = made.url.split('#sign-in=')[1] ?? '';
  const body = JSON.stringify({ link: text });
  const headers = { origin: local, host: `127.0.0.1:${port}`, 'content-type': 'application/json' };
  const answer = await new Promise<Answer>((resolve, reject) => {
    // Verified: rejects when the certificate is of another authority or does not name the address.
    const request = httpsRequest(
      `${local}/auth/sign-in`,
      { method: 'POST', headers, ca: rf.admin.caPem },
      (response) => {
        response.resume();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.alloc(0) });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
  expect(answer.status).toBe(200);
  expect(answer.headers['set-cookie']?.[0]).toMatch(
    /^__Host-ringfence-\d+=[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict; Secure$/,
  );
});

test('a port that is taken: refused when it was asked for, told and left out when it is the default', async () => {
  rf = await Harness.start(['--listen-web', '127.0.0.1:0']);
  const port = Number(new URL(origin()).port);
  await expect(Harness.start(['--listen-web', `127.0.0.1:${port}`])).rejects.toThrow(/Cannot listen on 127\.0\.0\.1/);
  const logged: string[] = [];
  const page = new WebPage({
    listen: { address: { host: '127.0.0.1', port }, asked: false },
    log: pino({}, { write: (line: string) => logged.push(line) }),
    now: Date.now,
  } as ConstructorParameters<typeof WebPage>[0]);
  expect(await page.listen()).toBeUndefined();
  expect(logged.join('')).toContain('the web page is not served');
  await page.stop();
});

test('RateLimit: a burst, then as fast as it refills', () => {
  const limit = new RateLimit(2, 1);
  expect([limit.take('a', 0), limit.take('a', 0), limit.take('a', 0), limit.take('b', 0)]).toEqual([
    true,
    true,
    false,
    true,
  ]);
  expect([limit.take('a', 999), limit.take('a', 1000), limit.take('a', 1000)]).toEqual([false, true, false]);
});

test('Gauge: so many at once; leaving twice frees one place', () => {
  const gauge = new Gauge(1);
  const leave = gauge.enter('a');
  expect(gauge.enter('a')).toBeUndefined();
  leave?.();
  leave?.();
  expect(gauge.enter('a')).toBeDefined();
  expect(gauge.enter('a')).toBeUndefined();
});

test('ServedAt: hosts as browsers write them, with and without the standard port', () => {
  const served = new ServedAt(['::1', 'Ringfence.Example'], 443, true);
  expect(served.isHost('[::1]')).toBe(true);
  expect(served.isHost('ringfence.example:443')).toBe(true);
  expect(served.isHost('ringfence.example.')).toBe(false);
  expect(served.isHost(undefined)).toBe(false);
  expect(served.isOwnOrigin('https://ringfence.example', 'ringfence.example')).toBe(true);
  expect(served.isOwnOrigin('http://ringfence.example', 'ringfence.example')).toBe(false);
});

test('frames: one whole message or none; the status carries code, text and stable code', () => {
  expect(oneMessage(messageFrame(Buffer.from('abc')))?.toString()).toBe('abc');
  expect(oneMessage(Buffer.concat([messageFrame(NOTHING), messageFrame(NOTHING)]))).toBeUndefined();
  expect(oneMessage(Buffer.from([1, 0, 0, 0, 0]))).toBeUndefined();
  const metadata = new Metadata();
  metadata.set('rf-code', 'RF_X');
  const text = statusFrame({ code: 5, details: 'a\r\nb: c', metadata }).subarray(5).toString();
  expect(text).toBe('grpc-status: 5\r\ngrpc-message: a%0D%0Ab%3A%20c\r\nrf-code: RF_X\r\n');
});
