// Signing in, in a real browser against a real controller: the link works once, the cookie is what lets one in, nothing else does.

import { call } from '@ringfence/controller/testing/admin-client.js';
import { AuditFilter } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Browser } from './browser.js';
import { RunningController } from './controller.js';

let controller: RunningController;
let browser: Browser;
beforeAll(async () => {
  [controller, browser] = await Promise.all([RunningController.start(), Browser.start()]);
});
afterAll(async () => {
  await browser?.close();
  await controller?.stop();
});
afterEach(async () => {
  expect(browser.take()).toEqual([]);
  await browser.forgetCookies();
});

const REFUSED = [/status of 401/];

test('a link signs in once; the address bar forgets it; the cookie cannot be read; who did it is in the audit log', async () => {
  const link = await controller.link();
  const page = await browser.page(REFUSED);
  await page.goto(link);
  await page.getByRole('link', { name: 'Flow map' }).waitFor();
  expect(page.url()).toBe(`${controller.addresses.web}/`);
  expect(await page.evaluate(() => document.cookie)).toBe('');
  const [cookie] = await browser.cookies();
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' });

  // The cookie holds over a reload; the same link does nothing for another browser.
  await page.reload();
  await page.getByText('admin', { exact: true }).waitFor();
  await browser.forgetCookies();
  const second = await browser.page(REFUSED);
  await second.goto(link);
  await second.getByText('found a link that was used or has ended').waitFor();
  expect(await browser.cookies()).toEqual([]);

  const { audit } = controller.admin;
  const filter = AuditFilter.fromPartial({ actions: ['web.'] });
  const audited = async () => {
    const { entries } = await call(audit, audit.list, { filter, limit: 10, before: 0n });
    return entries.map(({ action, actor }) => [action, actor]);
  };
  await expect.poll(audited).toEqual([
    ['web.sign-in', 'admin'],
    ['web.link', 'admin'],
  ]);
  await page.close();
  await second.close();
});

test('signing out ends the session for every tab and for whoever kept the cookie', async () => {
  const page = await browser.page(REFUSED);
  await page.goto(await controller.link());
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  const [cookie] = await browser.cookies();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You have signed out').waitFor();
  const again = await fetch(`${controller.addresses.web}/auth/session`, {
    headers: { cookie: `${cookie?.name}=${cookie?.value}` },
  });
  expect(again.status).toBe(401);
  await page.close();
});

test('what is refused while one signs out does not hide that; a new link in the same tab signs in; other fragments do nothing', async () => {
  const page = await browser.page(REFUSED);
  await page.goto(await controller.link());
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  // The session has ended at the controller; before that is told, one of the calls that the page makes by itself is refused.
  await page.route('**/auth/sign-out', async (route) => {
    const refused = page.waitForResponse((each) => each.status() === 401);
    const response = await route.fetch();
    await refused;
    await route.fulfill({ response });
  });
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You have signed out').waitFor();

  const { hash } = new URL(await controller.link());
  await page.evaluate((link) => {
    location.hash = link;
  }, hash);
  await page.getByText('admin', { exact: true }).waitFor();
  const shell = await page.locator('.shell').elementHandle();
  await page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
        addEventListener('hashchange', drawn, { once: true });
        location.hash = '#main';
      }),
  );
  expect(await shell?.evaluate((element) => element.isConnected)).toBe(true);
  await page.close();
});

test('a tab whose session ended goes on where it was once somebody signs in in another', async () => {
  const page = await browser.page(REFUSED);
  await page.goto(await controller.link());
  await page.getByRole('link', { name: 'Audit', exact: true }).click();
  await page.getByRole('heading', { name: 'Audit log' }).waitFor();
  const other = await browser.page(REFUSED);
  await other.goto(`${controller.addresses.web}/hosts`);
  await other.getByRole('button', { name: 'Sign out' }).click();
  await other.getByText('You have signed out').waitFor();
  await page.getByRole('link', { name: 'Workloads', exact: true }).click();
  await page.getByText('Your session has ended').waitFor();
  await other.evaluate(
    (link) => {
      location.hash = link;
    },
    new URL(await controller.link()).hash,
  );
  await other.getByRole('heading', { name: 'Hosts', exact: true }).waitFor();
  await page.evaluate(() => dispatchEvent(new Event('focus')));
  await page.getByRole('heading', { name: 'Workloads', exact: true }).waitFor();
  await page.close();
  await other.close();
});

test('nobody: the page says how to get in, and its calls are refused', async () => {
  const page = await browser.page(REFUSED);
  await page.goto(`${controller.addresses.web}/audit`);
  await page.getByText('ringfence web', { exact: true }).waitFor();
  await page.close();
});
