// The flow map in Chromium, against a controller that was filled through agents' uploads: what an operator does with it, end to end.
import { call, collect } from '@ringfence/controller/testing/admin-client.js';
import { enrollAgent } from '@ringfence/controller/testing/simulated-agent.js';
import { AuditFilter } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './axe.js';
import { Browser } from './browser.js';
import { RunningController } from './controller.js';
import { type Fleet, makeFleet } from './fleet.js';
import { clickOn, openMap, placeOf } from './map.js';

let controller: RunningController;
let browser: Browser;
let fleet: Fleet;
let page: Page;
const web = (place: string) => controller.addresses.web + place;
const details = () => page.getByTestId('details');
const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
const member = (name: string) => {
  const found = fleet.members.find((each) => each.name === name);
  if (found === undefined) throw new Error(`found no member ${name}`);
  return found;
};

beforeAll(async () => {
  [controller, browser] = await Promise.all([RunningController.start(), Browser.start()]);
  fleet = await makeFleet(controller, { size: 50, connections: 3000, overMs: 3_000_000 });
  page = await browser.page();
  await page.goto(await controller.link());
  await page.getByTestId('map').waitFor();
});
afterAll(async () => {
  await browser?.close();
  fleet?.close();
  await controller?.stop();
});
afterEach(() => expect(browser.take()).toEqual([]));

test('a node shows its labels, its workloads, and the services that it provides and uses; opening it shows its workloads', async () => {
  await openMap(page, web('/'));
  await clickOn(page, 'app=payments');
  await details().getByRole('heading', { name: 'payments' }).waitFor();
  await details().getByText('payments-db-1').waitFor();
  await details().getByText('Services it provides').waitFor();
  // Analytics' workers reach into its database.
  const row = details().getByRole('listitem').filter({ hasText: 'analytics' });
  expect(await row.first().textContent()).toMatch(/blocked.*analytics.*tcp\/5432/);
  expect(new URL(page.url()).searchParams.get('sel')).toBe('n:app=payments');

  await details().getByRole('button', { name: 'Open: workloads inside' }).click();
  await page.locator('.trail').getByText('› payments').waitFor();
  await clickOn(page, 'workload=host-01/container:payments-db-1');
  await details().getByText('host-01/container:payments-db-1').waitFor();
  await details().getByRole('button', { name: 'Open: its processes' }).click();
  await page.locator('.trail').getByText('payments-db-1 › processes').waitFor();
  await clickOn(page, 'process=postgres');
  await details().getByRole('heading', { name: 'postgres' }).waitFor();
  await details().getByText('tcp/5432').first().waitFor();
  await page.goBack();
  await page.waitForURL((url) => !url.searchParams.has('wl'));
  await page.locator('.trail').getByText('› payments').waitFor();
});

test('an edge shows services, statistics and what decided, as the API counts them', async () => {
  await openMap(page, web('/'));
  await clickOn(page, 'app=shop > app=identity');
  await details().getByRole('heading', { name: 'shop → identity' }).waitFor();
  const { flows } = controller.admin;
  const selector = (app: string) => ({
    selector: { requirements: [{ dimension: 'app', operator: 1, values: [app] }] },
  });
  // Both ends report; a connection counts once.
  const directions = [Direction.DIRECTION_OUTBOUND];
  const filter = FlowFilter.fromPartial({ source: selector('shop'), destination: selector('identity'), directions });
  const messages = await collect(flows.query({ filter, limit: 100_000 }));
  const rows = messages.flatMap(({ body }) => (body?.$case === 'rows' ? body.value.flows : []));
  expect(rows.length).toBeGreaterThan(10);
  const text = (await details().textContent()) ?? '';
  expect(text).toContain(`${rows.length} (`);
  expect(text).toMatch(/tcp\/8443/);
  expect(text).toMatch(/rule sign-on/);
  await details().getByText('Newest records').waitFor();
  await details().getByText('by sign-on').first().waitFor();
});

test('search and filters are in the address; the address gives the same view again; what is no filter is said', async () => {
  await openMap(page, web('/'));
  await page.getByLabel('Search and filter').fill('tcp/5432 role=worker');
  await page.waitForURL(/q=tcp/);
  await page.getByRole('button', { name: 'allowed', exact: true }).click();
  await page.getByRole('button', { name: '24 hours' }).click();
  await page.getByRole('button', { name: 'Table' }).click();
  const table = page.getByRole('table', { name: 'Connections' });
  await table.waitFor();
  const rows = () => table.locator('tbody tr').allInnerTexts();
  // Until the last answer is there, the table shows the one before.
  const outcome = async () => (await rows()).map((row) => /tcp\/5432/.test(row) && !/\tallowed/.test(row));
  await expect.poll(outcome).toEqual([true, true, true]);
  const query = new URL(page.url()).searchParams;
  expect(Object.fromEntries(query)).toEqual({ q: 'tcp/5432 role=worker', v: 'would,blocked', t: '24h', as: 'table' });

  const second = await browser.page();
  await second.goto(page.url());
  await second.getByRole('table', { name: 'Connections' }).waitFor();
  const others = async () => (await second.getByRole('table').locator('tbody tr').allInnerTexts()).join('\n');
  await expect.poll(async () => (await others()) === (await rows()).join('\n')).toBe(true);
  expect(await second.getByLabel('Search and filter').inputValue()).toBe('tcp/5432 role=worker');
  await second.close();

  await page.getByLabel('Search and filter').fill('prot:443');
  await page.getByText('Not a filter: prot:443').waitFor();
  await page.getByLabel('Search and filter').fill('role=nobody');
  await page.getByText('Nothing matches these filters').waitFor();
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await table.waitFor();
});

test('a time chosen on the timeline narrows the map to it, by pointer and by key', async () => {
  await openMap(page, web('/'));
  const records = async () =>
    Number(/([\d,]+) records/.exec((await page.locator('.trail').textContent()) ?? '')?.[1]?.replace(',', ''));
  const all = await records();
  const box = await page.getByTestId('timeline').boundingBox();
  if (box === null) throw new Error('found no timeline');
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+/);
  await expect.poll(records).toBeLessThan(all * 0.35);
  expect(await records()).toBeGreaterThan(all * 0.15);
  const before = new URL(page.url()).searchParams;
  await page.getByLabel('End of the time shown').focus();
  await page.keyboard.press('ArrowLeft');
  await expect.poll(() => Number(new URL(page.url()).searchParams.get('to'))).toBeLessThan(Number(before.get('to')));
  await page.getByRole('button', { name: 'Back to now' }).click();
  await expect.poll(records).toBe(all);
});

test('what was lost on the way is said where it is missing', async () => {
  await fleet.lose(25);
  await openMap(page, web('/'));
  await page.getByText('25 records missing in this time').click();
  await page.getByText('25 lost: ring of host-01').waitFor();
});

test('live mode draws what arrives', async () => {
  await openMap(page, web('/?t=15m'));
  await page.getByRole('button', { name: 'Live' }).click();
  await page.getByText('live', { exact: true }).waitFor();
  const [from, to] = ['crm-worker-1', 'payments-cache-1'].map((name) =>
    fleet.members.find((member) => member.name === name),
  );
  if (from === undefined || to === undefined) throw new Error('found no such members');
  const nowUs = Date.now() * 1000;
  await fleet.upload([fleet.row(from, to, 6379, { firstSeenUs: nowUs, lastSeenUs: nowUs, bytesOut: 5000 })]);
  await page.locator('.live-lines').getByText('payments-cache-1').waitFor();
  await placeOf(page, 'app=crm > app=payments');
  await page.getByRole('button', { name: 'Live' }).click();
});

test('a rule is written from an edge, the draft view shows its effect, provisioning puts it in force and can be taken back', async () => {
  await openMap(page, web('/'));
  await clickOn(page, 'app=analytics > app=payments');
  await details().getByRole('button', { name: 'Write rule from this edge' }).click();
  const dialog = page.getByRole('dialog');
  const file = dialog.getByRole('textbox', { name: /Policy file/ });
  await file.waitFor();
  expect(await file.inputValue()).toBe(
    [
      'rules:',
      '  - id: analytics-to-payments',
      '    service: [tcp/5432]',
      '    providedBy: { all: [app=payments, role=db] }',
      '    usedBy: { all: [app=analytics, role=worker] }',
      '    note: "from the flow map: analytics to payments"',
      '',
    ].join('\n'),
  );
  // A mistake is told with its place, and changes nothing.
  await file.fill((await file.inputValue()).replace('tcp/5432', 'tcp/99999'));
  await dialog.getByRole('button', { name: 'Add to the draft' }).click();
  await dialog.getByText('map/analytics-to-payments.yaml:3:').waitFor();
  await file.fill((await file.inputValue()).replace('tcp/99999', 'tcp/5432'));
  await dialog.getByRole('button', { name: 'Add to the draft' }).click();
  await dialog.waitFor({ state: 'detached' });

  await page.getByText('The draft changes 1 connection').waitFor();
  expect(new URL(page.url()).searchParams.get('view')).toBe('draft');
  await clickOn(page, 'app=analytics > app=payments');
  await details().getByText('was blocked by the policy in force').waitFor();
  const { policy, audit } = controller.admin;
  expect((await call(policy, policy.get, { ref: undefined })).version?.number).toBe(1);

  await page.getByRole('button', { name: 'Provision draft' }).click();
  await dialog.getByText('added rules analytics-to-payments').waitFor();
  await dialog.getByText('newly allowed: app=analytics').first().waitFor();
  const go = dialog.getByRole('button', { name: 'Provision', exact: true });
  expect(await go.isDisabled()).toBe(true);
  await dialog.getByLabel('Note: why').fill('analytics reads payments');
  await dialog.getByLabel('How long').selectOption('1800000');
  await go.click();
  await dialog.waitFor({ state: 'detached' });
  const banner = page.getByRole('region', { name: 'Open rollout' });
  await banner.getByText('Version 2 is in force').waitFor();
  const now = await call(policy, policy.get, { ref: undefined });
  expect(now.version).toMatchObject({
    number: 2,
    author: 'admin',
    note: 'analytics reads payments',
    confirmWithinMs: 1_800_000,
  });
  await page.getByRole('button', { name: 'Take it back' }).click();
  await banner.waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Policy 1', exact: true }).waitFor();
  expect((await call(policy, policy.get, { ref: undefined })).version?.number).toBe(1);
  const filter = AuditFilter.fromPartial({ actions: ['policy.'] });
  const audited = async () => {
    const { entries } = await call(audit, audit.list, { filter, limit: 10, before: 0n });
    return entries.map(({ action, actor, object }) => [action, actor, object]);
  };
  await expect.poll(audited).toEqual([
    ['policy.return', 'admin', '2'],
    ['policy.provision', 'admin', '2'],
    ['policy.draft', 'admin', 'map/analytics-to-payments.yaml'],
    ['policy.provision', 'admin', '1'],
    ['policy.draft', 'admin', 'fleet.yaml'],
  ]);
});

test('the picture goes by keys', async () => {
  await openMap(page, web('/'));
  await placeOf(page, 'app=payments');
  await page.getByRole('region', { name: /^Flow map:/ }).focus();
  await page.keyboard.press('ArrowRight');
  await details().waitFor();
  const first = new URL(page.url()).searchParams.get('sel');
  expect(first).toMatch(/^n:app=/);
  await page.keyboard.press('Enter');
  await page.waitForURL(/in=app/);
  await page.goBack();
  await page.waitForURL((url) => !url.searchParams.has('in'));
});

/** Chooses by the Enter key, until it was heard: what is chosen may be drawn anew between the focus and the key. */
async function chooseByKey(button: Locator, isChosen: () => Promise<boolean>): Promise<void> {
  const press = async () => {
    if (await isChosen()) return true;
    await button.press('Enter', { timeout: 2000 }).catch(() => undefined);
    return isChosen();
  };
  await expect.poll(press, { interval: 1000, timeout: 50_000 }).toBe(true);
}

/** Closes the details by the Escape key, from their heading, which may be drawn anew before the key is heard. */
async function leaveByKey(): Promise<void> {
  const press = async () => {
    await details()
      .locator('h2')
      .press('Escape', { timeout: 2000 })
      .catch(() => undefined);
    return details().isVisible();
  };
  await expect.poll(press, { interval: 1000, timeout: 50_000 }).toBe(false);
}

test('the focus goes where the choice goes, and back to what opened the details', async () => {
  await openMap(page, `${web('/')}?sel=n%3Aapp%3Dshop`);
  const records = details().getByText('Newest records');
  const neighbour = details().getByRole('button', { name: 'identity' }).first();
  await chooseByKey(neighbour, () => records.isVisible());
  await expect.poll(focused).toMatch(/shop → identity|identity → shop/);
  await leaveByKey();
  await expect.poll(() => page.evaluate(() => document.activeElement?.className)).toBe('map-keys');

  await openMap(page, web('/?as=table'));
  const row = page.getByRole('table', { name: 'Connections' }).locator('tbody tr').nth(3).getByRole('button');
  await chooseByKey(row, () => details().isVisible());
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe('H2');
  await leaveByKey();
  await expect.poll(() => row.evaluate((element) => element === document.activeElement)).toBe(true);
});

test('what is not there is said: a search that finds nothing, a choice of another time, a filter that cannot be read', async () => {
  await openMap(page, web('/?q=zzz'));
  await page.getByText('No name here holds “zzz”').waitFor();
  await page.getByRole('button', { name: 'Clear', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.getByText('No name here holds').waitFor({ state: 'detached' });
  await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('main');
  await openMap(page, `${web('/')}?sel=${encodeURIComponent('e:app=shop > app=gone')}`);
  await details().getByText('It is not on the map').waitFor();
  await details().getByRole('heading', { name: 'shop → gone' }).waitFor();
  await details().getByRole('button', { name: 'Close details' }).click();
  await details().waitFor({ state: 'detached' });
  await page.goto(web('/?q=address:nonsense'));
  await page.getByText('RF_FILTER').first().waitFor();
  expect(await page.locator('.trail').textContent()).not.toContain('loading');
});

test('a link to a time long ago shows that time on the timeline, and leads back to now', async () => {
  const [from, to] = [Date.now() - 5 * 86_400_000, Date.now() - 5 * 86_400_000 + 1_200_000];
  await page.goto(web(`/?from=${from}&to=${to}`));
  const slider = page.getByLabel('End of the time shown');
  await slider.waitFor();
  const [first, last] = await Promise.all(
    [page.getByLabel('Begin of the time shown'), slider].map(async (each) => Number(await each.inputValue())),
  );
  // A third of an hour in the middle of the hour around it.
  expect([Math.abs((first ?? 0) / 96 - 1 / 3) < 0.05, Math.abs((last ?? 0) / 96 - 2 / 3) < 0.05]).toEqual([true, true]);
  await slider.focus();
  await page.keyboard.press('ArrowRight');
  await page.waitForURL((url) => Number(url.searchParams.get('to')) > to);
  await page.getByRole('button', { name: 'Back to now' }).click();
  await page.getByTestId('map').waitFor();
});

test('ends that nobody knows have their address; a label may hold commas and blanks', async () => {
  const [from, odd] = [member('crm-worker-1'), member('crm-db-1')];
  const { workloads } = controller.admin;
  const set = [{ dimension: 'app', value: 'crm, old' }];
  await call(workloads, workloads.setLabels, {
    ...{ workload: odd.id, set, remove: [], replace: false, expectedVersion: 0n, sticky: false },
  });
  const at = { firstSeenUs: Date.now() * 1000, lastSeenUs: Date.now() * 1000, bytesOut: 9000 };
  await fleet.upload([
    fleet.row(from, { ...from, address: '2001:db8:0:0:1:0:0:9' }, 443, at),
    fleet.row(odd, member('payments-cache-1'), 6379, at),
  ]);
  await openMap(page, `${web('/')}?sel=${encodeURIComponent('e:app=crm > outside')}`);
  await details().getByText('crm-worker-1 (python3) → 2001:db8::1:0:0:9').waitFor();
  await openMap(page, `${web('/')}?sel=${encodeURIComponent('n:app=crm%2C old')}`);
  await details().getByRole('heading', { name: 'crm, old' }).waitFor();
  await details().getByRole('button', { name: 'Open: workloads inside' }).click();
  await page.locator('.trail').getByText('› crm, old').waitFor();
  await placeOf(page, `workload=${odd.id}`);
  await page.getByLabel('Search and filter').fill('app="crm, old"');
  await page.waitForURL(/q=app/);
  await placeOf(page, `workload=${odd.id}`);
});

test('live records inside a group keep to what is typed', async () => {
  await openMap(page, web('/?t=15m&in=app%3Dmail&q=role%3Ddb&live=1'));
  await page.getByText('live', { exact: true }).waitFor();
  const at = { firstSeenUs: Date.now() * 1000, lastSeenUs: Date.now() * 1000, bytesOut: 5000 };
  const to = member('crm-cache-1');
  await fleet.upload([fleet.row(member('mail-web-1'), to, 6379, at), fleet.row(member('mail-db-1'), to, 6379, at)]);
  await page.locator('.live-lines').getByText('mail-db-1').waitFor();
  expect(await page.locator('.live-lines').textContent()).not.toContain('mail-web-1');
});

test('a rule from an edge takes the place of no other', async () => {
  await openMap(page, `${web('/')}?sel=${encodeURIComponent('e:app=analytics > app=payments')}`);
  await details().getByRole('button', { name: 'Write rule from this edge' }).click();
  const dialog = page.getByRole('dialog');
  const id = dialog.getByLabel(/^Rule id/);
  await id.waitFor();
  expect(await id.inputValue()).toBe('analytics-to-payments-2');
  await id.fill('analytics-to-payments');
  await dialog.getByText('has a rule or a file of this name already').waitFor();
  expect(await dialog.getByRole('button', { name: 'Add to the draft' }).isDisabled()).toBe(true);
  await page.keyboard.press('Escape');
});

test('in a narrow window everything keeps its name, and nothing lies outside', async () => {
  const { width, height } = page.viewportSize() ?? { width: 1440, height: 900 };
  await page.setViewportSize({ width: 700, height: 900 });
  try {
    await openMap(page, `${web('/')}?sel=n%3Aapp%3Dshop`);
    for (const name of ['Flow map', 'Workloads', 'Hosts', 'Policy', 'Pairing', 'Audit'])
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true }).waitFor();
    await details().waitFor();
    const outside = () =>
      page.evaluate(() => {
        const wide = ({ scrollWidth, clientWidth }: Element) => scrollWidth > clientWidth + 1;
        return [...document.querySelectorAll('html, .status-bar, .timeline-head, .toolbar, .details')]
          .filter(wide)
          .map(({ className }) => className);
      });
    await expect.poll(outside).toEqual([]);
  } finally {
    await page.setViewportSize({ width, height });
  }
});

test('what is wrong is told on every page, with what it means', async () => {
  const { hosts, caPem } = controller.admin;
  const { token } = await call(hosts, hosts.createToken, { ttlSeconds: 3600, hostId: '', note: '' });
  await enrollAgent(controller.addresses.enroll, token, caPem, { hostname: 'silent' });
  await openMap(page, web('/'));
  const told = page.locator('.status-bar summary');
  await told.filter({ hasText: 'warning' }).focus();
  await page.keyboard.press('Enter');
  await page.getByText('Its kernel goes on with its last good state').waitFor();
  await page.getByText('silent is not connected').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page.getByText('silent is not connected').waitFor({ state: 'hidden' });
});
