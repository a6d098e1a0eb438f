// Every page in both themes before axe-core: no serious and no critical finding, and nothing that the content policy refuses.
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Browser } from './browser.js';
import { RunningController } from './controller.js';
import { type Fleet, makeFleet } from './fleet.js';
import { clickOn, openMap } from './map.js';

let controller: RunningController;
let browser: Browser;
let fleet: Fleet;
let page: Page;

beforeAll(async () => {
  [controller, browser] = await Promise.all([RunningController.start(), Browser.start()]);
  fleet = await makeFleet(controller, { size: 50, connections: 1500, overMs: 3_000_000 });
  page = await browser.page([/status of 401/]);
});
afterAll(async () => {
  await browser?.close();
  fleet?.close();
  await controller?.stop();
});

/** Serious and critical findings. Only colours differ between the themes: the rest is looked at once. */
async function findings(colorsOnly: boolean): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  const { violations, passes } = await (colorsOnly ? axe.withRules(['color-contrast']) : axe).analyze();
  // A page that was not there when axe looked would have nothing to find either.
  expect(passes.length).toBeGreaterThan(colorsOnly ? 0 : 12);
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id}: ${help}: ${target.join(' ')}`));
}

async function inspect(): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await findings(colorScheme === 'dark'), colorScheme).toEqual([]);
  }
  expect(browser.take()).toEqual([]);
}

test('the way in', async () => {
  await page.goto(controller.addresses.web);
  await page.getByText('ringfence web', { exact: true }).waitFor();
  await inspect();
  await page.goto(await controller.link());
  await page.getByTestId('map').waitFor();
});

test('the map with a node, with an edge, as a table, and its dialogs', async () => {
  await openMap(page, `${controller.addresses.web}/`);
  await inspect();
  await clickOn(page, 'app=payments');
  await page.getByTestId('details').getByText('payments-db-1').waitFor();
  await inspect();
  await openMap(
    page,
    `${controller.addresses.web}/?sel=e%3Aapp%3Danalytics+%3E+app%3Dpayments&view=draft&enforced=1&live=1`,
  );
  await page.getByTestId('details').getByText('by').first().waitFor();
  await inspect();
  await page.getByRole('button', { name: 'Write rule from this edge' }).click();
  await page.getByRole('textbox', { name: /Policy file/ }).waitFor();
  await inspect();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Provision draft' }).click();
  await page.getByText('Recorded connections, replayed').waitFor();
  await inspect();
  await page.keyboard.press('Escape');
  await openMap(page, `${controller.addresses.web}/?as=table`);
  await page.getByRole('table', { name: 'Connections' }).waitFor();
  await inspect();
  await page.goto(`${controller.addresses.web}/?q=role%3Dnobody`);
  await page.getByText('Nothing matches these filters').waitFor();
  await inspect();
});

/** Path and a text that shows that the page has what it shows. Pages with states of their own have tests beside them. */
const PAGES: readonly (readonly [string, string | RegExp])[] = [['/audit', 'web.sign-in']];

test.each(PAGES)('%s', async (path, text) => {
  await page.goto(controller.addresses.web + path);
  await page.getByText(text).first().waitFor();
  await inspect();
});
