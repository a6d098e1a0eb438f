import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Fleet } from '../src/fleet.js';
import type { AttemptCount, Server, StreamCount } from '../src/place.js';
import { until } from '../src/until.js';
import { Witness } from '../src/witness.js';
import type { RowPrinter } from './rows.js';

/** New attempts each phase must see before it counts as observed. */
const enough = 150;

/** A revoked connection must end this soon after the policy was provisioned. */
const cutWithinMs = 1000;

function allowedRow(what: string, count: AttemptCount): Parameters<RowPrinter['row']>[0] {
  const lost = count.started - count.ok;
  return { what, expected: 'none lost', actual: `${count.ok} of ${count.started} answered`, ok: lost === 0 };
}

/**
 * Kills and restarts the agents of both hosts while an allowed and a forbidden source open connections all the time. The
 * forbidden packets are counted where they would arrive, by nftables in the receiver's namespace.
 */
export async function killTheAgents(fleet: Fleet, print: RowPrinter): Promise<void> {
  print.chapter('Both agents are killed (kill -9) and started again, under traffic');
  const [web, batch, db] = [fleet.place('web'), fleet.place('batch'), fleet.place('db')];
  const witness = await Witness.place(db.netns, {
    protocol: 'tcp',
    source: batch.addresses.ip4,
    destination: db.addresses.ip4,
  });
  const stream = await web.stream('tcp', db.addresses.ip4, 5432);
  const allowed = await web.attempts('tcp', db.addresses.ip4, 5432, { intervalMs: 10, timeoutMs: 3000 });
  const forbidden = await batch.attempts('tcp', db.addresses.ip4, 5432, { intervalMs: 10, timeoutMs: 300 });
  const more = async () => {
    const from = (await forbidden.counts()).started;
    await until(`${enough} further attempts`, async () => (await forbidden.counts()).started >= from + enough);
  };
  const agents = [...fleet.members.values()].map((m) => m.agent);
  await more();
  await Promise.all(agents.map((a) => a.kill()));
  print.note(`agents of ${[...fleet.members.keys()].join(' and ')} killed; nothing of Ringfence runs on the hosts now`);
  await more();
  const dead = await allowed.counts();
  const deadForbidden = await forbidden.counts();
  print.row(allowedRow('web -> db  tcp/5432, agents dead', { ...dead, started: dead.started - inFlight(dead) }));
  print.row(blockedRow('batch -> db  tcp/5432, agents dead', deadForbidden, (await witness.packets())[0] ?? 0));
  await Promise.all(agents.map((a) => a.start()));
  await fleet.converged();
  await more();
  print.note('agents started again; they adopted what was pinned');
  print.row(allowedRow('web -> db  tcp/5432, start to end', await allowed.stop()));
  const tried = await forbidden.stop();
  print.row(blockedRow('batch -> db  tcp/5432, start to end', tried, (await witness.packets())[0] ?? 0));
  print.row(undisturbed('web -> db  one open connection', await stream.stop()));
}

/** Attempts that have neither succeeded nor failed yet. */
function inFlight(count: AttemptCount): number {
  const { started, ok, refused, eperm, timeout, reset, other } = count;
  return started - ok - refused - eperm - timeout - reset - other;
}

function blockedRow(what: string, count: AttemptCount, packets: number): Parameters<RowPrinter['row']>[0] {
  return {
    what,
    expected: 'none through',
    actual: `${count.ok} of ${count.started} answered, ${packets} packets at db`,
    ok: count.ok === 0 && packets === 0 && count.started > 0,
  };
}

function undisturbed(what: string, count: StreamCount): Parameters<RowPrinter['row']>[0] {
  const ok = count.closed === 'none' && count.missing === 0 && count.repeated === 0 && count.received > 0;
  const pause = (count.longestSilenceUs / 1000).toFixed(0);
  const actual = `${count.received} of ${count.sent} records, longest pause ${pause} ms`;
  return { what, expected: 'undisturbed', actual: ok ? actual : `${actual}, ${count.closed}`, ok };
}

/** Takes rules away while connections that they allow are open: those are cut, the others go on. */
export async function changeThePolicy(
  fleet: Fleet,
  servers: ReadonlyMap<string, Server>,
  files: readonly PolicyFile[],
  print: RowPrinter,
): Promise<void> {
  print.chapter('20-cache.yaml is taken away under open connections');
  const [web, metrics, db, cache] = ['web', 'metrics', 'db', 'cache'].map((name) => fleet.place(name));
  if (!web || !metrics || !db || !cache) throw new Error('Cannot change the policy: the story lacks a place');
  const kept = [
    { what: 'web -> db  tcp/5432 IPv4 (kept)', stream: await web.stream('tcp', db.addresses.ip4, 5432) },
    { what: 'web -> db  tcp/5432 IPv6 (kept)', stream: await web.stream('tcp', db.addresses.ip6, 5432) },
    { what: 'metrics -> web  tcp/80 IPv4 (kept)', stream: await metrics.stream('tcp', web.addresses.ip4, 80) },
  ];
  const revoked = [
    { what: 'web -> cache  tcp/6379 IPv4 (revoked)', stream: await web.stream('tcp', cache.addresses.ip4, 6379) },
    { what: 'web -> cache  tcp/6379 IPv6 (revoked)', stream: await web.stream('tcp', cache.addresses.ip6, 6379) },
    { what: 'metrics -> db  tcp/9100 IPv4 (revoked)', stream: await metrics.stream('tcp', db.addresses.ip4, 9100) },
  ];
  const flowing = [...kept, ...revoked];
  await until('every connection to carry records', async () => {
    const counts = await Promise.all(flowing.map((s) => s.stream.counts()));
    return counts.every((c) => c.received > 10);
  });
  const begin = performance.now();
  const response = await fleet.api.apply(files.filter((f) => f.name !== '20-cache.yaml'));
  if (!response.accepted) throw new Error(`Cannot take the file away: ${response.problems.map((p) => p.message)}`);
  const cuts = await Promise.all(
    revoked.map(async ({ what, stream }) => {
      const count = await stream.closed(5000).catch(() => undefined);
      return { what, ms: performance.now() - begin, why: count?.closed };
    }),
  );
  for (const { what, ms, why } of cuts) {
    const actual = why === undefined ? 'still open after 5 s' : `${why} after ${ms.toFixed(0)} ms`;
    print.row({ what, expected: 'cut within 1 s', actual, ok: why !== undefined && ms < cutWithinMs });
  }
  await fleet.converged(response.version);
  for (const { what, stream } of kept) print.row(undisturbed(what, await stream.stop()));
  const before = (await servers.get('cache')?.counts())?.[0]?.accepted;
  const again = await web.probe('tcp', cache.addresses.ip4, 6379, 400);
  const after = (await servers.get('cache')?.counts())?.[0]?.accepted;
  print.row({
    what: 'web -> cache  tcp/6379 IPv4, new',
    expected: 'blocked',
    actual: again.ok ? 'answered' : `${again.error} after ${(again.totalUs / 1000).toFixed(1)} ms`,
    ok: !again.ok && before === after,
  });
}
