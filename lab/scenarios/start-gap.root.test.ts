// Issue 4, must show 3: isolation is in force before a container's process runs its first instruction. Containers whose first act is to
// connect, started one after the other, while nftables at the bridge counts every packet that leaves any of their interfaces.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../src/exec.js';
import { Fleet, type Member } from '../src/fleet.js';
import type { Place } from '../src/place.js';

const STARTS = Number(process.env.RF_STARTS ?? 200);
const PARALLEL = 4;

/** Packets that come out of containers, beyond neighbour discovery and the kernel's own multicast reports. */
class BridgeCount {
  constructor(private readonly member: Member) {}

  async begin(): Promise<void> {
    await this.nft('-f', '-');
  }

  private nft(...args: string[]): Promise<string> {
    return run('nsenter', [`--net=${this.member.host.netns.path}`, 'nft', ...args], {
      input: `table bridge rfgap {
        counter seen {}
        chain count { type filter hook prerouting priority -300; policy accept;
          icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
          ether type { ip, ip6 } counter name seen
        }
      }\n`,
    });
  }

  async packets(): Promise<number> {
    const out = JSON.parse(await this.nft('-j', 'list', 'counters', 'table', 'bridge', 'rfgap')) as {
      nftables: { counter?: { packets: number } }[];
    };
    return out.nftables.flatMap((entry) => entry.counter ?? [])[0]?.packets ?? Number.NaN;
  }
}

interface FirstAct {
  ok: boolean;
  stage: string;
  totalMs: number;
  /** From the engine's start time to the end of the container's process. */
  livedMs: number;
}

/** Starts a container that connects as its first act, waits for its end, removes it. */
async function start(
  member: Member,
  name: string,
  args: string[],
  labels: Record<string, string> = {},
): Promise<FirstAct> {
  const { client } = member.host.docker;
  const container = await client.createContainer({
    name,
    Image: 'rflab:latest',
    Cmd: ['/rflab', ...args],
    Labels: labels,
  });
  await container.start();
  await container.wait();
  const { State } = await container.inspect();
  const log = (await container.logs({ stdout: true, stderr: true })).toString('utf8');
  await container.remove({ force: true });
  const line = /\{.*\}/.exec(log)?.[0];
  if (line === undefined) throw new Error(`${name} told nothing: ${JSON.stringify(log)} ${JSON.stringify(State)}`);
  const told = JSON.parse(line) as { ok: boolean; stage: string; total_us: number };
  const livedMs = Date.parse(State.FinishedAt) - Date.parse(State.StartedAt);
  return { ok: told.ok, stage: told.stage, totalMs: told.total_us / 1000, livedMs };
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

describe('the start of a container', () => {
  let fleet: Fleet;
  let alpha: Member;
  let beta: Member;
  let server: Place;

  beforeAll(async () => {
    fleet = await Fleet.start([
      { name: 'alpha', containers: ['first'], agent: { unassigned: 'isolate' } },
      { name: 'beta', containers: ['server'] },
    ]);
    [alpha, beta] = [fleet.member('alpha'), fleet.member('beta')];
    server = fleet.place('server');
    await server.serve('tcp:80', 'udp:53');
  }, 180_000);
  afterAll(() => fleet?.close());

  const first = (i: number, limitMs = 150): string[] => {
    const limit = ['--timeout-ms', String(limitMs)];
    const { ip4, ip6 } = server.addresses;
    const acts = [
      ['probe', ip4, '80', ...limit],
      ['probe', ip4, '53', '--udp', ...limit],
      ['probe', ip6, '80', ...limit],
      ['ping', ip4, ...limit],
    ];
    return acts[i % acts.length] ?? [];
  };

  it(`lets no packet of ${STARTS} containers out that connect in their first instruction`, async () => {
    const [held, free] = [new BridgeCount(alpha), new BridgeCount(beta)];
    await held.begin();
    await free.begin();
    // The counter counts: where nothing is held, the same four acts leave and are answered.
    for (let i = 0; i < 4; i++)
      expect(await start(beta, `free-${i}`, first(i, 2000)), `act ${i}`).toMatchObject({ ok: true });
    expect(await free.packets()).toBeGreaterThan(8);
    let next = 0;
    let answered = 0;
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        for (let i = next++; i < STARTS; i = next++) {
          const act = await start(alpha, `gap-${i}`, first(i));
          if (act.ok) answered += 1;
        }
      }),
    );
    expect(answered).toBe(0);
    expect(await held.packets()).toBe(0);
  }, 1_500_000);

  it('a paired container whose first act is to connect succeeds by TCP’s own retry; its added latency is reported', async () => {
    await fleet.controller.cli(['profile', 'create', 'web', '--lock', 'role=web']);
    const made = JSON.parse(await fleet.controller.cli(['-o', 'json', 'key', 'create', 'web'])) as { key: string };
    const [paired, plain]: [FirstAct[], FirstAct[]] = [[], []];
    for (let i = 0; i < 10; i++) {
      paired.push(await start(alpha, `on-${i}`, first(0, 10_000), { 'ringfence.pairing-key': made.key }));
      plain.push(await start(beta, `off-${i}`, first(0, 10_000)));
    }
    expect([...paired, ...plain].every(({ ok }) => ok)).toBe(true);
    const connect = (acts: FirstAct[]) => Math.round(median(acts.map(({ totalMs }) => totalMs)));
    console.info(
      `first connection: ${connect(plain)} ms not held, ${connect(paired)} ms held until paired (median of 10)`,
    );
    // A container that asks again and again: when is it let in?
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      const { client } = alpha.host.docker;
      const script = 'until /rflab probe $0 53 --udp --timeout-ms 10 | grep -q "true"; do :; done';
      const container = await client.createContainer({
        name: `soon-${i}`,
        Image: 'rflab:latest',
        Cmd: ['/bin/busybox', 'sh', '-c', script.replace('grep', '/bin/busybox grep'), server.addresses.ip4],
        Labels: { 'ringfence.pairing-key': made.key },
      });
      await container.start();
      await container.wait();
      const { State } = await container.inspect();
      expect(State.ExitCode).toBe(0);
      waits.push(Date.parse(State.FinishedAt) - Date.parse(State.StartedAt));
      await container.remove({ force: true });
    }
    console.info(
      `let in after its start: median ${Math.round(median(waits))} ms, slowest ${Math.round(Math.max(...waits))} ms (10 starts)`,
    );
  }, 300_000);
});
