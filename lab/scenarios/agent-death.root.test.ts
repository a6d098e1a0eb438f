// Issue 2, must show 4, first half: kill -9, restart and replacement of the programs under continuous traffic lose no connection
// that policy allows and let no forbidden packet through. Every count has a second witness.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../src/exec.js';
import type { Fleet } from '../src/fleet.js';
import type { Attempts, Place, Stream } from '../src/place.js';
import { until } from '../src/until.js';
import { Witness } from '../src/witness.js';
import { startShop } from './shop.js';

/** New connections that each phase must see. */
const phaseAttempts = 100;

describe('enforcement without its agent', () => {
  let fleet: Fleet;
  let client: Place;
  let intruder: Place;
  let server: Place;
  let witness: Witness;
  let allowed: Attempts[];
  let forbidden: Attempts[];
  let streams: Stream[];
  let acceptedBefore: number;

  beforeAll(async () => {
    fleet = await startShop();
    [client, intruder, server] = [fleet.place('client'), fleet.place('intruder'), fleet.place('server')];
  });
  afterAll(() => fleet?.close());

  beforeEach(async () => {
    const api = fleet.place('api');
    witness = await Witness.place(
      server.netns,
      { source: intruder.addresses.ip4 },
      { source: intruder.addresses.ip6, protocol: 'tcp' },
      { source: client.addresses.ip4, protocol: 'tcp', port: 82 },
    );
    streams = [
      await client.stream('tcp', server.addresses.ip4, 80, 5),
      await client.stream('tcp', server.addresses.ip6, 80, 5),
      await client.stream('udp', server.addresses.ip4, 53, 5),
      await client.stream('tcp', api.addresses.ip4, 80, 5),
      await fleet.place('probe').stream('tcp', server.addresses.ip4, 80, 5),
    ];
    acceptedBefore = await accepted();
    allowed = [
      await client.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 10, timeoutMs: 4000 }),
      await client.attempts('tcp', server.addresses.ip6, 80, { intervalMs: 10, timeoutMs: 4000 }),
    ];
    forbidden = [
      await intruder.attempts('tcp', server.addresses.ip4, 80, { intervalMs: 10, timeoutMs: 300 }),
      await intruder.attempts('tcp', server.addresses.ip6, 80, { intervalMs: 10, timeoutMs: 300 }),
      await client.attempts('tcp', server.addresses.ip4, 82, { intervalMs: 10, timeoutMs: 300 }),
    ];
    await phase();
  });

  /** Connections that the server container accepted on port 80, as its kernel counts them. */
  async function accepted(): Promise<number> {
    const out = await run('nsenter', [`--net=${server.netns}`, 'nstat', '-asz', 'TcpPassiveOpens']);
    return Number(/TcpPassiveOpens\s+(\d+)/.exec(out)?.[1]);
  }

  /** Waits until every source has tried often enough since now. */
  async function phase(): Promise<void> {
    for (const attempts of [...allowed, ...forbidden]) {
      const from = (await attempts.counts()).started;
      await until(
        `${phaseAttempts} more attempts`,
        async () => (await attempts.counts()).started >= from + phaseAttempts,
      );
    }
  }

  /** Ends all traffic and judges it. */
  async function judge(): Promise<void> {
    const passed = await Promise.all(allowed.map((a) => a.stop()));
    const refused = await Promise.all(forbidden.map((a) => a.stop()));
    const kept = await Promise.all(streams.map((s) => s.stop()));
    for (const count of passed) {
      expect(count).toMatchObject({ ok: count.started, refused: 0, eperm: 0, timeout: 0, reset: 0, other: 0 });
    }
    for (const count of refused) {
      expect(count.started).toBeGreaterThan(phaseAttempts);
      expect(count.ok).toBe(0);
    }
    for (const count of kept) {
      expect(count).toMatchObject({ missing: 0, repeated: 0, closed: 'none', received: count.sent });
    }
    expect(await witness.packets()).toEqual([0, 0, 0]);
    expect(await accepted()).toBe(acceptedBefore + passed.reduce((sum, count) => sum + count.started, 0));
  }

  it('kill -9 of both agents: every allowed connection goes on, no forbidden packet arrives, before and after restart', async () => {
    const agents = [...fleet.members.values()].map((m) => m.agent);
    await Promise.all(agents.map((a) => a.kill()));
    await phase();
    await Promise.all(agents.map((a) => a.start()));
    await fleet.converged();
    await phase();
    await judge();
  });

  it('orderly restart of both agents, three times: no connection lost, no forbidden packet', async () => {
    const agents = [...fleet.members.values()].map((m) => m.agent);
    for (let round = 0; round < 3; round++) {
      await Promise.all(agents.map((a) => a.stop()));
      await Promise.all(agents.map((a) => a.start()));
      await fleet.converged();
    }
    await phase();
    await judge();
  });

  it('kill -9 at random moments of the start, ten times: no connection lost, no forbidden packet', async () => {
    const { agent } = fleet.member('alpha');
    for (let round = 0; round < 10; round++) {
      await agent.kill();
      await agent.start();
      // The moment of the next kill moves through the start: after loading, while adopting, while connecting.
      await agent.runFor(round * 120);
    }
    await agent.kill();
    await agent.start();
    await fleet.converged();
    await phase();
    await judge();
  });

  it('the controller is killed and started again: nothing changes for anyone', async () => {
    await fleet.controller.stop('SIGKILL');
    await phase();
    await fleet.controller.start();
    await fleet.converged();
    await phase();
    await judge();
  });
});
