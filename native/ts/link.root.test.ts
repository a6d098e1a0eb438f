import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AttachType, LinkType } from './constants.js';
import { cgroupId, unpin } from './kernel.js';
import { BpfLink, queryCgroup, queryTcx, type TcxPlace } from './link.js';
import type { BpfMap } from './map.js';
import { BpfObject } from './object.js';
import type { BpfProgram } from './program.js';
import { addonPath, eventually, makeBpffs, makeNetns, readU64, testProgram, thrownBy, u32 } from './test-support.js';

const CGROUP_MOUNT = execFileSync('awk', ['$3 == "cgroup2" { print $2; exit }', '/proc/mounts'], {
  encoding: 'utf8',
}).trim();
const CGROUP = `${CGROUP_MOUNT}/rfnat-link`;
const LO = 1;

let object: BpfObject;
let counts: BpfMap;
let a: BpfProgram;
let b: BpfProgram;
let bpffs: ReturnType<typeof makeBpffs>;
let netns: ReturnType<typeof makeNetns>;
let place: TcxPlace;

const removeCgroup = (): void => {
  try {
    rmdirSync(CGROUP);
  } catch {
    // Not there.
  }
};

beforeAll(() => {
  removeCgroup();
  mkdirSync(CGROUP);
  object = BpfObject.open(testProgram('basic'));
  object.load();
  counts = object.map('t_hash');
  a = object.program('count_a');
  b = object.program('count_b');
  bpffs = makeBpffs('link');
  netns = makeNetns('link');
  place = { ifindex: LO, direction: 'ingress', netns: netns.path };
});
afterAll(() => {
  object.close();
  bpffs.remove();
  netns.remove();
  removeCgroup();
});
beforeEach(() => {
  const { keys } = counts.dump();
  counts.deleteBatch(keys);
});

const count = (key: number): bigint => readU64(counts.lookup(u32(key))) ?? 0n;

/** Sends UDP datagrams over lo of the namespace, to a receiver there, so that nothing answers. */
const SENDER = `
  const dgram = require('node:dgram');
  const receiver = dgram.createSocket('udp4').bind(0, '127.0.0.1', async () => {
    const sender = dgram.createSocket('udp4');
    const send = () => new Promise((done) => sender.send('x', receiver.address().port, '127.0.0.1', done));
    for (let i = 0; i < Number(process.argv[1]); i++) await send();
    sender.close(); receiver.close();
  });`;
const send = (packets: number) => ['netns', 'exec', netns.name, process.execPath, '-e', SENDER, String(packets)];

describe('BpfLink at TCX', () => {
  test('counts packets inside the namespace, none after close', () => {
    const link = BpfLink.attachTcx(a, place);
    execFileSync('ip', send(5));
    expect(count(1)).toBe(5n);
    expect(link.info()).toMatchObject({
      type: LinkType.TCX,
      progId: a.info.id,
      ifindex: LO,
      attachType: AttachType.TCX_INGRESS,
      cgroupId: 0n,
    });
    link.close();
    execFileSync('ip', send(5));
    expect(count(1)).toBe(5n);
    // The caller's own lo was never touched.
    expect(queryTcx({ ifindex: LO, direction: 'ingress' }).programs).toEqual([]);
  });

  test('head goes before, tail after; the revision grows with each change', () => {
    using first = BpfLink.attachTcx(a, place);
    const before = queryTcx(place);
    using head = BpfLink.attachTcx(b, { ...place, order: 'head' });
    const after = queryTcx(place);
    expect(after.programs).toEqual([
      { progId: b.info.id, linkId: head.info().id },
      { progId: a.info.id, linkId: first.info().id },
    ]);
    expect(after.revision).toBeGreaterThan(before.revision ?? 0n);
    expect(queryTcx({ ...place, direction: 'egress' }).programs).toEqual([]);
  });

  test('update with the expected program swaps, with another one changes nothing', () => {
    using link = BpfLink.attachTcx(a, place);
    const error = thrownBy(() => link.update(b, b), 'RF_LINK_CHANGED');
    expect(error.fields).toEqual({ found: a.info.id, expected: b.info.id });
    expect(link.info().progId).toBe(a.info.id);
    link.update(b, a);
    expect(link.info().progId).toBe(b.info.id);
    link.update(a);
    expect(link.info().progId).toBe(a.info.id);
    using other = object.program('pass_a');
    thrownBy(() => link.update(other), 'RF_LINK');
  });

  test('update under traffic: every packet meets exactly one of the two programs', async () => {
    using link = BpfLink.attachTcx(a, place);
    const sender = spawn('ip', send(20_000), { stdio: 'inherit' });
    let exit: number | undefined;
    sender.on('exit', (code) => {
      exit = code ?? -1;
    });
    let swaps = 0;
    await eventually(
      'end of the sender',
      () => {
        // An odd number: it is now the one, now the other that stays while this thread sleeps.
        for (let i = 0; i < 51; i++) {
          if (swaps++ % 2 === 0) link.update(b, a);
          else link.update(a, b);
        }
        return exit !== undefined;
      },
      60_000,
    );
    expect(exit).toBe(0);
    expect(count(1) + count(2)).toBe(20_000n);
    expect(count(1)).toBeGreaterThan(0n);
    expect(count(2)).toBeGreaterThan(0n);
  });

  test('a pinned link survives the process that made it', async () => {
    const pin = `${bpffs.path}/tcx`;
    // Raw addon in a process that is killed while it holds everything.
    const loader = `
      const n = require(${JSON.stringify(addonPath)});
      const o = n.openObjectFile(${JSON.stringify(testProgram('basic'))}, '');
      o.load();
      const l = n.attachTcx(o.program('count_a').fd(), ${LO}, 46, 'tail', ${JSON.stringify(netns.path)});
      l.pin(${JSON.stringify(pin)});
      process.kill(process.pid, 'SIGKILL');`;
    expect(() => execFileSync(process.execPath, ['-e', loader])).toThrow(/SIGKILL|Command failed/);
    const link = BpfLink.fromPin(pin);
    expect(queryTcx(place).programs).toEqual([{ progId: link.info().progId, linkId: link.info().id }]);
    // Taken over by another program, then gone with the pin.
    link.update(a);
    execFileSync('ip', send(3));
    expect(count(1)).toBe(3n);
    link.close();
    expect(queryTcx(place).programs.length).toBe(1);
    unpin(pin);
    await eventually('detachment', () => queryTcx(place).programs.length === 0);
  });

  test('detach works while others hold the link', () => {
    using link = BpfLink.attachTcx(a, place);
    using same = BpfLink.fromId(link.info().id);
    same.detach();
    expect(queryTcx(place).programs).toEqual([]);
    expect(link.info().ifindex).toBe(0);
  });

  test('a deleted interface leaves a defunct link', () => {
    execFileSync('ip', [
      '-n',
      netns.name,
      'link',
      'add',
      'rfnat-gone',
      'index',
      '900',
      'type',
      'veth',
      'peer',
      'rfnat-peer',
    ]);
    using link = BpfLink.attachTcx(a, { ...place, ifindex: 900 });
    expect(link.info().ifindex).toBe(900);
    execFileSync('ip', ['-n', netns.name, 'link', 'del', 'rfnat-gone']);
    expect(link.info().ifindex).toBe(0);
    thrownBy(() => link.update(b), 'RF_LINK');
    expect(thrownBy(() => queryTcx({ ...place, ifindex: 900 }), 'RF_NOT_FOUND').errnoName).toBe('ENODEV');
  });

  test('no interface, no namespace, wrong program', () => {
    thrownBy(() => BpfLink.attachTcx(a, { ...place, ifindex: 4242 }), 'RF_NOT_FOUND');
    thrownBy(() => BpfLink.attachTcx(a, { ...place, netns: '/run/netns/rfnat-nobody' }), 'RF_NETNS');
    using wrong = object.program('pass_a');
    thrownBy(() => BpfLink.attachTcx(wrong, place), 'RF_ATTACH');
  });
});

describe('BpfLink at a cgroup', () => {
  test('several programs beside each other, listed with their order', () => {
    using first = object.program('pass_a');
    using second = object.program('pass_b');
    using one = BpfLink.attachCgroup(first, CGROUP, AttachType.CGROUP_INET_EGRESS);
    using two = BpfLink.attachCgroup(second, CGROUP, AttachType.CGROUP_INET_EGRESS);
    expect(queryCgroup(CGROUP, AttachType.CGROUP_INET_EGRESS).programs.map((p) => p.progId)).toEqual([
      first.info.id,
      second.info.id,
    ]);
    expect(one.info()).toMatchObject({
      type: LinkType.CGROUP,
      progId: first.info.id,
      ifindex: 0,
      attachType: AttachType.CGROUP_INET_EGRESS,
      cgroupId: cgroupId(CGROUP),
    });
    expect(
      queryCgroup(CGROUP, AttachType.CGROUP_INET_EGRESS, { effective: true }).programs.length,
    ).toBeGreaterThanOrEqual(2);
    two.close();
    expect(queryCgroup(CGROUP, AttachType.CGROUP_INET_EGRESS).programs.length).toBe(1);
    expect(queryCgroup(CGROUP, AttachType.CGROUP_INET_INGRESS).programs).toEqual([]);
  });

  test('update with and without the expected program', () => {
    using first = object.program('pass_a');
    using second = object.program('pass_b');
    using link = BpfLink.attachCgroup(first, CGROUP, AttachType.CGROUP_INET_EGRESS);
    thrownBy(() => link.update(first, second), 'RF_LINK_CHANGED');
    link.update(second, first);
    expect(link.info().progId).toBe(second.info.id);
  });

  test('a connect hook refuses processes of that cgroup only', async () => {
    using refuse = object.program('refuse');
    using _link = BpfLink.attachCgroup(refuse, CGROUP, AttachType.CGROUP_INET4_CONNECT);
    const attempt =
      "require('node:net').connect(9, '127.0.0.1').on('error', (e) => { console.log(e.code); process.exit(); })";
    const inside = execFileSync(
      'sh',
      ['-c', `echo $$ > ${CGROUP}/cgroup.procs && exec "$0" -e "$1"`, process.execPath, attempt],
      { encoding: 'utf8' },
    );
    expect(inside.trim()).toBe('EPERM');
    const outside = await new Promise((resolve) => {
      connect(9, '127.0.0.1').on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    expect(outside).toBe('ECONNREFUSED');
  });

  test('no cgroup, no cgroup v2', () => {
    using program = object.program('pass_a');
    const attach = (path: string) => () => BpfLink.attachCgroup(program, path, AttachType.CGROUP_INET_EGRESS);
    thrownBy(attach(`${CGROUP}/nobody`), 'RF_NOT_FOUND');
    thrownBy(attach('/tmp'), 'RF_ARGUMENT');
    thrownBy(() => queryCgroup('/tmp', AttachType.CGROUP_INET_EGRESS), 'RF_ARGUMENT');
    thrownBy(() => BpfLink.attachCgroup(program, CGROUP, AttachType.CGROUP_INET4_CONNECT), 'RF_ATTACH');
  });
});

test('after close every call of a link is RF_CLOSED', () => {
  const link = BpfLink.attachTcx(a, place);
  link.close();
  link.close();
  expect(link.closed).toBe(true);
  const calls: (() => unknown)[] = [
    () => link.fd,
    () => link.info(),
    () => link.pin('/nowhere'),
    () => link.update(a),
    () => link.detach(),
  ];
  for (const call of calls) thrownBy(call, 'RF_CLOSED');
  const closed = object.program('echo');
  closed.close();
  thrownBy(() => BpfLink.attachTcx(closed, place), 'RF_CLOSED');
});
