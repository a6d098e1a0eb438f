// Real packets through the real datapath: containers at TC, host workloads at their cgroup.
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { probeFeatures } from '@ringfence/native';
import { ADDRESS, type Bed, datagram, echoes, ends, OPEN, open, SHUT } from './bed.js';
import { Fallback, type Report } from './report.js';

const { host4, host6, a4, a6, b4, b6 } = ADDRESS;

/** The bed's datapath is open; afterwards it is detached. */
export async function runScenarios(report: Report, bed: Bed): Promise<void> {
  await report.check('attach', async () => {
    await bed.apply(OPEN);
    const how = await attachedBy(bed);
    return how === 'tcx' ? undefined : new Fallback(`attached by ${how}`);
  });
  await allowed(report, bed);
  await denied(report, bed);
  await report.check('reported, no helper failed', async () => {
    const { lanes, helperErrors } = await bed.status();
    deepEqual(helperErrors, {});
    for (const lane of [lanes.flows, lanes.denies]) {
      ok(lane.produced > 0n, 'no event was produced');
      equal(lane.produced, lane.delivered + lane.dropped);
    }
  });
  await report.check('enforcing while the agent is dead, adopted', async () => {
    await bed.killOwner();
    equal(await open(bed.inA, 'while dead', b4, SHUT), 'ECONNREFUSED');
    equal(await echoes(bed.inA, `container ${b4}`), true);
    equal(await bed.open('auto'), 'adopted');
    await bed.apply(OPEN);
    equal(await echoes(bed.inA, `container ${b6}`), true);
  });
  // The older way of attaching works on every kernel, and a running host can be moved to it.
  if (probeFeatures().tcx.supported) {
    await report.check('moved from TCX to clsact', async () => {
      equal(await bed.open('clsact'), 'adopted');
      await bed.apply(OPEN);
      equal(await attachedBy(bed), 'clsact');
      equal(await echoes(bed.inA, `container ${b4}`), true);
      equal(await open(bed.inA, 'by clsact', b4, OPEN), 'open');
      equal(await open(bed.inA, 'not by clsact', b4, SHUT), 'ECONNREFUSED');
    });
  }
  await cut(report, bed);
  await report.check('isolated host', async () => {
    await bed.apply(OPEN, true);
    notEqual(await open(bed.inA, 'isolated', host4, OPEN, true), 'open');
  });
  await report.check('detached, no helper failed', async () => {
    deepEqual((await bed.status()).helperErrors, {});
    await bed.detach();
    equal(await open(bed.inA, 'free', b4, SHUT), 'open');
    equal(await open(bed.host, 'free', a4, SHUT), 'open');
  });
}

async function allowed(report: Report, bed: Bed): Promise<void> {
  await report.check('allowed: containers', async () => {
    for (const address of [b4, b6]) {
      equal(await open(bed.inA, `container ${address}`, address, OPEN), 'open');
      equal(await echoes(bed.inA, `container ${address}`), true);
      equal(await datagram(bed.inA, address, OPEN), 'answer');
    }
  });
  await report.check('allowed: host workloads', async () => {
    for (const address of [host4, host6]) equal(await open(bed.inA, `in ${address}`, address, OPEN), 'open');
    for (const address of [a4, a6]) {
      equal(await open(bed.service, `out ${address}`, address, OPEN), 'open');
      equal(await datagram(bed.service, address, OPEN), 'answer');
    }
    equal(await open(bed.host, 'loopback', '127.0.0.1', SHUT), 'open');
  });
}

async function denied(report: Report, bed: Bed): Promise<void> {
  await report.check('denied: containers', async () => {
    for (const address of [b4, b6]) {
      equal(await open(bed.inA, `shut ${address}`, address, SHUT), 'ECONNREFUSED');
      notEqual(await datagram(bed.inA, address, SHUT, true), 'answer');
    }
  });
  await report.check('denied: host workloads', async () => {
    for (const address of [host4, host6]) notEqual(await open(bed.inA, `no ${address}`, address, SHUT, true), 'open');
    for (const address of [a4, a6]) {
      equal(await open(bed.service, `no ${address}`, address, SHUT), 'EPERM');
      equal(await open(bed.host, `host ${address}`, address, OPEN), 'EPERM');
    }
  });
}

async function cut(report: Report, bed: Bed): Promise<void> {
  await report.check('cut: open connections end, idle ones too', async () => {
    const waiting = [
      ...[b4, b6].map((address) => [bed.inA, `container ${address}`] as const),
      [bed.inA, `in ${host4}`] as const,
      [bed.service, `out ${a4}`] as const,
    ].map(async ([process, name]) => ({ name, ended: await ends(process, name) }));
    const { sweep } = await bed.apply(SHUT);
    equal(sweep?.socketProblem, '');
    ok((sweep?.revoked ?? 0) >= waiting.length, `${sweep?.revoked} revoked`);
    const still = (await Promise.all(waiting)).filter(({ ended }) => !ended).map(({ name }) => name);
    deepEqual(
      still,
      [],
      `still open: ${still.join(', ')}; sweep: ${JSON.stringify(sweep, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}`,
    );
    equal(await open(bed.inA, 'now open', b4, SHUT), 'open');
    equal(await open(bed.inA, 'now shut', b4, OPEN), 'ECONNREFUSED');
  });
}

/** 'tcx' or 'clsact'. Throws when an endpoint is not in force. */
async function attachedBy(bed: Bed): Promise<string> {
  const { endpoints } = await bed.status();
  for (const { localId, inForce, why } of endpoints) ok(inForce, `${localId}: ${why}`);
  equal(endpoints.length, 4);
  const words = endpoints
    .flatMap(({ attachments }) => attachments)
    .flatMap((text) => /^(tcx|clsact)\//.exec(text)?.[1] ?? []);
  return [...new Set(words)].join(' and ');
}
