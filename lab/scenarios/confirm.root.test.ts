// Issue 3, must show 6: a version that must be confirmed, over real packets. The controller is killed in between: every agent is back on
// the version before when the window ends, and no connection that both versions allow is touched. The orderly cases beside it:
// unconfirmed the controller takes it back, also one that was killed and came back; confirmed it stays; a canary holds where it is.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fleet } from '../src/fleet.js';
import type { Place, Stream } from '../src/place.js';
import { until } from '../src/until.js';
import { shopPolicy, startShop } from './shop.js';

const windowMs = 8000;
/** What a loaded machine may need beyond the window: for the agent's timer, the flush and the sweep of its connections. */
const marginMs = 5000;

/** Port 80 as before; 81 not any more; 82 now. */
const newRules = `
rules:
  - id: client-new
    service: tcp/82
    providedBy: { label: role, in: [server, api] }
    usedBy: role=client
  - id: probe-new
    service: tcp/82
    providedBy: role=server
    usedBy: role=probe
`;

describe('a version that must be confirmed', () => {
  let fleet: Fleet | undefined;
  let client: Place;
  let probe: Place;
  let server: Place;
  let api: Place;

  /** Version that is in force, for good, when a test begins. */
  let base: number;

  beforeAll(async () => {
    fleet = await startShop();
    [client, probe, server, api] = [place('client'), place('probe'), place('server'), place('api')];
  });
  beforeEach(async () => {
    await running().provision(shopPolicy({ extra: true }));
    base = (await running().api.status()).policyVersion;
  });
  afterAll(() => fleet?.close());

  function running(): Fleet {
    if (!fleet) throw new Error('Cannot use the fleet: it did not start');
    return fleet;
  }
  function place(name: string): Place {
    return running().place(name);
  }

  /** The CLI as an operator uses it; its JSON. */
  async function cli(...args: string[]): Promise<Record<string, unknown>> {
    return JSON.parse(await running().controller.cli(['-o', 'json', ...args])) as Record<string, unknown>;
  }

  /** Applies the new policy on a condition; its version, once every connected host has what is meant for it. */
  async function applyNew(...condition: string[]): Promise<number> {
    const folder = running().controller.node.file('new-policy');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const { name, content } of [...shopPolicy({ extra: false }), { name: 'new.yaml', content: newRules }])
      writeFileSync(join(folder, name), content);
    const answer = await cli('policy', 'apply', '-f', folder, '--wait', ...condition);
    const { version } = answer;
    expect(answer).toMatchObject({ accepted: true, changed: true, rollout: { version, baseVersion: base } });
    return Number(version);
  }

  /** Connections that both versions allow, on both families, containers and host services. */
  async function keptStreams(): Promise<Stream[]> {
    const streams = [
      await client.stream('tcp', server.addresses.ip4, 80, 5),
      await client.stream('tcp', server.addresses.ip6, 80, 5),
      await client.stream('udp', server.addresses.ip4, 53, 5),
      await client.stream('tcp', api.addresses.ip4, 80, 5),
      await probe.stream('tcp', server.addresses.ip4, 80, 5),
    ];
    await moreThan(streams, 20);
    return streams;
  }

  async function moreThan(streams: readonly Stream[], records: number): Promise<void> {
    const from = await Promise.all(streams.map((stream) => stream.counts()));
    await until('every connection to carry more records', async () => {
      const counts = await Promise.all(streams.map((stream) => stream.counts()));
      return counts.every((count, i) => count.received > (from[i]?.received ?? 0) + records);
    });
  }

  /** How often each agent has said that it took a version back by itself. */
  function returns(): number[] {
    return [...running().members.values()].map(
      ({ agent }) => [...agent.log.matchAll(/RF_ROLLOUT_RETURNED".*"holds":true/g)].length,
    );
  }

  /** Not one record lost, repeated or reset over everything that happened. */
  async function undisturbed(streams: readonly Stream[]): Promise<void> {
    await moreThan(streams, 20);
    for (const stream of streams) {
      const count = await stream.stop();
      expect(count).toMatchObject({ missing: 0, repeated: 0, closed: 'none', received: count.sent });
    }
  }

  /** What the new version changes, from both hosts: 'new', 'old' or neither. */
  async function inForce(): Promise<string> {
    const try1 = async (from: Place, port: number) => (await from.probe('tcp', server.addresses.ip4, port, 1000)).ok;
    const results = await Promise.all([try1(client, 81), try1(probe, 81), try1(client, 82), try1(probe, 82)]);
    const text = results.join(' ');
    if (text === 'true true false false') return 'old';
    return text === 'false false true true' ? 'new' : text;
  }
  const comes = (wanted: string, timeoutMs = 60_000) =>
    until(
      `the ${wanted} version to be in force`,
      async () => {
        const found = await inForce();
        if (found === wanted) return true;
        throw new Error(`found ${found}`);
      },
      { timeoutMs },
    );

  it('controller killed: every agent is back when the window ends, and what both versions allow never notices', async () => {
    const kept = await keptStreams();
    const onlyOld = await client.stream('tcp', server.addresses.ip4, 81, 5);
    await moreThan([onlyOld], 20);
    const made = await applyNew('--confirm-within', `${windowMs / 1000}s`);
    const begun = performance.now();
    const before = returns();
    expect((await onlyOld.closed()).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    expect(await inForce()).toBe('new');
    const onlyNew = await client.stream('tcp', server.addresses.ip4, 82, 5);
    await moreThan([onlyNew], 20);
    await running().controller.stop('SIGKILL');

    const left = () => windowMs + marginMs - (performance.now() - begun);
    expect((await onlyNew.closed(left())).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    await comes('old', left());
    await until('every agent to say so', () => returns().every((count, i) => count > (before[i] ?? 0)));
    const again = await client.stream('tcp', server.addresses.ip4, 81, 5);
    await moreThan([...kept, again], 50);

    // The controller comes back after the window, and has come to the same conclusion.
    await running().controller.start();
    await running().converged(base);
    const { versions } = (await cli('policy', 'history', '--limit', '2')) as { versions: object[] };
    expect(versions).toMatchObject([
      { version: made, state: 'returned', next: base, why: `not confirmed within ${windowMs / 1000} s` },
      { version: base, state: 'in-force' },
    ]);
    expect(await cli('status')).toMatchObject({ policyVersion: base, draftDiffers: true, rollout: null });
    expect(await inForce()).toBe('old');
    await undisturbed([...kept, again]);
  });

  it('controller killed and started in between: it goes on with what is left of the window and takes the version back', async () => {
    const kept = await keptStreams();
    await applyNew('--confirm-within', `${windowMs / 1000}s`);
    const begun = performance.now();
    expect(await inForce()).toBe('new');
    await running().controller.stop('SIGKILL');
    await running().controller.start();
    await comes('old', windowMs + marginMs - (performance.now() - begun));
    await running().converged(base);
    await undisturbed(kept);
  });

  it('nobody killed: unconfirmed the controller takes it back; confirmed it stays, whatever happens to the controller', async () => {
    const kept = await keptStreams();
    await applyNew('--confirm-within', '2s');
    await comes('old', 2000 + marginMs);
    expect(await cli('status')).toMatchObject({ policyVersion: base, rollout: null });

    const provisioned = await cli('policy', 'provision', '--confirm-within', `${windowMs / 1000}s`, '--wait');
    expect(provisioned).toMatchObject({ accepted: true, rollout: { baseVersion: base } });
    const made = Number(provisioned.version);
    const begun = performance.now();
    expect(await cli('policy', 'confirm', String(made))).toMatchObject({ version: made, rollout: null });
    await running().converged(made);
    const before = returns();
    await running().controller.stop('SIGKILL');
    const onlyNew = await client.stream('tcp', server.addresses.ip4, 82, 5);
    await until('the window to be over', () => performance.now() - begun > windowMs + 1000, { timeoutMs: 60_000 });
    expect(await inForce()).toBe('new');
    expect(returns()).toEqual(before);
    await undisturbed([...kept, onlyNew]);
    await running().controller.start();
    await running().converged(made);
  });

  it('canary: each end decides by its own version until promotion makes it one', async () => {
    const kept = await keptStreams();
    const others = await probe.stream('tcp', server.addresses.ip4, 81, 5);
    const made = await applyNew('--canary', 'role=client');
    const status = (await cli('status')) as { rollout: object };
    expect(status).toMatchObject({
      policyVersion: base,
      rollout: { version: made, canary: 'role=client', workloads: 1 },
    });
    // The canary may not use 81 any more; it may use 82, but who provides it is under the old version and does not offer it.
    expect(await client.probe('tcp', server.addresses.ip4, 81, 400)).toMatchObject({ ok: false });
    expect(await client.probe('tcp', server.addresses.ip4, 82, 400)).toMatchObject({ ok: false });
    // The service beside it on the same host is not in the canary.
    expect(await probe.probe('tcp', server.addresses.ip4, 81, 5000)).toMatchObject({ ok: true });
    expect(await cli('explain', 'client', 'server', 'tcp/82')).toMatchObject({
      verdict: 'blocked',
      outbound: { ruleId: 'client-new', policyVersion: made, hostPolicyVersion: made },
      inbound: { ruleId: null, policyVersion: base, hostPolicyVersion: base },
    });
    await moreThan([others], 20);
    expect(await cli('policy', 'promote', '--wait')).toMatchObject({ version: made, rollout: null });
    await running().converged(made);
    await comes('new');
    expect((await others.closed()).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    await undisturbed(kept);
  });
});
