// The page's HTTP server: its files, signing in and out, and calls to the admin API in the name of who signed in.
//
//   GET  /…                        the built page; holds no data, so that it needs no session
//   POST /auth/sign-in             {link} → session cookie
//   GET  /auth/session             who is signed in
//   POST /auth/sign-out
//   POST /api/<service>/<method>   one gRPC-Web call
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { KeyedCertificate } from '../ca/certificates.js';
import { FailureLimit } from '../ca/rate-limit.js';
import type { ListenAddress } from '../config.js';
import type { Asset } from './assets.js';
import { callMethod } from './bridge.js';
import { GRPC_WEB_TYPE, oneMessage } from './frames.js';
import { cookieOf, cookieText, SECURITY_HEADERS } from './headers.js';
import { Gauge, RateLimit } from './limits.js';
import type { PageMethods } from './methods.js';
import { isLoopback, ServedAt, servedNames } from './names.js';
import { peerOfSession, type SessionRecord, type SignIn, SignInError } from './sign-in.js';

export interface WebServerOptions {
  readonly listen: ListenAddress;
  readonly advertise: string | undefined;
  /** For a listener that others can reach; the certificate names what it is served at. */
  readonly certificate: KeyedCertificate | undefined;
  readonly assets: ReadonlyMap<string, Asset> | undefined;
  readonly methods: PageMethods;
  readonly signIn: SignIn;
  readonly now: () => number;
  readonly log: Logger;
}

export interface RunningWebServer {
  readonly served: ServedAt;
  readonly port: number;
  /** For connections from now on. */
  replaceCertificate(certificate: KeyedCertificate): void;
  close(): Promise<void>;
}

const MIB = 1024 * 1024;
/** A policy of 16 MB and its names. */
const BODY_MAX = 20 * MIB;
const CONNECTIONS_MAX = 512;
/** From one address, before anything else is looked at. */
const REQUESTS_BURST = 600;
const REQUESTS_PER_SECOND = 100;
/** Calls of one session at once, streams included. */
const CALLS_MAX = 32;
const SIGN_IN_FAILURES = 10;
const SIGN_IN_REFILL_MS = 10_000;

/** Listens; rejects with what was wrong. */
export async function serveWeb(options: WebServerOptions): Promise<RunningWebServer> {
  const { listen, certificate } = options;
  const tls = certificate !== undefined;
  let secure: HttpsServer | undefined;
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_MAX,
    requestTimeout: 60_000,
    trustProxy: false,
    serverFactory: (handler) => {
      const timeouts = { headersTimeout: 10_000, keepAliveTimeout: 65_000 };
      if (certificate === undefined) return createHttpServer(timeouts, handler);
      secure = createHttpsServer(
        { ...timeouts, key: certificate.keyPem, cert: certificate.certificatePem, minVersion: 'TLSv1.2' },
        handler as (request: IncomingMessage, response: ServerResponse) => void,
      );
      return secure;
    },
  });
  const state: { served: ServedAt } = { served: new ServedAt([], 0, tls) };
  addGuards(app, options, state);
  addPage(app, options.assets);
  addSignIn(app, options, tls, () => state.served);
  addCalls(app, options, () => state.served);
  await app.listen({ host: listen.host, port: listen.port });
  app.server.maxConnections = CONNECTIONS_MAX;
  const bound = app.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  state.served = new ServedAt(servedNames(listen, options.advertise), port, tls);
  return {
    served: state.served,
    port,
    replaceCertificate: (next) => secure?.setSecureContext({ key: next.keyPem, cert: next.certificatePem }),
    close: async () => {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

/** The name of the session's cookie. Cookies do not know ports: two controllers on one machine must not take each other's. */
function cookieName(served: ServedAt): string {
  const { protocol, port } = new URL(served.origin);
  return protocol === 'https:' ? `__Host-ringfence-${port || '443'}` : `ringfence-${port || '80'}`;
}

function addGuards(app: FastifyInstance, { now, log }: WebServerOptions, state: { readonly served: ServedAt }): void {
  const requests = new RateLimit(REQUESTS_BURST, REQUESTS_PER_SECOND);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (!state.served.isHost(request.headers.host)) {
      log.warn(
        { host: request.headers.host?.slice(0, 100), address: request.ip },
        'page asked for under a foreign name',
      );
      return refuse(reply, 421, 'RF_WEB_HOST', `Cannot serve this name: wanted ${state.served.origin}`);
    }
    if (!requests.take(request.ip, now())) {
      reply.header('retry-after', '5');
      return refuse(reply, 429, 'RF_WEB_RATE', 'Cannot answer so many requests; wait some seconds');
    }
    const own = request.method === 'GET' || request.method === 'HEAD' || isOwn(request, state.served);
    if (!own) return refuse(reply, 403, 'RF_WEB_ORIGIN', 'Cannot take a call from another page');
  });
  app.setErrorHandler((error: { readonly statusCode?: number; readonly message?: string }, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error({ err: error }, 'a request of the page failed unexpectedly');
    const told = status >= 500 ? 'Cannot answer: an unexpected error; see the controller log' : String(error.message);
    return refuse(
      reply,
      status,
      status === 413 ? 'RF_WEB_SIZE' : status >= 500 ? 'RF_INTERNAL' : 'RF_WEB_REQUEST',
      told,
    );
  });
}

/** Browsers say where a call comes from; what does not say so is no browser, and has no business here. */
function isOwn({ headers }: FastifyRequest, served: ServedAt): boolean {
  const site = headers['sec-fetch-site'];
  return served.isOwnOrigin(headers.origin, headers.host) && (site === undefined || site === 'same-origin');
}

function addPage(app: FastifyInstance, assets: ReadonlyMap<string, Asset> | undefined): void {
  app.get('/*', async (request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '/';
    if (assets === undefined)
      return refuse(reply, 503, 'RF_WEB_BUILD', 'Cannot show the page: it was not built; next: make build');
    // Places inside the page have no file of their own.
    const asset = assets.get(path) ?? (/^\/[a-z-]*$/.test(path) ? assets.get('/index.html') : undefined);
    if (asset === undefined) return refuse(reply, 404, 'RF_WEB_PATH', 'Cannot find this: no such file');
    reply.header('cache-control', asset.forever ? 'public, max-age=31536000, immutable' : 'no-cache');
    reply.header('etag', asset.etag);
    if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send();
    reply.type(asset.type);
    if (asset.gzip === undefined || !/\bgzip\b/.test(request.headers['accept-encoding'] ?? ''))
      return reply.send(asset.body);
    return reply.header('content-encoding', 'gzip').header('vary', 'accept-encoding').send(asset.gzip);
  });
}

function addSignIn(app: FastifyInstance, options: WebServerOptions, tls: boolean, served: () => ServedAt): void {
  const { signIn, now, log } = options;
  const failures = new FailureLimit(SIGN_IN_FAILURES, SIGN_IN_REFILL_MS);
  app.post('/auth/sign-in', { bodyLimit: 4096 }, async (request, reply) => {
    if (failures.exceeded(request.ip, now())) {
      return refuse(reply, 429, 'RF_WEB_RATE', 'Cannot sign in: too many attempts failed; wait a minute');
    }
    const { link } = (request.body ?? {}) as { readonly link?: unknown };
    try {
      const agent = request.headers['user-agent'] ?? '';
      const { secret, session } = await signIn.redeem(typeof link === 'string' ? link : '', request.ip, agent);
      log.info({ operator: session.operator, address: request.ip }, 'signed in to the web page');
      const seconds = Math.floor((session.expiresMs - now()) / 1000);
      reply.header('set-cookie', cookieText(cookieName(served()), secret, seconds, tls));
      return answer(reply, whoIs(session));
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      failures.failed(request.ip, now());
      return refuse(reply, 401, error.code, error.message);
    }
  });
  app.get('/auth/session', async (request, reply) => {
    const session = sessionOf(request, options, served());
    return session === undefined ? refuseSession(reply) : answer(reply, whoIs(session));
  });
  app.post('/auth/sign-out', { bodyLimit: 4096 }, async (request, reply) => {
    const session = sessionOf(request, options, served());
    if (session !== undefined) await signIn.end([session.id], { name: session.operator, address: request.ip });
    reply.header('set-cookie', cookieText(cookieName(served()), '', 0, tls));
    return answer(reply, {});
  });
}

function addCalls(app: FastifyInstance, options: WebServerOptions, served: () => ServedAt): void {
  const { methods, signIn } = options;
  const calls = new Gauge(CALLS_MAX);
  const open = new Map<string, Set<ServerResponse>>();
  signIn.onEnded((id) => {
    for (const response of open.get(id) ?? []) response.destroy();
  });
  app.addContentTypeParser(GRPC_WEB_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/api/*', async (request, reply) => {
    const session = sessionOf(request, options, served());
    if (session === undefined) return refuseSession(reply);
    const method = methods.get(request.url.slice('/api'.length));
    if (method === undefined) return refuse(reply, 404, 'RF_WEB_METHOD', 'Cannot call this: no method of the page');
    const message = Buffer.isBuffer(request.body) ? oneMessage(request.body) : undefined;
    if (message === undefined)
      return refuse(reply, 400, 'RF_WEB_REQUEST', `Cannot read the call: wanted one message of ${GRPC_WEB_TYPE}`);
    const leave = calls.enter(session.id);
    if (leave === undefined)
      return refuse(reply, 429, 'RF_WEB_RATE', `Cannot call: found ${CALLS_MAX} calls under way, wanted fewer`);
    reply.hijack();
    const response = reply.raw;
    const ofSession = open.get(session.id) ?? new Set();
    open.set(session.id, ofSession.add(response));
    // A session whose time has come is found out here also while a stream is open.
    const watch = setInterval(() => signIn.holds(session.id) || response.destroy(), 15_000);
    watch.unref();
    response.on('close', () => {
      clearInterval(watch);
      leave();
      ofSession.delete(response);
      if (ofSession.size === 0) open.delete(session.id);
    });
    response.writeHead(200, { ...SECURITY_HEADERS, 'content-type': GRPC_WEB_TYPE, 'cache-control': 'no-store' });
    callMethod(method, message, peerOfSession({ ...session, address: request.ip }), response);
  });
}

function sessionOf(request: FastifyRequest, { signIn }: WebServerOptions, served: ServedAt): SessionRecord | undefined {
  const secret = cookieOf(request.headers.cookie, cookieName(served));
  return secret === undefined ? undefined : signIn.session(secret);
}

function whoIs({ operator, expiresMs }: SessionRecord): object {
  return { operator, expiresMs };
}

function answer(reply: FastifyReply, body: object): FastifyReply {
  return reply.header('cache-control', 'no-store').send(body);
}

function refuseSession(reply: FastifyReply): FastifyReply {
  return refuse(reply, 401, 'RF_WEB_SESSION', 'Cannot answer: nobody is signed in; `ringfence web` makes a link');
}

function refuse(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply.code(status).header('cache-control', 'no-store').send({ code, message });
}

/** Whether a listener can do without TLS. */
export function needsTls(listen: ListenAddress): boolean {
  return !isLoopback(listen.host);
}
