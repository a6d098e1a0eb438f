// Issue 5, must show 3: two behind one host address, only one allowed to a third host. With tags the other is refused at the
// receiver though its own host enforces nothing; without, the record says `shared`. Forged, replayed and stripped tags.
//
//   alpha  Docker (masquerade): containers good, bad; services good-svc, bad-svc. Visibility.   ─┐
//   beta   Docker: container web behind published 8080; service api on 80. Enforce.             ─┴─ router, where an attacker sits
import { randomBytes } from 'node:crypto';
import { readTagTally, type TagTally } from '@ringfence/agent/datapath/tag-maps.js';
import { ABI_VERSION, claimedIdentity, TAG_BYTES, TAG_KIND, TAG_SLOT_NS, tagOption } from '@ringfence/bpf';
import { BpfMap } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import { TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { confidenceToJSON, Direction, Reason, verdictToJSON } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../src/exec.js';
import { Fleet } from '../src/fleet.js';
import { tool } from '../src/tool.js';
import { until } from '../src/until.js';

const nat = { dockerNat: true, bridge: '172.17.0.1/16' } as const;
const ROLES = {
  good: 'good',
  'good-svc': 'good',
  bad: 'bad',
  'bad-svc': 'bad',
  alpha: 'machine',
  web: 'web',
  api: 'api',
};
const POLICY = `
modes:
  - id: servers
    match: { label: role, in: [web, api] }
    mode: enforce
rules:
  - id: only-good
    service: tcp/80
    providedBy: { label: role, in: [web, api] }
    usedBy: role=good
`;

const IN = Direction.DIRECTION_INBOUND;

let fleet: Fleet;
let firstEpoch = 0;
let beta = { ip4: '', ip6: '' };
let alpha = { ip4: '', ip6: '' };

beforeAll(async () => {
  fleet = await Fleet.start(
    [
      { name: 'alpha', ...nat, containers: ['good', 'bad'], services: ['good-svc', 'bad-svc'] },
      { name: 'beta', ...nat, containers: ['web'], publish: { web: { '80/tcp': 8080 } }, services: ['api'] },
    ],
    120_000,
  );
  for (const [name, role] of Object.entries(ROLES)) await fleet.label(name, { role });
  // Fast Open: for clients; for servers, and for every socket that listens from now on.
  await fleet.member('alpha').host.netns.sysctl({ 'net.ipv4.tcp_fastopen': 1 });
  await fleet.member('beta').host.netns.sysctl({ 'net.ipv4.tcp_fastopen': 0x403 });
  for (const name of ['web', 'api']) await fleet.place(name).serve('tcp:80');
  await fleet.provision([{ name: 'tags.yaml', content: POLICY }]);
  // Begins after half a minute; the last test waits for what is left of it.
  firstEpoch = (await fleet.api.rotateTagKeys()).epoch;
  beta = fleet.member('beta').host.addresses;
  alpha = fleet.member('alpha').host.addresses;
}, 180_000);
afterAll(() => fleet?.close());
beforeEach(async () => {
  await mode(TagMode.TAG_MODE_PEERS);
});

/** Switches tags and waits until both kernels follow: the switch is told outside of revisions. */
async function mode(wanted: TagMode): Promise<void> {
  await fleet.api.setTagMode(wanted);
  for (const name of ['alpha', 'beta']) {
    const { host, agent } = fleet.member(name);
    await until(`tags of ${name} to be ${TagMode[wanted]}`, async () => {
      if (!agent.running) throw new Error(agent.log.slice(-2000));
      using tags = BpfMap.fromPin(`${host.pinPath}/v${ABI_VERSION}/maps/rf_tags`);
      return (tags.keys().length === 0) === (wanted === TagMode.TAG_MODE_OFF);
    });
  }
}

/** What became of tags in one host's kernel since this was made. */
class Tally {
  readonly #counts: BpfMap;
  readonly #before: TagTally;

  constructor(readonly host: string) {
    this.#counts = BpfMap.fromPin(`${fleet.member(host).host.pinPath}/v${ABI_VERSION}/maps/rf_tag_counts`);
    this.#before = readTagTally(this.#counts);
  }

  /** Waits until this much was counted. */
  async until(wanted: Partial<Record<keyof TagTally, number>>): Promise<void> {
    await until(`tags of ${this.host}: ${JSON.stringify(wanted)}`, () => {
      const now = readTagTally(this.#counts);
      const names = Object.keys(wanted) as (keyof TagTally)[];
      const since = names.map((name) => [name, Number(now[name] - this.#before[name])] as const);
      if (since.some(([name, count]) => count < (wanted[name] ?? 0))) throw new Error(JSON.stringify(since));
      return true;
    });
    this.#counts.close();
  }
}

/**
 * Records of connections to the server since beginUs, as its own host saw them: verdict, confidence, and who it was. `fromPort`: only what
 * came from there; without it nobody else may call at that time.
 */
async function seen(server: string, beginUs: number, views: 1 | 2, fromPort?: number): Promise<string> {
  const found = await until(
    `the record of a connection to ${server} with ${views} views`,
    async () => {
      const all = (await fleet.api.flows()).filter(
        (flow) =>
          flow.destination?.workloadName === server &&
          flow.reason !== Reason.REASON_LOOPBACK &&
          flow.servicePort === 80 &&
          (fromPort === undefined || flow.source?.port === fromPort) &&
          Number(flow.firstSeenUs) >= beginUs - 15_000,
      );
      const flow = all.sort((a, b) => Number(a.firstSeenUs) - Number(b.firstSeenUs)).at(-1);
      const view = views === 2 ? flow?.views.find(({ direction }) => direction === IN) : flow;
      return flow !== undefined && view?.direction === IN ? { flow, view } : undefined;
    },
    { intervalMs: 100 },
  );
  const { flow, view } = found;
  const word = (text: string) => text.slice(text.indexOf('_') + 1).toLowerCase();
  return `${word(verdictToJSON(view.verdict))} ${word(confidenceToJSON(view.confidence))} ${flow.source?.workloadName || 'nobody'}`;
}

/** One connection, as the caller saw it and as the server's host recorded it. */
async function call(from: string, server: string, address: string, port: number): Promise<[boolean, string]> {
  const beginUs = Date.now() * 1000;
  const { ok } = await fleet.place(from).probe('tcp', address, port, 1500);
  return [ok, await seen(server, beginUs, 2)];
}

const WAYS = [
  ['a container, IPv4', 'good', 'bad', 'api', () => [beta.ip4, 80]],
  ['a container to a published port, IPv4', 'good', 'bad', 'web', () => [beta.ip4, 8080]],
  ['a service, IPv4', 'good-svc', 'bad-svc', 'api', () => [beta.ip4, 80]],
  ['a service, IPv6', 'good-svc', 'bad-svc', 'api', () => [beta.ip6, 80]],
  ['a service to a published port, IPv4', 'good-svc', 'bad-svc', 'web', () => [beta.ip4, 8080]],
] as const satisfies readonly (readonly [string, string, string, string, () => [string, number]])[];

describe('two behind one address', () => {
  it.each(WAYS)('%s: with tags the forbidden one is refused at the receiver', async (_, good, bad, server, to) => {
    expect(await call(good, server, ...to())).toEqual([true, `allowed tagged ${good}`]);
    expect(await call(bad, server, ...to())).toEqual([false, `blocked tagged ${bad}`]);
  });

  it.each(WAYS)('%s: without tags both are let in, and the record says shared', async (_, good, bad, server, to) => {
    await mode(TagMode.TAG_MODE_OFF);
    expect(await call(good, server, ...to())).toEqual([true, `allowed shared ${good}`]);
    expect(await call(bad, server, ...to())).toEqual([true, `allowed shared ${bad}`]);
  });
});

/** A SYN from alpha's uplink, caught by the router while the call goes on. */
async function caught(from: string, address: string, port: number): Promise<Buffer> {
  const { router } = fleet.lab;
  const capture = router.exec(await tool(), ['capture', address, String(port), '--timeout-ms', '8000']);
  let found = false;
  const calling = (async () => {
    while (!found) await fleet.place(from).probe('tcp', address, port, 500);
  })();
  const lines = await capture.finally(() => {
    found = true;
  });
  await calling;
  const { packet } = JSON.parse(lines.trim().split('\n').at(-1) ?? '{}') as { packet?: string };
  if (packet === undefined || packet === '') throw new Error(`no SYN to ${address} ${port} passed the router`);
  return Buffer.from(packet, 'hex');
}

interface Seen {
  readonly bytes: Buffer;
  /** Offset of the TCP header. */
  readonly l4: number;
  /** Offset of the tag's option. */
  readonly tagAt: number;
}

function parsed(bytes: Buffer): Seen {
  const l4 = (bytes[0] ?? 0) >> 4 === 6 ? 40 : ((bytes[0] ?? 0) & 15) * 4;
  const tagAt = bytes.indexOf(Buffer.from([TAG_KIND, TAG_BYTES, 0x52, 0x46]), l4);
  if (tagAt < 0) throw new Error(`no tag in ${bytes.toString('hex')}`);
  return { bytes, l4, tagAt };
}

/** Sends the packet from this namespace as if it came from there; what the server answered. */
async function inject(netns: string, source: string, port: number, packet: Uint8Array): Promise<string> {
  const args = [
    'inject',
    source,
    String(port),
    '--packet',
    Buffer.from(packet).toString('hex'),
    '--timeout-ms',
    '2000',
  ];
  const out = await run('nsenter', [`--net=${netns}`, await tool(), ...args]);
  return (JSON.parse(out.trim()) as { answer: string }).answer;
}

describe('an attacker on the way', () => {
  let port = 41_000;

  it.each([
    ['IPv4', () => beta.ip4, () => alpha.ip4],
    ['IPv6', () => beta.ip6, () => alpha.ip6],
  ] as const)('%s: a caught SYN sent again is one without a tag; a forged one too', async (_, to, from) => {
    const { path } = fleet.lab.router;
    const { bytes, l4, tagAt } = parsed(await caught('good-svc', to(), 80));
    const tally = new Tally('beta');
    let beginUs = Date.now() * 1000;
    expect(await inject(path, from(), ++port, bytes)).toBe('syn-ack');
    expect(await seen('api', beginUs, 1, port)).toMatch(/^allowed shared/);
    await tally.until({ replayed: 1 });
    // The forbidden one's SYN, made to say it is the allowed one: with another key, and with the key that was seen.
    const allowed = claimedIdentity(bytes.subarray(tagAt));
    const bad = parsed(await caught('bad-svc', to(), 80));
    expect(claimedIdentity(bad.bytes.subarray(bad.tagAt))).not.toBe(allowed);
    const renamed = Buffer.from(bad.bytes);
    renamed.writeUInt32BE(allowed, bad.tagAt + 4);
    const forged = Buffer.from(bytes);
    const claim = {
      identity: allowed,
      isn: bytes.readUInt32BE(l4 + 4),
      epoch: (bytes[tagAt + 15] ?? 0) >> 5,
      slot: Number((BigInt(Date.now()) * 1_000_000n) / TAG_SLOT_NS),
      bound: { kind: 'address', address: parseAddress(to()) ?? new Uint8Array(16), port: 80 },
    } as const;
    forged.set(tagOption(randomBytes(16), claim), tagAt);
    const before = new Tally('beta');
    for (const packet of [renamed, forged]) {
      beginUs = Date.now() * 1000;
      expect(await inject(path, from(), ++port, packet)).toBe('syn-ack');
      expect(await seen('api', beginUs, 1, port)).toMatch(/^allowed shared/);
    }
    await before.until({ invalid: 2 });
  });

  it('a SYN whose tag was replaced by padding on the way, is shared', async () => {
    const { netns } = fleet.member('alpha').host;
    const table = ['table', 'inet', 'rfstrip'];
    const rules = `table inet rfstrip {
 chain out {
 type filter hook postrouting priority 300
 tcp flags syn reset tcp option ${TAG_KIND}
 }
}
`;
    await netns.exec('nft', ['-f', '-'], { input: rules });
    try {
      const tally = new Tally('beta');
      expect(await call('bad-svc', 'api', beta.ip4, 80)).toEqual([true, 'allowed shared bad-svc']);
      await tally.until({ absent: 1 });
    } finally {
      await netns.exec('nft', ['delete', ...table]);
    }
  });

  it("a container that sends another's SYN, is stripped of the tag by its own host", async () => {
    const { bytes } = parsed(await caught('good', beta.ip4, 80));
    const tally = new Tally('alpha');
    const bad = fleet.place('bad');
    const beginUs = Date.now() * 1000;
    expect(await inject(bad.netns, bad.addresses.ip4, ++port, bytes)).toBe('syn-ack');
    expect(await seen('api', beginUs, 2, port)).toBe('allowed shared bad');
    await tally.until({ foreign: 1 });
  });
});

describe('a SYN without room', () => {
  it('Fast Open with a cookie, goes untagged and is counted', async () => {
    const tally = new Tally('alpha');
    const process = await fleet.place('good-svc').start(['fastopen', beta.ip4, '80']);
    expect(await process.event('fastopen')).toMatchObject({ echoed: 2, cookie_used: true });
    await tally.until({ written: 1, noRoom: 1 });
  });
});

describe('keys', () => {
  it('when they change, connections go on being told apart; hosts report what became of tags', async () => {
    const state = await until(
      'the next epoch',
      async () => {
        const now = await fleet.api.tags();
        return now.epoch > firstEpoch ? now : undefined;
      },
      { timeoutMs: 45_000, intervalMs: 200 },
    );
    expect(await call('good', 'api', beta.ip4, 80)).toEqual([true, 'allowed tagged good']);
    expect(await call('bad', 'api', beta.ip4, 80)).toEqual([false, 'blocked tagged bad']);
    const reported = (host: string) => state.hosts.find(({ hostId }) => hostId === host);
    expect(reported('alpha')).toMatchObject({ capable: true, writes: true });
    expect(reported('alpha')?.tallies?.written).toBeGreaterThan(0n);
    expect(reported('beta')?.tallies?.valid).toBeGreaterThan(0n);
  });
});
