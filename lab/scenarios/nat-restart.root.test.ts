// Issue 5, must show 6: a container restarts on a new address while ten peers talk to it, and another one takes the address that it had. No
// peer that may not is let through at any time; once every host knows, nobody who may is refused and nobody reaches the one at the old
// address for the one that left. How long that takes is measured and printed.
import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fleet, type FleetHostSpec } from '../src/fleet.js';
import type { Attempts, Place } from '../src/place.js';
import { until } from '../src/until.js';

const FRIENDS = ['f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8'];
const STRANGERS = ['x1', 'x2'];
const PORT = 80;
/** Listens as soon as the container runs. */
const SERVER = ['/rflab', 'serve', `tcp:${PORT}`];
const specs: readonly FleetHostSpec[] = [
  {
    name: 'home',
    containers: ['target', 'squatter', ...FRIENDS.slice(0, 4), 'x1'],
    commands: { target: SERVER, squatter: SERVER },
  },
  { name: 'away', containers: [...FRIENDS.slice(4), 'x2'] },
];
const policy: PolicyFile[] = [
  {
    name: 'restart.yaml',
    content: `
modes:
  - { id: all, match: { label: role, in: [target, squatter, friend, stranger] }, mode: enforce }
rules:
  - { id: friends, service: [tcp/80], providedBy: role=target, usedBy: role=friend }
  - { id: elsewhere, service: [tcp/81], providedBy: { label: role, in: [target, squatter] }, usedBy: { label: role, in: [stranger, friend] } }
`,
  },
];

/** One peer's outcomes. */
interface Outcome {
  readonly beganMs: number;
  readonly atMs: number;
  readonly peer: string;
  readonly what: 'new' | 'old';
  readonly ok: boolean;
}

describe('a container restarts on a new address', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start(specs, 180_000);
    const role = (name: string) => (FRIENDS.includes(name) ? 'friend' : STRANGERS.includes(name) ? 'stranger' : name);
    // Sticky: a container made anew under its name has its labels from the first moment on.
    for (const { containers = [] } of specs)
      for (const name of containers) await fleet.label(name, { role: role(name) });
    await fleet.provision(policy);
  }, 240_000);
  afterAll(() => fleet?.close());

  it('converges without a wrong allow, and without a wrong deny afterwards', async () => {
    const { docker } = fleet.member('home').host;
    const peers = [...FRIENDS, ...STRANGERS].map((name) => [name, fleet.place(name)] as const);
    const before = fleet.place('target').addresses.ip4;
    // Docker gives the lowest free address: the squatter gets the target's, the target the squatter's.
    const now = fleet.place('squatter').addresses.ip4;
    await until('friends to reach it', async () => {
      const all = await Promise.all(FRIENDS.map((name) => fleet.place(name).probe('tcp', before, PORT)));
      return all.every(({ ok }) => ok);
    });
    // Strangers never stop trying, at either address.
    const strangers: Attempts[] = [];
    for (const name of STRANGERS) {
      for (const address of [before, now])
        strangers.push(await fleet.place(name).attempts('tcp', address, PORT, { intervalMs: 20, timeoutMs: 500 }));
    }
    // Every peer talks on and on, to the new address and the old one.
    const outcomes: Outcome[] = [];
    let done = false;
    const talk = async (peer: string, place: Place, what: Outcome['what'], address: string) => {
      while (!done) {
        const beganMs = performance.now();
        const { ok } = await place.probe('tcp', address, PORT, 500);
        outcomes.push({ beganMs, atMs: performance.now(), peer, what, ok });
      }
    };
    const talks = peers.flatMap(([peer, place]) => [talk(peer, place, 'new', now), talk(peer, place, 'old', before)]);

    await docker.remove('squatter');
    await docker.client.getContainer('target').stop({ t: 0 });
    const squatter = await docker.run('squatter', { command: SERVER });
    // From here on the old address means somebody else; the new one does once Docker has started the target.
    const movedMs = { old: performance.now(), new: performance.now() };
    await docker.client.getContainer('target').start();
    const dockerMs = performance.now() - movedMs.new;
    const target = await docker.place('target');
    expect([squatter.addresses.ip4, target.addresses.ip4]).toEqual([before, now]);

    const allowed = ({ peer, what }: Outcome) => what === 'new' && FRIENDS.includes(peer);
    /** When the last exchange ended that was judged wrongly, since the address means somebody else. */
    const rightSince = (what: Outcome['what']) => {
      const wrong = outcomes.filter(
        (each) => each.what === what && each.beganMs >= movedMs[what] && each.ok !== allowed(each),
      );
      return Math.max(movedMs[what], ...wrong.map(({ atMs }) => atMs));
    };
    const rounds = 5;
    try {
      await until(
        'every peer to be judged rightly for several rounds',
        () => {
          const since = { new: rightSince('new'), old: rightSince('old') };
          return peers.every(([peer]) =>
            (['new', 'old'] as const).every(
              (what) =>
                outcomes.filter((each) => each.peer === peer && each.what === what && each.beganMs > since[what])
                  .length >= rounds,
            ),
          );
        },
        { timeoutMs: 60_000, intervalMs: 50 },
      );
    } finally {
      done = true;
      await Promise.all(talks);
    }
    const convergedMs = { new: rightSince('new') - movedMs.new, old: rightSince('old') - movedMs.old };
    const wrongAllows = outcomes.filter((each) => each.ok && !allowed(each) && each.beganMs >= movedMs[each.what]);
    const counts = await Promise.all(strangers.map((attempts) => attempts.stop()));
    const reached = counts.reduce((sum, { ok }) => sum + ok, 0);
    const tried = counts.reduce((sum, { started }) => sum + started, 0);
    const ms = (value: number) => `${value.toFixed(0)} ms`;
    process.stdout.write(
      `restart on a new address, ${outcomes.length} exchanges of 10 peers: new address right ${ms(convergedMs.new)} after Docker was ` +
        `asked to start it (Docker took ${ms(dockerMs)}), old one ${ms(convergedMs.old)} after the other one had it; friends that reached the one who took it: ` +
        `${wrongAllows.length}; strangers: ${reached} of ${tried} attempts through\n`,
    );
    expect(reached).toBe(0);
    expect(tried).toBeGreaterThan(50);
    expect(wrongAllows.filter(({ peer }) => STRANGERS.includes(peer))).toEqual([]);
    // Nothing is wrong after convergence: said by how convergence is found, and once more with a fresh exchange of each.
    for (const [name, place] of peers) {
      const friend = FRIENDS.includes(name);
      expect([name, (await place.probe('tcp', now, PORT, 500)).ok]).toEqual([name, friend]);
      expect([name, (await place.probe('tcp', before, PORT, 500)).ok]).toEqual([name, false]);
    }
  }, 120_000);

  it('names records from before by who had the address then', async () => {
    const flows = await fleet.api.flows();
    const early = flows.filter(({ source, servicePort }) => source?.workloadName === 'f1' && servicePort === PORT);
    early.sort((a, b) => Number(a.firstSeenUs - b.firstSeenUs));
    expect(early[0]?.destination?.workloadName).toBe('target');
    expect(early.at(-1)?.destination?.workloadName).toMatch(/^(target|squatter|)$/);
  });
});
