// The pairing page in Chromium: profiles, keys, quarantine and denials, with an agent that reports what presents them.
import { call } from '@ringfence/controller/testing/admin-client.js';
import { enrollAgent, SimulatedAgent } from '@ringfence/controller/testing/simulated-agent.js';
import { parseAddress } from '@ringfence/proto/address.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './axe.js';
import { Browser } from './browser.js';
import { RunningController } from './controller.js';

let controller: RunningController;
let browser: Browser;
let agent: SimulatedAgent;
let page: Page;
let keyText = '';
const web = (place: string) => controller.addresses.web + place;
const rowsOf = (name: string) => page.getByRole('table', { name }).locator('tbody tr');
const dialog = () => page.getByRole('dialog');
const button = (name: string | RegExp) =>
  dialog().getByRole('button', typeof name === 'string' ? { name, exact: true } : { name });

beforeAll(async () => {
  [controller, browser] = await Promise.all([RunningController.start(), Browser.start()]);
  const { hosts } = controller.admin;
  const { token } = await call(hosts, hosts.createToken, { ttlSeconds: 3600, hostId: 'h1', note: '' });
  agent = new SimulatedAgent(await enrollAgent(controller.addresses.enroll, token, controller.admin.caPem));
  page = await browser.page();
  await page.goto(await controller.link());
  await page.getByRole('link', { name: 'Pairing', exact: true }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  agent?.close();
  await controller?.stop();
});
afterEach(() => expect(browser.take()).toEqual([]));

function container(name: string, address: string, pairingKey: string) {
  const ip = Buffer.from(parseAddress(address) ?? []);
  const kind = WorkloadKind.WORKLOAD_KIND_CONTAINER;
  return { localId: `container:${name}`, name, kind, source: 'docker', addresses: [{ ip, space: '' }], pairingKey };
}

test('a profile is refused, made, changed, disabled and enabled', async () => {
  const { pairing } = controller.admin;
  await page.goto(web('/pairing'));
  await page.getByText('No profiles yet').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole('button', { name: 'New profile' }).click();
  await dialog().getByRole('textbox', { name: /^Name/ }).fill('no blanks, please');
  await dialog().getByLabel('Value 1', { exact: true }).fill('web');
  await button('Make profile').click();
  await dialog().getByRole('alert').getByText('Cannot').waitFor();
  await dialog().getByRole('textbox', { name: /^Name/ }).fill('web');
  await button('Add a dimension').click();
  await dialog().getByLabel('Dimension 2', { exact: true }).fill('env');
  await dialog().getByLabel('Value 2', { exact: true }).fill('prod');
  await dialog().getByLabel('What may be asked for 2', { exact: true }).selectOption('some');
  await dialog().getByLabel('Values that may be asked for 2', { exact: true }).fill('test, dev');
  await dialog().getByLabel('Uses of one key').fill('5');
  expect(await seriousFindings(page)).toEqual([]);
  await button('Make profile').click();
  const panel = page.getByRole('complementary', { name: 'Profile web' });
  await panel.getByText('may ask for test, dev').waitFor();
  const read = () => call(pairing, pairing.getProfile, { profile: 'web' });
  expect(await read()).toMatchObject({
    dimensions: [
      { dimension: 'role', value: 'web', locked: true, permitted: [] },
      { dimension: 'env', value: 'prod', locked: false, permitted: ['prod', 'test', 'dev'] },
    ],
    usesMax: 5,
    disabled: false,
  });
  expect(await seriousFindings(page)).toEqual([]);

  await panel.getByRole('button', { name: 'Edit' }).click();
  await dialog().getByLabel('Owner', { exact: true }).fill('team-shop');
  await button('Save').click();
  await panel.getByText('team-shop').waitFor();
  await panel.getByRole('button', { name: 'Disable' }).click();
  await dialog().getByText('can pair nothing as long as it is disabled').waitFor();
  await button('Disable').click();
  await panel.getByText('disabled', { exact: true }).waitFor();
  expect(await read()).toMatchObject({ disabled: true, owner: 'team-shop', usesMax: 5 });
  await panel.getByRole('button', { name: 'Enable' }).click();
  await button('Enable').click();
  await panel.getByText('enabled', { exact: true }).waitFor();

  await page.getByLabel('Search profiles').fill('db');
  await page.getByText('Nothing matches').waitFor();
  await page.goto(web('/pairing?q=team-shop'));
  await expect.poll(() => rowsOf('Profiles').count()).toBe(1);
});

test('a key is shown once; what presents it is paired, what presents nonsense stands among the denied', async () => {
  const { pairing } = controller.admin;
  await page.goto(web('/pairing?tab=keys&profile=web'));
  await page.getByRole('button', { name: 'Make a key' }).click();
  await dialog().getByLabel('Note').fill('image build');
  await button('Make key').click();
  keyText = await dialog().getByLabel('Pairing key').inputValue();
  expect(keyText).toMatch(/^rfk1_/);
  expect(await seriousFindings(page)).toEqual([]);
  await button('Close').first().click();
  await rowsOf('Keys').getByText('image build').waitFor();
  expect(await page.content()).not.toContain(keyText);

  agent.sendInventory([container('good', '10.9.0.1', keyText), container('bad', '10.9.0.2', 'rfk1_nonsense')]);
  const { keys } = await call(pairing, pairing.listKeys, { profile: 'web', includeDead: false });
  const id = keys[0]?.id ?? '';
  await rowsOf('Keys').getByText('1 of 5').waitFor();
  await rowsOf('Keys').getByRole('button', { name: id }).click();
  const panel = page.getByRole('complementary', { name: `Key ${id}` });
  await panel.getByRole('link', { name: 'good' }).waitFor();
  await panel.getByText('paired', { exact: false }).first().waitFor();
  expect(await seriousFindings(page)).toEqual([]);

  await page.getByRole('link', { name: /^Denied/ }).click();
  await rowsOf('Denied workloads').getByText('malformed').waitFor();
  await page.getByLabel('Reason of the denial').selectOption('malformed');
  await page.waitForURL((url) => url.searchParams.get('why') === 'malformed');
  await expect.poll(() => rowsOf('Denied workloads').count()).toBe(1);
  expect(await seriousFindings(page)).toEqual([]);
});

test('a key is rotated; the old one is revoked with what it has paired in sight, and cut off; the quarantine is released', async () => {
  const { pairing, workloads } = controller.admin;
  const oldId = keyText.split('_')[1] ?? '';
  const isolated = async () => (await call(workloads, workloads.get, { workload: 'h1/container:good' })).isolatedWhy;
  await page.goto(web(`/pairing?tab=keys&sel=${oldId}`));
  await page.getByRole('button', { name: 'Rotate' }).click();
  await button('Make the new key').click();
  const fresh = await dialog().getByLabel('Pairing key').inputValue();
  expect(fresh).toMatch(/^rfk1_/);
  expect(fresh).not.toBe(keyText);
  await button('Revoke the old key …').click();
  await dialog().getByText('It has paired 1 workload').waitFor();
  await dialog().getByRole('link', { name: 'good' }).waitFor();
  await dialog()
    .getByLabel(/Quarantine it/)
    .check();
  await dialog().getByLabel('Reason').fill('leaked');
  expect(await seriousFindings(page)).toEqual([]);
  expect(await isolated()).toBe('');
  await button('Revoke key, quarantine 1 workload').click();
  await dialog().waitFor({ state: 'detached' });
  expect(await isolated()).toContain('leaked');
  const { keys } = await call(pairing, pairing.listKeys, { profile: 'web', includeDead: true });
  expect(keys.find(({ id }) => id === oldId)?.state).toBe('revoked');

  await page.getByRole('link', { name: /^Quarantine/ }).click();
  await rowsOf('Quarantines').getByText('leaked').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole('button', { name: /^Release/ }).click();
  await button('Release').click();
  await page.getByText('Nothing is quarantined').waitFor();
  expect(await isolated()).toBe('');
});

test('workloads are cut off by label after a preview; what does not exist is refused before', async () => {
  const { pairing, workloads } = controller.admin;
  await page.goto(web('/pairing?tab=quarantine'));
  await page.getByRole('button', { name: 'Quarantine …' }).click();
  await dialog().getByRole('textbox', { name: /^What/ }).fill('nobody-of-this-name');
  await dialog().getByText('RF_WORKLOAD_UNKNOWN').waitFor();
  await dialog().getByLabel('Reason').fill('odd');
  await expect.poll(() => button('Cut off').isDisabled()).toBe(true);
  // Labels are read as everywhere else.
  await dialog().getByRole('textbox', { name: /^What/ }).fill('role=* env!=staging');
  await dialog().getByRole('link', { name: 'good' }).waitFor();
  await dialog().getByRole('textbox', { name: /^What/ }).fill('role=web env=prod');
  await dialog().getByRole('link', { name: 'good' }).waitFor();
  expect((await call(pairing, pairing.listQuarantines, {})).quarantines).toEqual([]);
  await button('Cut off 1 workload').click();
  await dialog().waitFor({ state: 'detached' });
  await rowsOf('Quarantines').getByText('odd').waitFor();
  const good = await call(workloads, workloads.get, { workload: 'h1/container:good' });
  expect(good.isolatedWhy).toContain('odd');
});
