// Pictures of the page for docs/screenshots: `node web/dist/tests/tests/look.js [folder]`, after make build. A controller with a made-up
// fleet, Chromium, nothing that stays.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { call } from '@ringfence/controller/testing/admin-client.js';
import { PairingProfile, QuarantineRequest } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { ApplyPolicyRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { Browser } from './browser.js';
import { RunningController } from './controller.js';
import { makeFleet, POLICY } from './fleet.js';

const [folder = 'docs/screenshots', only = ''] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const [controller, browser] = await Promise.all([RunningController.start(), Browser.start()]);
const fleet = await makeFleet(controller, {
  size: Number(process.env.SIZE ?? 50),
  connections: Number(process.env.RECORDS ?? 4000),
});
await prepare();
const page = await browser.page();
try {
  await page.goto(await controller.link());
  const shots: readonly (readonly [string, string, 'light' | 'dark', (() => Promise<void>)?])[] = [
    ['map', '/', 'light'],
    ['map-dark', '/?sel=n%3Aapp%3Dpayments', 'dark'],
    ['map-edge', '/?sel=e%3Aapp%3Dshop+%3E+app%3Didentity', 'light'],
    ['map-members', '/?in=app%3Dshop', 'light'],
    ['map-all', '/?all=1', 'light'],
    ['map-table', '/?as=table', 'light'],
    ['map-processes', '/?in=app%3Dpayments&wl=host-01%2Fcontainer%3Apayments-db-1', 'light'],
    ['map-live', '/?live=1&t=15m', 'dark'],
    ['map-draft', '/?view=draft&enforced=1', 'dark'],
    ['workloads', '/workloads', 'light'],
    ['workload', '/workloads?q=app%3Dpayments&sel=host-01%2Fcontainer%3Apayments-db-1', 'dark'],
    ['hosts', '/hosts', 'light'],
    ['host', '/hosts?sel=host-01', 'dark'],
    ['enrolment', '/hosts?tab=enrolment', 'light'],
    ['policy', '/policy?sel=web-to-api', 'light'],
    ['policy-files', '/policy?tab=files', 'dark'],
    ['policy-draft', '/policy?tab=draft', 'light'],
    ['policy-findings', '/policy?tab=findings', 'light'],
    ['policy-versions', '/policy?tab=versions&sel=1', 'dark'],
    ['profile', '/pairing?sel=web', 'light'],
    ['keys', '/pairing?tab=keys', 'dark'],
    ['quarantine', '/pairing?tab=quarantine', 'light'],
    ['audit', '/audit', 'light'],
  ];
  for (const [name, place, scheme, then] of shots) {
    if (only !== '' && !only.split(',').includes(name)) continue;
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.goto(controller.addresses.web + place);
    await page.locator('main h1').first().waitFor({ state: 'attached' });
    await page
      .getByText(/loading|Drawing/i)
      .first()
      .waitFor({ state: 'detached' })
      .catch(() => {});
    await then?.();
    await page.waitForTimeout(700);
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }
} finally {
  process.stdout.write(
    browser
      .take()
      .map((text) => `trouble: ${text}\n`)
      .join(''),
  );
  await browser.close();
  fleet.close();
  await controller.stop();
}

/** What the list pages show besides the fleet: a profile with keys, a quarantine, a draft that differs. */
async function prepare(): Promise<void> {
  const { pairing, policy } = controller.admin;
  const profile = PairingProfile.fromPartial({
    name: 'web',
    dimensions: [
      { dimension: 'role', value: 'web', locked: true },
      { dimension: 'env', value: 'prod', permitted: ['prod', 'staging'] },
    ],
    startingMode: Mode.MODE_TEST,
    lifespanSeconds: 2_592_000n,
    usesMax: 100,
    owner: 'team-shop',
  });
  await call(pairing, pairing.saveProfile, { profile });
  for (const note of ['image build', 'autoscaling group'])
    await call(pairing, pairing.createKey, { profile: 'web', note });
  const workloads = ['analytics-worker-1'];
  const reason = 'calls databases that it never called before';
  await call(pairing, pairing.quarantine, QuarantineRequest.fromPartial({ workloads, reason }));
  const content = POLICY.replace('{ any: [role=api, role=worker] }', 'role=api');
  const files = [{ name: 'fleet.yaml', content }];
  await call(policy, policy.apply, ApplyPolicyRequest.fromPartial({ files, draftOnly: true }));
}
