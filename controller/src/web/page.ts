// The web page as the controller starts it: sign-in, the calls it may make, and its server.
import { status } from '@grpc/grpc-js';
import type { WebServer } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import type { Logger } from 'pino';
import { ApiError, invalid, unary } from '../api/errors.js';
import { type Peer, peerOf } from '../api/peer.js';
import type { Authority } from '../ca/authority.js';
import { formatListen, type ListenAddress } from '../config.js';
import type { StateStore } from '../store/state-store.js';
import { builtPage, readAssets } from './assets.js';
import { PageMethods } from './methods.js';
import { servedNames } from './names.js';
import { needsTls, type RunningWebServer, serveWeb } from './server.js';
import { LINK_TTL_DEFAULT_MS, LINK_TTL_MAX_MS, SignIn, SignInError, shortId } from './sign-in.js';

export interface WebPageOptions {
  readonly listen: { readonly address: ListenAddress; readonly asked: boolean } | undefined;
  readonly advertise: string | undefined;
  readonly authority: Authority;
  readonly store: StateStore;
  readonly refusal: (peer: Peer) => string | undefined;
  readonly now: () => number;
  readonly log: Logger;
}

/** The page's certificate is made anew so often; it lives longer. */
const CERTIFICATE_MS = 24 * 3_600_000;

export class WebPage {
  readonly methods = new PageMethods();
  readonly #options: WebPageOptions;
  readonly #signIn: SignIn;
  #server: RunningWebServer | undefined;
  #off = 'it is switched off (--listen-web off)';
  #renewal: NodeJS.Timeout | undefined;

  constructor(options: WebPageOptions) {
    this.#options = options;
    this.#signIn = new SignIn(options);
  }

  /**
   * Serves the page; resolves with its address, or undefined when it is not served. Enforcement does not depend on the page: a default port
   * that is taken is told and no more. Rejects when the address was asked for.
   */
  async listen(): Promise<string | undefined> {
    const { listen, log } = this.#options;
    if (listen === undefined) return undefined;
    const assets = readAssets(builtPage());
    if (assets === undefined) log.warn({ folder: builtPage() }, 'the web page was not built; next: make build');
    try {
      const certificate = needsTls(listen.address) ? await this.#certificate(listen.address) : undefined;
      const { methods, advertise, now } = { ...this.#options, methods: this.methods };
      const signIn = this.#signIn;
      this.#server = await serveWeb({
        listen: listen.address,
        advertise,
        certificate,
        assets,
        methods,
        signIn,
        now,
        log,
      });
      if (certificate !== undefined) this.#renewal = this.#renew(this.#server, listen.address);
      return this.#server.served.origin;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.#off = `Cannot listen on ${formatListen(listen.address)}: ${why}`;
      if (listen.asked) throw new Error(this.#off, { cause });
      log.warn({ err: cause }, 'the web page is not served; everything else is');
      return undefined;
    }
  }

  /** The Web service. */
  service(): WebServer {
    const { log, authority } = this.#options;
    return {
      createLink: (call, callback) => {
        const peer = peerOf(call);
        unary(log, async ({ ttlSeconds }: { readonly ttlSeconds: number }) => {
          const ttlMs = ttlSeconds === 0 ? LINK_TTL_DEFAULT_MS : 1000 * ttlSeconds;
          if (ttlMs > LINK_TTL_MAX_MS)
            throw invalid(
              'RF_WEB_TTL',
              `Cannot make a link: found ${ttlSeconds} s, wanted at most ${LINK_TTL_MAX_MS / 1000}`,
            );
          if (this.#server === undefined || peer === undefined)
            throw new ApiError(
              status.FAILED_PRECONDITION,
              'RF_WEB_OFF',
              `Cannot make a link: the web page is not served, ${this.#off}`,
            );
          const link = await this.#signIn.createLink(peer, ttlMs).catch((error: unknown) => {
            throw error instanceof SignInError
              ? new ApiError(status.RESOURCE_EXHAUSTED, error.code, error.message)
              : error;
          });
          log.info({ operator: peer.name, expiresMs: link.expiresMs }, 'link for the web page made');
          const { origin } = this.#server.served;
          return {
            url: `${origin}/#sign-in=${link.text}`,
            expiresMs: BigInt(link.expiresMs),
            caFingerprint: origin.startsWith('https:') ? authority.fingerprint.toString('hex') : '',
          };
        })(call, callback);
      },
      listSessions: unary(log, () => ({
        sessions: this.#signIn.sessions().map(({ id, operator, address, userAgent, createdMs, expiresMs }) => ({
          id: shortId(id),
          operator,
          address,
          userAgent,
          createdMs: BigInt(createdMs),
          expiresMs: BigInt(expiresMs),
        })),
      })),
      endSessions: unary(log, async ({ id, all }, caller) => {
        const sessions = this.#signIn.sessions();
        const meant = all ? sessions : sessions.filter((session) => id !== '' && shortId(session.id) === id);
        if (!all && meant.length === 0)
          throw new ApiError(
            status.NOT_FOUND,
            'RF_WEB_SESSION',
            `Cannot end session ${JSON.stringify(id.slice(0, 40))}: found none of that id`,
          );
        const ids = meant.map((session) => session.id);
        return { ended: await this.#signIn.end(ids, caller) };
      }),
    };
  }

  async stop(): Promise<void> {
    clearInterval(this.#renewal);
    this.#signIn.stop();
    await this.#server?.close();
  }

  #certificate(address: ListenAddress) {
    return this.#options.authority.issueServer(servedNames(address, this.#options.advertise));
  }

  #renew(server: RunningWebServer, address: ListenAddress): NodeJS.Timeout {
    const timer = setInterval(() => {
      this.#certificate(address).then(
        (certificate) => server.replaceCertificate(certificate),
        (error: unknown) => this.#options.log.error({ err: error }, "the page's certificate could not be renewed"),
      );
    }, CERTIFICATE_MS);
    timer.unref();
    return timer;
  }
}
