// Workloads, hosts and policy in Chromium, against a controller with a fleet: lists, filters that are the address, changes that the
// API shows afterwards, refusals that are said where they belong, and axe-core over each.
import { call } from '@ringfence/controller/testing/admin-client.js';
import { ApplyPolicyRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { ListWorkloadsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { TagMode, Unpaired } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './axe.js';
import { Browser } from './browser.js';
import { RunningController } from './controller.js';
import { type Fleet, makeFleet } from './fleet.js';

let controller: RunningController;
let browser: Browser;
let fleet: Fleet;
let page: Page;
const web = (place: string) => controller.addresses.web + place;
const rowsOf = (name: string) => page.getByRole('table', { name }).locator('tbody tr');
const dialog = () => page.getByRole('dialog');
const button = (name: string) => dialog().getByRole('button', { name, exact: true });

const changeDraft = (files: { name: string; content: string }[], remove: string[] = []) =>
  call(
    controller.admin.policy,
    controller.admin.policy.apply,
    ApplyPolicyRequest.fromPartial({ files, remove, draftOnly: true }),
  );

beforeAll(async () => {
  [controller, browser] = await Promise.all([RunningController.start(), Browser.start()]);
  fleet = await makeFleet(controller, { size: 240, connections: 300 });
  page = await browser.page();
  await page.goto(await controller.link());
  await page.getByRole('link', { name: 'Workloads', exact: true }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  fleet?.close();
  await controller?.stop();
});
afterEach(() => expect(browser.take()).toEqual([]));

test('workloads: filter and page are the address, and the address gives the same list', async () => {
  const { workloads } = controller.admin;
  await page.goto(web('/workloads'));
  await expect.poll(() => rowsOf('Workloads').count()).toBe(100);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('101–200 of 240').waitFor();
  await page.getByRole('button', { name: 'Previous' }).click();
  await page.getByText('1–100 of 240').waitFor();

  await page.getByLabel('Search workloads').fill('app=payments role!=web');
  await page.waitForURL(/q=app/);
  const all = await call(workloads, workloads.list, ListWorkloadsRequest.fromPartial({ page: { limit: 1000 } }));
  const wanted = all.workloads.filter(({ labels }) => {
    const of = (dimension: string) => labels.find((label) => label.dimension === dimension)?.value;
    return of('app') === 'payments' && of('role') !== 'web';
  });
  expect(wanted.length).toBeGreaterThan(5);
  const names = () => rowsOf('Workloads').locator('td:first-child').allInnerTexts();
  const sorted = wanted.map(({ name }) => name).sort();
  await expect.poll(async () => (await names()).sort()).toEqual(sorted);
  expect(await seriousFindings(page)).toEqual([]);

  const second = await browser.page();
  await second.goto(page.url());
  await second.getByText(`${wanted.length} match`).waitFor();
  expect(await second.getByLabel('Search workloads').inputValue()).toBe('app=payments role!=web');
  await second.close();

  await page.getByLabel('Search workloads').fill('role=nobody');
  await page.getByText('Nothing matches').waitFor();
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await page.getByText('1–100 of 240').waitFor();
});

test('a workload: why it has its labels; labels are set; a change that somebody else made first is not overwritten', async () => {
  const { workloads } = controller.admin;
  const member = fleet.members.find(({ name }) => name === 'crm-db-1');
  if (member === undefined) throw new Error('found no such member');
  await page.goto(web('/workloads?q=crm-db-1'));
  await page.getByRole('button', { name: 'crm-db-1', exact: true }).focus();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('complementary', { name: 'Workload crm-db-1' });
  await panel.getByText('set by admin').first().waitFor();
  await panel.getByText('api-to-db').waitFor();
  expect(new URL(page.url()).searchParams.get('sel')).toBe(member.id);
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe('H2');
  expect(await seriousFindings(page)).toEqual([]);

  await panel.getByRole('button', { name: 'Edit labels' }).click();
  await dialog().getByLabel('Value of loc').fill('lon');
  await dialog().getByText('becomes lon').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await button('Set labels').click();
  await dialog().waitFor({ state: 'detached' });
  const read = () => call(workloads, workloads.get, { workload: member.id });
  expect((await read()).labels).toContainEqual({ dimension: 'loc', value: 'lon' });
  await panel.getByText('lon').waitFor();

  await panel.getByRole('button', { name: 'Edit labels' }).click();
  const other = { workload: member.id, remove: [], replace: false, expectedVersion: 0n, sticky: false };
  await call(workloads, workloads.setLabels, { ...other, set: [{ dimension: 'loc', value: 'par' }] });
  await dialog().getByLabel('Value of loc').fill('ber');
  await button('Set labels').click();
  await dialog().getByRole('alert').getByText('version').waitFor();
  expect((await read()).labels).toContainEqual({ dimension: 'loc', value: 'par' });
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });

  await page.goto(web('/workloads?sel=nobody'));
  await page.getByText('RF_WORKLOAD_UNKNOWN').waitFor();
});

test('a workload without an agent is added, found by its label, and deleted', async () => {
  const { workloads } = controller.admin;
  await page.goto(web('/workloads'));
  await page.getByRole('button', { name: 'Add without an agent' }).click();
  await dialog().getByLabel('Name').fill('mainframe');
  await dialog()
    .getByLabel(/Addresses/)
    .fill('10.200.0.300');
  await dialog().getByText('10.200.0.300 is no address').waitFor();
  expect(await button('Add workload').isDisabled()).toBe(true);
  await dialog()
    .getByLabel(/Addresses/)
    .fill('10.200.0.3\n2001:db8::3');
  await dialog().getByLabel('Value of role').fill('db');
  await button('Add workload').click();
  const panel = page.getByRole('complementary', { name: 'Workload mainframe' });
  await panel.getByText('2001:db8::3').waitFor();
  const made = await call(workloads, workloads.get, { workload: 'mainframe' });
  expect(made).toMatchObject({ hostId: '', labels: [{ dimension: 'role', value: 'db' }] });
  expect(made.addresses.map(({ ip }) => ip.length)).toEqual([4, 16]);

  await panel.getByRole('button', { name: 'Delete' }).click();
  await dialog().getByText('Its addresses are then nobody’s').waitFor();
  await button('Delete').click();
  await panel.waitFor({ state: 'detached' });
  await expect(call(workloads, workloads.get, { workload: 'mainframe' })).rejects.toThrow('RF_WORKLOAD_UNKNOWN');
});

test('hosts: what each can do and holds; how unpaired containers are treated is set', async () => {
  const { hosts } = controller.admin;
  await page.goto(web('/hosts'));
  await expect.poll(() => rowsOf('Hosts').count()).toBe(3);
  await page.getByLabel('State of the host').selectOption('away');
  await page.getByText('Nothing matches').waitFor();
  expect(new URL(page.url()).searchParams.get('state')).toBe('away');
  await page.goto(web('/hosts?state=current&q=host-02'));
  await expect.poll(() => rowsOf('Hosts').count()).toBe(1);
  await page.getByRole('button', { name: 'host-02' }).click();
  const panel = page.getByRole('complementary', { name: 'Host host-02' });
  await panel.getByText('9 of 10 features are there').waitFor();
  await panel.getByText('clsact is used').waitFor();
  await panel.getByText('Ring buffers, denies').waitFor();
  const asTheApiSays = async () => {
    const { revisionAcked, revisionWanted } = await call(hosts, hosts.get, { host: 'host-02' });
    return panel.getByText(`${revisionAcked} in force, ${revisionWanted} wanted`).isVisible();
  };
  await expect.poll(asTheApiSays).toBe(true);
  expect(await seriousFindings(page)).toEqual([]);

  // Tags as the controller has them: on towards hosts with an agent unless switched.
  const { tags } = controller.admin;
  await page.getByText(/In-band tags are on, towards hosts with an agent; epoch \d+/).waitFor();
  await panel.getByText('Its agent knows no tags').waitFor();
  await call(tags, tags.setTagMode, { mode: TagMode.TAG_MODE_OFF });
  await page.getByText('In-band tags are off').waitFor();

  await panel.getByRole('button', { name: 'Unpaired containers' }).click();
  await dialog().getByLabel('From now on').selectOption('isolate');
  await dialog().getByText('lose every connection but the failsafes').waitFor();
  await button('Set treatment').click();
  await dialog().waitFor({ state: 'detached' });
  const set = await call(hosts, hosts.get, { host: 'host-02' });
  expect(set).toMatchObject({ unpaired: Unpaired.UNPAIRED_ISOLATE, unpairedBy: 'operator' });
  await panel.getByText('cut off, by an operator').waitFor();

  // Removing wants the host's id typed, and a reason.
  await panel.getByRole('button', { name: 'Remove host' }).click();
  await dialog().getByLabel('Reason').fill('test');
  expect(await button('Remove host').isDisabled()).toBe(true);
  await page.keyboard.press('Escape');
});

test('an enrolment token is refused, made, shown once, revoked', async () => {
  const { hosts } = controller.admin;
  await page.goto(web('/hosts?tab=enrolment'));
  await page.getByText('No token that could be used').waitFor();
  await page.getByRole('button', { name: 'Make a token' }).click();
  await dialog()
    .getByLabel(/Id of the host/)
    .fill('Not a host!');
  await button('Make token').click();
  await dialog().getByRole('alert').getByText('Cannot create token for host').waitFor();
  await dialog()
    .getByLabel(/Id of the host/)
    .fill('rack-12');
  await button('Make token').click();
  const token = await dialog().getByLabel('Token').inputValue();
  expect(token).toMatch(/^rfe1\./);
  expect(await dialog().getByLabel('Command').inputValue()).toContain(controller.addresses.enroll.split(':').at(-1));
  expect(await seriousFindings(page)).toEqual([]);
  await dialog().getByRole('button', { name: 'Close' }).first().click();
  const { tokens } = await call(hosts, hosts.listTokens, {});
  expect(tokens).toMatchObject([{ hostId: 'rack-12', author: 'admin' }]);
  await rowsOf('Enrolment tokens').getByText('rack-12').waitFor();
  expect(await page.content()).not.toContain(token);

  await page.getByRole('button', { name: /^Revoke token/ }).click();
  await button('Revoke token').click();
  await page.getByText('No token that could be used').waitFor();
  expect((await call(hosts, hosts.listTokens, {})).tokens).toEqual([]);
});

test('policy: a rule in words and as written; a file is changed, its mistake told with its place, its effect shown', async () => {
  const { policy } = controller.admin;
  await page.goto(web('/policy'));
  await expect.poll(() => rowsOf('Rules of the draft').count()).toBe(7);
  await page.getByLabel('Search rules').fill('db tcp/5432');
  await expect.poll(() => rowsOf('Rules of the draft').count()).toBe(2);
  expect(new URL(page.url()).searchParams.get('q')).toBe('db tcp/5432');
  await page.getByRole('button', { name: 'workers', exact: true }).click();
  const panel = page.getByRole('complementary', { name: 'Rule of the draft workers' });
  expect(await panel.locator('pre').textContent()).toMatch(/^- \{ id: workers, service: \[tcp\/5432\]/);
  expect(await seriousFindings(page)).toEqual([]);

  await panel.getByRole('link', { name: 'Edit its file' }).click();
  const text = page.getByRole('textbox', { name: 'Content of fleet.yaml' });
  await text.waitFor();
  const before = await text.inputValue();
  const added = `${before}tests:
  - name: workers stay out of the cache
    from: { labels: { role: worker, app: crm, env: prod } }
    to: { labels: { role: cache, app: crm, env: prod } }
    service: tcp/6379
    expect: blocked
`;
  await text.fill(added.replace('tcp/6379\n    expect', 'tcp/99999\n    expect'));
  await page.getByRole('button', { name: 'Save to the draft' }).click();
  await page.getByRole('alert').getByText('fleet.yaml:').waitFor();
  expect((await call(policy, policy.get, { ref: undefined })).draftDiffers).toBe(false);
  await text.fill(added);
  await page.getByRole('button', { name: 'Save to the draft' }).click();
  await page.getByText('the draft differs').waitFor();

  // The test fails: a rule lets workers into the cache.
  await page.getByRole('link', { name: 'Tests', exact: true }).click();
  await page.getByText('1 of 1 fail').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole('button', { name: 'Provision the draft' }).click();
  await dialog().getByLabel('Note: why').fill('test');
  await button('Provision').click();
  await dialog().getByText('RF_POLICY_TEST').waitFor();
  await page.keyboard.press('Escape');

  await page.getByRole('link', { name: /^Files/ }).click();
  await text.fill(added.replace('{ any: [role=api, role=worker] }', 'role=api'));
  await page.getByRole('button', { name: 'Save to the draft' }).click();
  await page.getByRole('link', { name: 'Tests', exact: true }).click();
  await page.getByText('all 1 pass').waitFor();
  await page.getByRole('link', { name: /^Changes of the draft/ }).click();
  const words = page.getByRole('region', { name: 'In words' });
  await words.getByText('used by role=api with the same app, env').waitFor();
  await page
    .getByRole('table', { name: /gained and lost/ })
    .getByText('− tcp/6379')
    .first()
    .waitFor();
  await page.getByText('newly blocked').first().waitFor();
  expect(await seriousFindings(page)).toEqual([]);
});

test('policy: what is typed and not saved stays while one is elsewhere; a new file takes the place of none', async () => {
  const { policy } = controller.admin;
  await page.goto(web('/policy?tab=files'));
  const text = page.getByRole('textbox', { name: 'Content of fleet.yaml' });
  const saved = await text.inputValue();
  await text.fill(`${saved}# mine`);
  await page.getByRole('link', { name: 'Hosts', exact: true }).click();
  await page.getByRole('link', { name: 'Policy', exact: true }).click();
  await page.getByRole('link', { name: /^Files/ }).click();
  expect(await text.inputValue()).toBe(`${saved}# mine`);
  await page.getByRole('navigation', { name: 'Files of the draft' }).getByText('not saved').waitFor();
  await page.getByRole('button', { name: 'Undo changes' }).click();

  const add = async (name: string) => {
    await page.getByRole('button', { name: 'Add a file' }).click();
    await dialog().getByLabel(/^Name/).fill(name);
  };
  await add('fleet.yaml');
  await dialog().getByText('has a file of this name already').waitFor();
  expect(await button('Add file').isDisabled()).toBe(true);
  await page.keyboard.press('Escape');
  for (const name of ['one.yaml', 'two.yaml']) {
    await add(name);
    await button('Add file').click();
    await page.getByRole('textbox', { name: `Content of ${name}` }).waitFor();
  }
  const { files } = await call(policy, policy.get, { ref: { ref: { $case: 'draft', value: true } } });
  expect(files.map(({ name }) => name)).toEqual(['fleet.yaml', 'one.yaml', 'two.yaml']);
  await changeDraft([], ['one.yaml', 'two.yaml']);
});

test('policy: by keys alone, the focus stays; a draft that somebody changed meanwhile is not provisioned unseen', async () => {
  const { policy } = controller.admin;
  const press = async (name: string, within = page.locator('body')) => {
    await within.getByRole('button', { name, exact: true }).focus();
    await page.keyboard.press('Enter');
  };
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
  await page.goto(web('/policy?tab=files'));
  const text = page.getByRole('textbox', { name: 'Content of fleet.yaml' });
  await text.fill(`${await text.inputValue()}# noted\n`);
  await press('Save to the draft');
  await page.getByText('not saved').first().waitFor({ state: 'detached' });
  expect(await focused()).toBe('Save to the draft');

  await press('Provision the draft');
  await dialog().getByLabel('Note: why').fill('test');
  await dialog().getByText('Recorded connections, replayed').waitFor();
  const content = 'rules:\n  - { id: unseen, service: [tcp/9], providedBy: role=db, usedBy: role=web }\n';
  await changeDraft([{ name: 'unseen.yaml', content }]);
  await press('Provision', dialog());
  await dialog().getByText('somebody changed it since it was shown').waitFor();
  await dialog().getByText('added rules unseen').waitFor();
  expect((await call(policy, policy.get, { ref: undefined })).version?.number).toBe(1);
  await page.keyboard.press('Escape');
  await expect.poll(focused).toBe('Provision the draft');
  await changeDraft([], ['unseen.yaml']);
});

test('policy: provisioned on condition, confirmed, rolled back; every version stays', async () => {
  const { policy } = controller.admin;
  const now = () => call(policy, policy.get, { ref: undefined });
  await page.goto(web('/policy?tab=versions'));
  await page.getByRole('button', { name: 'Provision the draft' }).click();
  await dialog().getByText('Recorded connections, replayed').waitFor();
  await dialog().getByLabel('Note: why').fill('workers need no cache');
  await dialog().getByLabel('How long').selectOption('1800000');
  await button('Provision').click();
  await dialog().waitFor({ state: 'detached' });
  const banner = page.getByRole('region', { name: 'Open rollout' });
  await banner.getByText(/goes back to version 1 in \d+ s/).waitFor();
  await rowsOf('Versions').first().getByText('in force, awaiting confirmation').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await banner.getByRole('button', { name: 'Confirm version 2' }).click();
  await banner.waitFor({ state: 'detached' });
  expect((await now()).version).toMatchObject({ number: 2, note: 'workers need no cache', confirmedBy: 'admin' });

  await rowsOf('Versions').getByRole('button', { name: '1', exact: true }).click();
  const panel = page.getByRole('complementary', { name: 'Version 1' });
  await panel.getByText('superseded by 2').waitFor();
  await panel.getByText('Going back to it would change').waitFor();
  await panel.getByRole('button', { name: 'Roll back to it' }).click();
  await dialog().getByLabel('Note: why').fill('they do need it');
  await dialog().getByLabel('How long').selectOption('0');
  await button('Roll back').click();
  await dialog().waitFor({ state: 'detached' });
  await page.getByText('Version 3 is in force', { exact: true }).waitFor();
  expect((await now()).version).toMatchObject({ number: 3, rollbackOf: 1, note: 'they do need it' });
  await rowsOf('Versions').first().getByText('back to 1: they do need it').waitFor();

  await page.goto(web('/policy?tab=findings'));
  await page.getByText('rules of the draft looked at').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
});

test('policy: a version is tried on some workloads first, then put in force everywhere', async () => {
  const content = 'rules:\n  - { id: backups, service: [tcp/873], providedBy: role=db, usedBy: app=mail }\n';
  await changeDraft([{ name: 'backups.yaml', content }]);
  await page.goto(web('/policy?tab=versions'));
  await page.getByRole('button', { name: 'Provision the draft' }).click();
  await dialog().getByText('added rules backups').waitFor();
  await dialog().getByLabel('Note: why').fill('backups, on crm first');
  await dialog().getByLabel('How long').selectOption('0');
  const canary = dialog().getByLabel('Canary: only workloads with these labels');
  await canary.fill('app=crm first');
  await dialog().getByText('first is no label').waitFor();
  await expect.poll(() => button('Provision').isDisabled()).toBe(true);
  await canary.fill('app=crm env=prod');
  const chosen = fleet.members.filter(({ labels }) => labels.app === 'crm' && labels.env === 'prod').length;
  await dialog().getByText(`${chosen} workloads today: `).waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await button('Provision').click();
  await dialog().waitFor({ state: 'detached' });
  const banner = page.getByRole('region', { name: 'Open rollout' });
  await banner.getByText(/is in force for app=crm and env=prod on \d of 3 hosts/).waitFor();
  await rowsOf('Versions').first().getByText('canary on app=crm and env=prod').waitFor();
  const { status } = controller.admin;
  const rollout = async () => (await call(status, status.get, {})).rollout;
  expect(await rollout()).toMatchObject({ workloads: chosen, confirmByMs: 0n });
  expect(await seriousFindings(page)).toEqual([]);
  await banner.getByRole('button', { name: /^Put version \d+ in force everywhere$/ }).click();
  await banner.waitFor({ state: 'detached' });
  expect(await rollout()).toBeUndefined();
  await rowsOf('Versions').first().getByText('in force', { exact: true }).waitFor();
});
