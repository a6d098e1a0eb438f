// Issue 3, must show 6: a version that must be confirmed, over real packets. The controller is killed in between: every agent is back on
// the version before when the window ends, and no connection that both versions allow is touched. The orderly cases beside it:
// unconfirmed the controller takes it back, also one that was killed and came back; confirmed it stays; a canary holds where it is.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
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

  beforeEach(async () => {
    await fleet?.close();
    fleet = await startShop();
    [client, probe, server, api] = [place('client'), place('probe'), place('server'), place('api')];
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

  /** Applies the new policy on a condition, and returns when every connected host has what is meant for it. */
  async function applyNew(...condition: string[]): Promise<void> {
    const folder = running().controller.node.file('new-policy');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const { name, content } of [...shopPolicy({ extra: false }), { name: 'new.yaml', content: newRules }])
      writeFileSync(join(folder, name), content);
    const answer = await cli('policy', 'apply', '-f', folder, '--wait', ...condition);
    expect(answer).toMatchObject({
      accepted: true,
      changed: true,
      version: 2,
      rollout: { version: 2, baseVersion: 1 },
    });
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
    const try1 = async (from: Place, port: number) => (await from.probe('tcp', server.addresses.ip4, port, 400)).ok;
    const results = await Promise.all([try1(client, 81), try1(probe, 81), try1(client, 82), try1(probe, 82)]);
    const text = results.join(' ');
    if (text === 'true true false false') return 'old';
    return text === 'false false true true' ? 'new' : text;
  }
  const comes = (wanted: string, timeoutMs = 10_000) =>
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
    await applyNew('--confirm-within', `${windowMs / 1000}s`);
    const begun = performance.now();
    expect((await onlyOld.closed()).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    expect(await inForce()).toBe('new');
    const onlyNew = await client.stream('tcp', server.addresses.ip4, 82, 5);
    await moreThan([onlyNew], 20);
    await running().controller.stop('SIGKILL');

    const left = () => windowMs + marginMs - (performance.now() - begun);
    expect((await onlyNew.closed(left())).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    await comes('old', left());
    for (const { agent } of running().members.values()) {
      expect(agent.running).toBe(true);
      await until('the agent to say so', () => agent.log.includes('RF_ROLLOUT_RETURNED'));
    }
    const again = await client.stream('tcp', server.addresses.ip4, 81, 5);
    await moreThan([...kept, again], 50);

    // The controller comes back after the window, and has come to the same conclusion.
    await running().controller.start();
    await running().converged(1);
    const { versions } = (await cli('policy', 'history')) as { versions: object[] };
    expect(versions).toMatchObject([
      { version: 2, state: 'returned', next: 1, why: `not confirmed within ${windowMs / 1000} s` },
      { version: 1, state: 'in-force' },
    ]);
    expect(await cli('status')).toMatchObject({ policyVersion: 1, draftDiffers: true, rollout: null });
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
    await running().converged(1);
    await undisturbed(kept);
  });

  it('nobody killed: unconfirmed the controller takes it back; confirmed it stays, whatever happens to the controller', async () => {
    const kept = await keptStreams();
    await applyNew('--confirm-within', '2s');
    await comes('old', 2000 + marginMs);
    expect(await cli('status')).toMatchObject({ policyVersion: 1, rollout: null });

    const provisioned = await cli('policy', 'provision', '--confirm-within', `${windowMs / 1000}s`, '--wait');
    expect(provisioned).toMatchObject({ version: 3, rollout: { baseVersion: 1 } });
    const begun = performance.now();
    expect(await cli('policy', 'confirm', '3')).toMatchObject({ version: 3, rollout: null });
    await running().converged(3);
    await running().controller.stop('SIGKILL');
    const onlyNew = await client.stream('tcp', server.addresses.ip4, 82, 5);
    await until('the window to be over', () => performance.now() - begun > windowMs + 1000, { timeoutMs: 60_000 });
    expect(await inForce()).toBe('new');
    for (const { agent } of running().members.values()) expect(agent.log).not.toContain('RF_ROLLOUT_RETURNED');
    await undisturbed([...kept, onlyNew]);
    await running().controller.start();
    await running().converged(3);
  });

  it('canary: each end decides by its own version until promotion makes it one', async () => {
    const kept = await keptStreams();
    const others = await probe.stream('tcp', server.addresses.ip4, 81, 5);
    await applyNew('--canary', 'role=client');
    const status = (await cli('status')) as { rollout: object };
    expect(status).toMatchObject({ policyVersion: 1, rollout: { version: 2, canary: 'role=client', workloads: 1 } });
    // The canary may not use 81 any more; it may use 82, but who provides it is under the old version and does not offer it.
    expect(await client.probe('tcp', server.addresses.ip4, 81, 400)).toMatchObject({ ok: false });
    expect(await client.probe('tcp', server.addresses.ip4, 82, 400)).toMatchObject({ ok: false });
    // The service beside it on the same host is not in the canary.
    expect(await probe.probe('tcp', server.addresses.ip4, 81, 2000)).toMatchObject({ ok: true });
    expect(await cli('explain', 'client', 'server', 'tcp/82')).toMatchObject({
      verdict: 'blocked',
      outbound: { ruleId: 'client-new', policyVersion: 2, hostPolicyVersion: 2 },
      inbound: { ruleId: null, policyVersion: 1, hostPolicyVersion: 1 },
    });
    await moreThan([others], 20);
    expect(await cli('policy', 'promote', '--wait')).toMatchObject({ version: 2, rollout: null });
    await running().converged(2);
    await comes('new');
    expect((await others.closed()).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    await undisturbed(kept);
  });
});
