// Issue 2, must show 5: a policy change that forbids an open connection cuts it within one second; one that keeps it does not
// disturb it. Containers and host services, both families, TCP and UDP.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fleet } from '../src/fleet.js';
import type { Place, Stream } from '../src/place.js';
import { until } from '../src/until.js';
import { Witness } from '../src/witness.js';
import { shopPolicy, startShop } from './shop.js';

/** The product's promise, from the provisioning call to the end at the application. */
const cutWithinMs = 1000;

describe('a policy change under open connections', () => {
  let fleet: Fleet;
  let client: Place;
  let probe: Place;
  let server: Place;
  let api: Place;

  beforeAll(async () => {
    fleet = await startShop();
    [client, probe, server, api] = [
      fleet.place('client'),
      fleet.place('probe'),
      fleet.place('server'),
      fleet.place('api'),
    ];
  });
  afterAll(() => fleet?.close());
  beforeEach(async () => {
    await fleet.provision(shopPolicy({ extra: true }));
  });

  async function flowing(streams: readonly Stream[]): Promise<void> {
    await until('every connection to carry records', async () => {
      const counts = await Promise.all(streams.map((s) => s.counts()));
      return counts.every((c) => c.received > 20);
    });
  }

  it('cuts every forbidden TCP connection within one second, at both ends, and disturbs no other', async () => {
    const kept = [
      await client.stream('tcp', server.addresses.ip4, 80, 5),
      await client.stream('tcp', server.addresses.ip6, 80, 5),
      await client.stream('udp', server.addresses.ip4, 53, 5),
      await client.stream('tcp', api.addresses.ip4, 80, 5),
      await probe.stream('tcp', server.addresses.ip4, 80, 5),
    ];
    const revoked = [
      await client.stream('tcp', server.addresses.ip4, 81, 5),
      await client.stream('tcp', server.addresses.ip6, 81, 5),
      await client.stream('tcp', api.addresses.ip4, 81, 5),
      await client.stream('tcp', api.addresses.ip6, 81, 5),
      await probe.stream('tcp', server.addresses.ip4, 81, 5),
      await probe.stream('tcp', server.addresses.ip6, 81, 5),
    ];
    await flowing([...kept, ...revoked]);
    const begin = performance.now();
    const [response, ...cuts] = await Promise.all([
      fleet.api.apply(shopPolicy({ extra: false })),
      ...revoked.map(async (stream) => {
        const count = await stream.closed(10_000);
        return { why: count.closed, ms: performance.now() - begin };
      }),
    ]);
    expect(response).toMatchObject({ accepted: true, changed: true });
    for (const cut of cuts) {
      expect(cut.why).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
      expect(cut.ms).toBeLessThan(cutWithinMs);
    }
    await fleet.converged(response.version);
    const from = await Promise.all(kept.map((s) => s.counts()));
    await until('kept connections to carry more', async () => {
      const counts = await Promise.all(kept.map((s) => s.counts()));
      return counts.every((c, i) => c.received > (from[i]?.received ?? 0) + 50);
    });
    for (const stream of kept) {
      const count = await stream.stop();
      expect(count).toMatchObject({ missing: 0, repeated: 0, closed: 'none', received: count.sent });
    }
  });

  it('lets no packet of a cut connection and no new connection through afterwards', async () => {
    const stream = await client.stream('tcp', server.addresses.ip4, 81, 5);
    await flowing([stream]);
    await fleet.provision(shopPolicy({ extra: false }));
    await stream.closed();
    const filter = { source: client.addresses.ip4, protocol: 'tcp', port: 81 } as const;
    const witness = await Witness.place(server.netns, filter);
    const attempts = await client.attempts('tcp', server.addresses.ip4, 81, { intervalMs: 10, timeoutMs: 300 });
    await until('many attempts', async () => (await attempts.counts()).started > 100);
    expect((await attempts.stop()).ok).toBe(0);
    expect(await witness.packets()).toEqual([0]);
  });

  it('twenty changes back and forth never disturb a connection that every version allows', async () => {
    const streams = [
      await client.stream('tcp', server.addresses.ip4, 80, 5),
      await client.stream('udp', server.addresses.ip6, 53, 5),
      await probe.stream('tcp', server.addresses.ip4, 80, 5),
    ];
    const attempts = await client.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 5, timeoutMs: 4000 });
    for (let round = 0; round < 20; round++) await fleet.provision(shopPolicy({ extra: round % 2 === 0 }));
    const tried = await attempts.stop();
    expect(tried.ok).toBe(tried.started);
    for (const stream of streams) {
      const count = await stream.stop();
      expect(count).toMatchObject({ missing: 0, repeated: 0, closed: 'none', received: count.sent });
    }
  });

  it('relabelling a workload cuts what its new labels may not do', async () => {
    const stream = await client.stream('tcp', server.addresses.ip4, 80, 5);
    await flowing([stream]);
    await fleet.label('client', { role: 'intruder', app: 'shop' });
    expect((await stream.closed(10_000)).closed).toMatch(/^(ECONNRESET|ECONNABORTED|EPIPE|EOF)$/);
    await fleet.label('client', { role: 'client', app: 'shop' });
    await fleet.converged();
    expect(await client.probe('tcp', server.addresses.ip4, 80, 3000)).toMatchObject({ ok: true });
  });
});
