// Chromium with a page that watches itself: whatever breaks the content policy, throws, or writes an error to the console is gathered, and
// a test that ends with any of it fails.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

/** For whatever is waited for: a machine that does other work is slow, not wrong. */
const PATIENCE_MS = 60_000;

/** Without these Chromium looks for its maker's hosts, and as root it needs no sandbox. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export class Browser {
  /** What went wrong in any page, in words. */
  readonly troubles: string[] = [];
  readonly #context: BrowserContext;
  readonly #profile: string;

  private constructor(context: BrowserContext, profile: string) {
    this.#context = context;
    this.#profile = profile;
  }

  static async start(options: { readonly trustAnyCertificate?: boolean } = {}): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'rf-chromium-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: '/usr/bin/chromium',
      headless: true,
      args: FLAGS,
      viewport: { width: 1440, height: 900 },
      ignoreHTTPSErrors: options.trustAnyCertificate ?? false,
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(PATIENCE_MS);
    const browser = new Browser(context, profile);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`content policy: ${event.violatedDirective} refused ${event.blockedURI} ${event.sample}`);
      });
    });
    return browser;
  }

  /** A new tab. `expected`: console errors that belong to the test. */
  async page(expected: readonly RegExp[] = []): Promise<Page> {
    const page = await this.#context.newPage();
    const note = (text: string) => {
      if (!expected.some((pattern) => pattern.test(text))) this.troubles.push(text);
    };
    page.on('console', (message) => {
      if (message.type() === 'error') note(message.text());
    });
    page.on('pageerror', (error) => note(`thrown: ${error.message}`));
    page.on('request', (request) => {
      if (!/^(https?:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]|data:|blob:)/.test(request.url())) {
        note(`asked for ${request.url()}`);
      }
    });
    return page;
  }

  /** The troubles so far; forgets them. */
  take(): string[] {
    return this.troubles.splice(0);
  }

  async cookies() {
    return this.#context.cookies();
  }

  async forgetCookies(): Promise<void> {
    await this.#context.clearCookies();
  }

  async close(): Promise<void> {
    await this.#context.close();
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
