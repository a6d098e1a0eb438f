// Pairing through a whole controller: keys made by operators, containers reported by simulated agents, decisions seen by both.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LabelRequirement_Operator } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { OnConflict, PairingProfile, RevokeAction } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import { type LocalWorkload, Unpaired } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Mode, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatKey } from '../pairing/key-text.js';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';
import { enrollAgent, type SimulatedAgent } from '../testing/simulated-agent.js';

let harness: Harness;

beforeEach(async () => {
  harness = await Harness.start();
});
afterEach(() => harness.dispose());

const web = {
  name: 'web',
  dimensions: [
    { dimension: 'env', value: 'prod', locked: true, permitted: [] },
    { dimension: 'role', value: 'web', locked: false, permitted: ['web', 'cache'] },
    { dimension: 'loc', value: '', locked: false, permitted: [] },
  ],
  startingMode: Mode.MODE_ENFORCE,
};

function saveProfile(changes: Partial<PairingProfile> = {}) {
  const { pairing } = harness.admin;
  return call(pairing, pairing.saveProfile, { profile: PairingProfile.fromPartial({ ...web, ...changes }) });
}

async function newKey(profile = 'web') {
  const { pairing } = harness.admin;
  const { text, key } = await call(pairing, pairing.createKey, { profile, note: '' });
  return { text, id: key?.id ?? '' };
}

function container(id: string, pairingKey = '', asked: Record<string, string> = {}): Partial<LocalWorkload> {
  const metadata = Object.fromEntries(Object.entries(asked).map(([d, v]) => [`ringfence.label.${d}`, v]));
  return {
    localId: `container:${id}`,
    kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
    name: id,
    source: 'docker:/var/run/docker.sock',
    image: 'busybox',
    addresses: [{ ip: Buffer.from([172, 17, 0, 2]), space: 'local:bridge' }],
    metadata,
    pairingKey,
  };
}

/** What the controller says of a workload, once the agent holds an assignment for it. */
async function decided(agent: SimulatedAgent, id: string) {
  await agent.until(() => agent.assignments.has(`container:${id}`), `assignment of ${id}`);
  const { workloads } = harness.admin;
  const shown = await call(workloads, workloads.get, { workload: `${agent.credentials.hostId}/container:${id}` });
  return { shown, assignment: agent.assignments.get(`container:${id}`) };
}

const labelsOf = (labels: readonly { dimension: string; value: string }[]) =>
  Object.fromEntries(labels.map(({ dimension, value }) => [dimension, value]));

async function audit(filter: { actions?: string[]; keyId?: string; object?: string } = {}) {
  const { audit: client } = harness.admin;
  const { entries } = await call(client, client.list, {
    filter: { actions: [], actor: '', object: '', hostId: '', keyId: '', sinceMs: 0n, ...filter },
    limit: 1000,
    before: 0n,
  });
  return entries;
}

describe('pairing', () => {
  test('a key gives locked, default and permitted labels, the starting mode, and says so', async () => {
    await saveProfile();
    const key = await newKey();
    const agent = await harness.agent('alpha');
    agent.sendInventory([container('c1', key.text, { env: 'dev', role: 'cache', loc: 'fra' })]);
    const { shown, assignment } = await decided(agent, 'c1');
    expect(labelsOf(shown.labels)).toEqual({ env: 'prod', role: 'cache', loc: 'fra' });
    expect(shown.labelReasons.map(({ source }) => source)).toEqual(['pairing', 'pairing', 'pairing']);
    expect(shown.pairing).toMatchObject({ paired: true, keyId: key.id, detail: 'asked for env=dev, got prod' });
    expect(shown.expectedMode).toEqual({ inbound: Mode.MODE_ENFORCE, outbound: Mode.MODE_ENFORCE });
    expect(assignment).toMatchObject({ isolated: false, modeIn: Mode.MODE_ENFORCE, modeOut: Mode.MODE_ENFORCE });
    expect((await audit({ keyId: key.id })).map(({ action, actor }) => `${action} ${actor}`)).toEqual([
      'label.change host:alpha',
      'pairing.approve host:alpha',
      'key.create admin',
    ]);
  });

  test.each<[string, (key: { text: string; id: string }) => Promise<string>, Partial<PairingProfile>]>([
    ['malformed', async () => 'rfk1_nonsense', {}],
    ['unknown', async ({ text }) => anotherSecret(text), {}],
    ['revoked', ({ text, id }) => revoke(id).then(() => text), {}],
    [
      'expired',
      async ({ text }) => {
        harness.clockAheadMs = 3_600_000;
        return text;
      },
      { lifespanSeconds: 60n },
    ],
    ['wrong-source', async ({ text }) => text, { sources: ['10.9.0.0/16'] }],
    ['dimension-locked', async ({ text }) => text, { onConflict: OnConflict.ON_CONFLICT_DENY }],
    ['profile-disabled', async ({ text }) => text, { disabled: true }],
  ])('%s: denied, cut off, without labels, told and audited', async (denial, presented, profile) => {
    await saveProfile(profile);
    const key = await newKey();
    const agent = await harness.agent('alpha');
    const text = await presented(key);
    agent.sendInventory([container('c1', text, { env: 'dev' })]);
    const { shown, assignment } = await decided(agent, 'c1');
    expect(assignment?.isolated).toBe(true);
    expect(shown.labels).toEqual([]);
    expect(shown.pairing).toMatchObject({ paired: false, denial });
    expect(shown.isolatedWhy).toContain(denial);
    const { hosts } = harness.admin;
    const host = await call(hosts, hosts.get, { host: 'alpha' });
    expect(host.conditions.map(({ code }) => code)).toContain('RF_PAIRING_DENIED');
    expect(await audit({ actions: ['pairing.deny'] })).toMatchObject([{ object: shown.id, hostId: 'alpha' }]);
    // Reported again unchanged: nothing new in the log.
    agent.sendInventory([container('c1', text, { env: 'dev' })]);
    agent.sendInventory([container('c1', text, { env: 'dev' }), container('c2')]);
    await decided(agent, 'c2');
    expect(await audit({ actions: ['pairing.deny'] })).toHaveLength(1);
  });

  test('exhausted and value-not-permitted are denied too; a changed profile decides again', async () => {
    const profile = await saveProfile({ usesMax: 1, onConflict: OnConflict.ON_CONFLICT_DENY });
    const first = await newKey();
    const second = await newKey();
    const agent = await harness.agent('alpha');
    agent.sendInventory([container('c1', first.text)]);
    await decided(agent, 'c1');
    agent.sendInventory([container('c2', first.text), container('c3', second.text, { role: 'db' })], false);
    expect((await decided(agent, 'c2')).shown.pairing).toMatchObject({ denial: 'exhausted' });
    expect((await decided(agent, 'c3')).shown.pairing).toMatchObject({ denial: 'value-not-permitted' });
    await saveProfile({ id: profile.id, onConflict: OnConflict.ON_CONFLICT_PROFILE_VALUE });
    await agent.until(() => agent.assignments.get('container:c3')?.isolated === false, 'c3 paired');
    expect(labelsOf((await decided(agent, 'c3')).shown.labels)).toEqual({ env: 'prod', role: 'web' });
    expect((await decided(agent, 'c2')).assignment?.isolated).toBe(true);
  });

  test('a restart of controller or agent, and a report without the key, take nothing away; a use is counted once', async () => {
    await saveProfile({ usesMax: 5 });
    const key = await newKey();
    const credentials = await harness.enroll('alpha');
    const agent = await harness.agent(credentials);
    agent.sendInventory([container('c1', key.text)]);
    await decided(agent, 'c1');
    await harness.restart();
    await revoke(key.id);
    const again = await harness.agent(credentials);
    again.sendInventory([container('c1', '')]);
    expect((await decided(again, 'c1')).assignment?.isolated).toBe(false);
    again.sendInventory([container('c1', key.text)]);
    again.sendInventory([container('c1', key.text), container('c2', key.text)]);
    expect((await decided(again, 'c2')).assignment?.isolated).toBe(true);
    expect((await decided(again, 'c1')).assignment?.isolated).toBe(false);
    const { pairing } = harness.admin;
    const { keys } = await call(pairing, pairing.listKeys, { profile: 'web', includeDead: true });
    expect(keys).toMatchObject([{ id: key.id, uses: 1, paired: 1, state: 'revoked' }]);
  });

  test('operators overrule labels of a pairing, and unpairing takes only its own', async () => {
    await saveProfile();
    const key = await newKey();
    const agent = await harness.agent('alpha');
    agent.sendInventory([container('c1', key.text)]);
    await decided(agent, 'c1');
    await harness.setLabels('alpha/container:c1', { role: 'special', app: 'shop' });
    const preview = await revoke(key.id, RevokeAction.REVOKE_ACTION_UNPAIR, true);
    expect(preview.touched.map(({ workloadName }) => workloadName)).toEqual(['c1']);
    expect((await decided(agent, 'c1')).assignment?.isolated).toBe(false);
    await revoke(key.id, RevokeAction.REVOKE_ACTION_UNPAIR);
    await agent.until(() => agent.assignments.get('container:c1')?.isolated === true, 'c1 cut off');
    const { shown } = await decided(agent, 'c1');
    expect(labelsOf(shown.labels)).toEqual({ role: 'special', app: 'shop' });
    expect(shown.pairing).toMatchObject({ paired: false, denial: 'revoked' });
  });

  test('a host enrols by a key, is labelled by its profile, and is held like the rest when the key leaks', async () => {
    await saveProfile({ usesMax: 1 });
    const key = await newKey();
    const { addresses } = harness.controller;
    const enrol = () => enrollAgent(addresses.enroll, `${key.text}.pin`, harness.admin.caPem, { hostname: 'edge' });
    const agent = await harness.agent(await enrol());
    await expect(enrol()).rejects.toThrow(/RF_ENROLL_KEY: Cannot enrol: exhausted/);
    agent.sendInventory([{ localId: 'host', kind: WorkloadKind.WORKLOAD_KIND_HOST, name: 'edge', source: 'host' }]);
    await agent.until(() => agent.assignments.has('host'), 'assignment of the host');
    const { workloads } = harness.admin;
    const shown = await call(workloads, workloads.get, { workload: 'edge/host' });
    expect(labelsOf(shown.labels)).toEqual({ env: 'prod', role: 'web' });
    expect(shown.pairing).toMatchObject({ paired: true, keyId: key.id });
    const decisions = await audit({ actions: ['pairing.'] });
    expect(decisions.map(({ action, actor, keyId }) => [action, actor, keyId])).toEqual([
      ['pairing.approve', 'host:edge', key.id],
      ['pairing.deny', 'enrolment', key.id],
    ]);
    await revoke(key.id, RevokeAction.REVOKE_ACTION_QUARANTINE);
    await agent.until(() => agent.assignments.get('host')?.isolated === true, 'the host cut off');
  });

  test('a host that demands pairing: no key is cut off, a key or labels let through; another host is as it was', async () => {
    await saveProfile();
    const key = await newKey();
    const strict = await harness.agent(await harness.enroll('strict'), { isolateUnpaired: true });
    const lax = await harness.agent('lax');
    const host = { localId: 'host', kind: WorkloadKind.WORKLOAD_KIND_HOST, name: 'strict', source: 'host' };
    strict.sendInventory([container('none'), container('paired', key.text), container('labelled'), host]);
    lax.sendInventory([container('none')]);
    expect((await decided(strict, 'none')).shown.isolatedWhy).toMatch(/not paired/);
    expect((await decided(strict, 'none')).assignment?.isolated).toBe(true);
    expect((await decided(strict, 'paired')).assignment?.isolated).toBe(false);
    expect(strict.assignments.get('host')?.isolated).toBe(false);
    expect((await decided(lax, 'none')).assignment?.isolated).toBe(false);
    expect((await decided(strict, 'labelled')).assignment?.isolated).toBe(true);
    await harness.setLabels('strict/container:labelled', { role: 'known' });
    await strict.until(() => strict.assignments.get('container:labelled')?.isolated === false, 'labelled let through');
  });

  test('denied workloads are asked for again after a while, ever later; hosts that are away when they are back', async () => {
    await saveProfile();
    const { text } = await newKey();
    const credentials = await harness.enroll('alpha');
    const agent = await harness.agent(credentials);
    const wrong = container('c1', `${text}x`);
    agent.sendInventory([wrong, container('c2', text)]);
    const { retryMs = 0n } = (await decided(agent, 'c1')).shown.pairing ?? {};
    const waitMs = Number(retryMs) - Date.now();
    expect(waitMs).toBeGreaterThan(25_000);
    expect(waitMs).toBeLessThanOrEqual(60_000);
    expect(agent.pairAgain).toEqual([]);
    harness.clockAheadMs = 61_000;
    await agent.until(() => agent.pairAgain.length > 0, 'the first asking');
    expect(agent.pairAgain).toEqual(['container:c1']);
    agent.sendInventory([wrong], false);
    agent.close();
    // Away for an hour: it is asked when it is back, without its key having been told in between.
    harness.clockAheadMs = 3_600_000;
    const back = await harness.agent(credentials);
    await back.until(() => back.pairAgain.length > 0, 'the second asking');
    back.sendInventory([container('c1', text)], false);
    await back.until(() => back.assignments.get('container:c1')?.isolated === false, 'c1 paired');
    expect((await decided(back, 'c1')).shown.pairing?.retryMs).toBe(0n);
    expect(await newestFirst('pairing.deny')).toHaveLength(1);
  });

  test('how a host treats the unpaired: its configuration, its profile, an operator; told to its agent, audited, kept', async () => {
    const { hosts } = harness.admin;
    const shown = async (host: string) => {
      const { unpaired, unpairedBy } = await call(hosts, hosts.get, { host });
      return [unpaired, unpairedBy];
    };
    const { UNPAIRED_ISOLATE: ISOLATE, UNPAIRED_VISIBILITY: SEEN, UNPAIRED_UNSPECIFIED: UNSAID } = Unpaired;
    const lax = await harness.agent('lax');
    lax.sendInventory([container('c1')]);
    await decided(lax, 'c1');
    expect([await shown('lax'), lax.unpaired]).toEqual([[SEEN, 'configuration'], UNSAID]);
    await call(hosts, hosts.set, { host: 'lax', unpaired: ISOLATE });
    await lax.until(
      () => lax.unpaired === ISOLATE && lax.assignments.get('container:c1')?.isolated === true,
      'c1 cut off',
    );
    expect(await shown('lax')).toEqual([ISOLATE, 'operator']);
    await saveProfile({ hostUnpaired: ISOLATE });
    const key = await newKey();
    const { addresses } = harness.controller;
    const own = await enrollAgent(addresses.enroll, `${key.text}.pin`, harness.admin.caPem, { hostname: 'edge' });
    const edge = await harness.agent(own);
    edge.sendInventory([container('c2')]);
    await edge.until(
      () => edge.unpaired === ISOLATE && edge.assignments.get('container:c2')?.isolated === true,
      'c2 cut off',
    );
    expect(await shown('edge')).toEqual([ISOLATE, 'profile']);
    await call(hosts, hosts.set, { host: 'edge', unpaired: SEEN });
    await edge.until(
      () => edge.unpaired === SEEN && edge.assignments.get('container:c2')?.isolated === false,
      'c2 let in',
    );
    await harness.restart();
    const again = await harness.agent(own);
    await again.until(() => again.unpaired === SEEN, 'the same after a restart');
    const { hosts: restarted } = harness.admin;
    await call(restarted, restarted.set, { host: 'edge', unpaired: UNSAID });
    await again.until(() => again.unpaired === ISOLATE, 'the profile’s again');
    expect((await newestFirst('host.set')).map(({ object, text }) => `${object}: ${text}`)).toEqual([
      'edge: unpaired containers of edge: as configured',
      'edge: unpaired containers of edge: visibility',
      'lax: unpaired containers of lax: isolate',
    ]);
  });

  test('leaked key: 50 workloads on 3 hosts cut off by one call and let back by another', async () => {
    await saveProfile();
    const [leaked, other] = [await newKey(), await newKey()];
    const agents = await Promise.all(['h1', 'h2', 'h3'].map((name) => harness.agent(name)));
    const own = agents.map((_, host) => Array.from({ length: host === 2 ? 16 : 17 }, (_, i) => `w${host}-${i}`));
    agents.forEach((agent, host) => {
      const names = own[host] ?? [];
      agent.sendInventory([
        ...names.map((name) => container(name, leaked.text)),
        container(`other${host}`, other.text),
      ]);
    });
    await Promise.all(
      agents.map((agent, host) => agent.until(() => agent.assignments.size === (own[host]?.length ?? 0) + 1, 'all')),
    );
    const isolatedOn = (agent: SimulatedAgent) => [...agent.assignments.values()].filter((a) => a.isolated).length;
    const isolated = () => agents.reduce((sum, agent) => sum + isolatedOn(agent), 0);
    const preview = await revoke(leaked.id, RevokeAction.REVOKE_ACTION_QUARANTINE, true);
    expect([preview.touched.length, new Set(preview.touched.map(({ hostId }) => hostId)).size]).toEqual([50, 3]);
    expect(isolated()).toBe(0);
    const done = await revoke(leaked.id, RevokeAction.REVOKE_ACTION_QUARANTINE);
    expect(done).toMatchObject({ key: { state: 'revoked' } });
    await Promise.all(
      agents.map((agent, host) => agent.until(() => isolatedOn(agent) === own[host]?.length, 'cut off')),
    );
    expect(isolated()).toBe(50);
    const { pairing } = harness.admin;
    const { quarantines } = await call(pairing, pairing.listQuarantines, {});
    expect(quarantines).toMatchObject([{ id: done.quarantineId, workloads: 50 }]);
    await call(pairing, pairing.releaseQuarantine, { id: done.quarantineId });
    await Promise.all(agents.map((agent) => agent.until(() => isolatedOn(agent) === 0, 'all back')));
    expect(
      (await audit({ actions: ['quarantine.'] })).map(({ action, actor, source }) => [action, actor, source]),
    ).toEqual([
      ['quarantine.end', 'admin', '127.0.0.1'],
      ['quarantine.begin', 'admin', '127.0.0.1'],
    ]);
  });

  test('a quarantine by selector holds what matches now and later, and nothing else', async () => {
    const agent = await harness.agent('alpha');
    agent.sendInventory([container('a'), container('b')]);
    await decided(agent, 'b');
    await harness.setLabels('alpha/container:a', { role: 'web' });
    const { pairing } = harness.admin;
    const requirement = { dimension: 'role', operator: LabelRequirement_Operator.OPERATOR_IN, values: ['web'] };
    const request = { selector: { requirements: [requirement] }, keyId: '', workloads: [], reason: 'odd traffic' };
    const { quarantine } = await call(pairing, pairing.quarantine, { ...request, preview: false });
    const isolated = (id: string) => agent.assignments.get(`container:${id}`)?.isolated;
    await agent.until(() => isolated('a') === true, 'a cut off');
    expect(isolated('b')).toBe(false);
    await harness.setLabels('alpha/container:b', { role: 'web' });
    await agent.until(() => isolated('b') === true, 'b cut off');
    const empty = { ...request, selector: { requirements: [] }, preview: false };
    await expect(call(pairing, pairing.quarantine, empty)).rejects.toThrow(/RF_SELECTOR/);
    await call(pairing, pairing.releaseQuarantine, { id: quarantine?.id ?? '' });
    await agent.until(() => isolated('a') === false && isolated('b') === false, 'both back');
  });

  test('1,000 containers of 20 agents at once on a key with 900 uses: all decided, none twice', async () => {
    await saveProfile({ usesMax: 900 });
    const key = await newKey();
    const agents = await Promise.all(Array.from({ length: 20 }, (_, i) => harness.agent(`host-${i}`)));
    const before = process.memoryUsage().heapUsed;
    const began = performance.now();
    for (const agent of agents) {
      // Each container comes as its own event, and all of them once more, as an agent that reconnects would tell.
      const all = Array.from({ length: 50 }, (_, i) => container(`c${i}`, key.text));
      for (const one of all) agent.sendInventory([one], false);
      agent.sendInventory(all);
    }
    await Promise.all(agents.map((agent) => agent.until(() => agent.assignments.size === 50, '50 decisions', 60_000)));
    const tookMs = Math.round(performance.now() - began);
    const isolated = agents.flatMap((a) => [...a.assignments.values()]).filter((a) => a.isolated).length;
    expect(isolated).toBe(100);
    const { pairing } = harness.admin;
    const { keys } = await call(pairing, pairing.listKeys, { profile: '', includeDead: true });
    expect(keys).toMatchObject([{ uses: 900, paired: 900, state: 'exhausted' }]);
    const approved = (await newestFirst('pairing.approve')).map(({ object }) => object);
    expect([approved.length, new Set(approved).size]).toEqual([900, 900]);
    expect(await newestFirst('pairing.deny')).toHaveLength(100);
    const heapMb = Math.round((process.memoryUsage().heapUsed - before) / 1e6);
    console.info(`1,000 containers paired by 20 agents: ${tookMs} ms, heap grew by ${heapMb} MB`);
  }, 120_000);

  test('no secret is in the log, in answers that list, or in any file of the controller', async () => {
    await saveProfile();
    const key = await newKey();
    const agent = await harness.agent('alpha');
    agent.sendInventory([
      container('c1', key.text),
      container('c2', anotherSecret(key.text)),
      container('c3', `x${key.text}`),
    ]);
    await decided(agent, 'c3');
    await expect(revoke(key.text)).rejects.toThrow(/wanted the id of one/);
    const { pairing } = harness.admin;
    const told = JSON.stringify(
      [await call(pairing, pairing.listPairings, { keyId: '', hostId: '', deniedOnly: false }), await audit()],
      (_, value) => (typeof value === 'bigint' ? `${value}` : value),
    );
    const secret = key.text.split('_')[2] ?? '';
    expect(secret).toHaveLength(52);
    expect(told.includes(secret)).toBe(false);
    expect(harness.logged.join('\n').includes(secret)).toBe(false);
    const files = readdirSync(harness.stateDir, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
    expect(files.length).toBeGreaterThan(4);
    for (const { parentPath, name } of files) {
      const file = join(parentPath, name);
      expect(readFileSync(file).includes(secret), file).toBe(false);
      expect(statSync(harness.stateDir).mode & 0o077, harness.stateDir).toBe(0);
    }
  });

  test('audit entries are final, followed live, and survive a restart', async () => {
    const { audit: client } = harness.admin;
    const stream = client.follow({ filter: undefined, backlog: 100 });
    const seen: string[] = [];
    stream.on('error', () => {});
    stream.on('data', ({ action }: { action: string }) => seen.push(action));
    await saveProfile();
    const key = await newKey();
    await revoke(key.id);
    await expect.poll(() => seen, { timeout: 5000 }).toEqual(['profile.create', 'key.create', 'key.revoke']);
    stream.cancel();
    await harness.restart();
    expect((await audit()).map(({ action }) => action)).toEqual(['key.revoke', 'key.create', 'profile.create']);
  });
});

function revoke(keyId: string, action = RevokeAction.REVOKE_ACTION_UNSPECIFIED, preview = false) {
  const { pairing } = harness.admin;
  return call(pairing, pairing.revokeKey, { keyId, action, preview, reason: '' });
}

async function newestFirst(action: string) {
  const { audit: client } = harness.admin;
  const filter = { actions: [action], actor: '', object: '', hostId: '', keyId: '', sinceMs: 0n };
  const { entries } = await call(client, client.list, { filter, limit: 1000, before: 0n });
  return entries;
}

/** A well-formed key with the same id and another secret, made by hand: the checksum is right. */
function anotherSecret(text: string): string {
  const [, id = ''] = text.split('_');
  let bits = '';
  for (const character of id)
    bits += '0123456789abcdefghjkmnpqrstvwxyz'.indexOf(character).toString(2).padStart(5, '0');
  const bytes = Array.from({ length: 6 }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8), 2));
  const other = formatKey(Uint8Array.from(bytes), new Uint8Array(32).fill(7));
  if (other.split('_')[1] !== id) throw new Error(`wrong id in ${other}`);
  return other;
}
