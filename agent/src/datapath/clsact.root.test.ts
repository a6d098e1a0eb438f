// Kernels without TCX: the same decisions by clsact filters, which no pin holds and no death removes.

import { clsactQuery } from '@ringfence/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Datapath } from './datapath.js';
import {
  A,
  ADDRESS,
  B,
  CGROUP_ROOT,
  containers,
  copyObjects,
  HOST,
  ifindexOf,
  makeBed,
  PIN_PATH,
  removeBed,
} from './testing/bed.js';
import type { Request } from './testing/driver.js';
import { buildHelpers, Forked } from './testing/forked.js';
import { allow, fullUpdate, setOf } from './testing/policies.js';
import type { TrafficRequest } from './testing/traffic.js';

const [ID_A, ID_B, OPEN, SHUT] = [101, 102, 8001, 8002];
const list = [allow(1, 6, OPEN)];
const update = fullUpdate(
  1,
  [
    { localId: `container:${A}`, identity: ID_A, setOut: setOf({ [ID_B]: list }) },
    { localId: `container:${B}`, identity: ID_B, setIn: setOf({ [ID_A]: list }) },
  ],
  { [ADDRESS.a4]: ID_A, [ADDRESS.b4]: ID_B },
);
const options = {
  pinPath: PIN_PATH,
  cgroupRoot: CGROUP_ROOT,
  objectDir: copyObjects(),
  ringBytes: 65_536,
  denyRingBytes: 65_536,
  tcMode: 'clsact',
} as const;
const config = { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] } as const;
let owner: Forked<Request>;
let inA: Forked<TrafficRequest>;
let inB: Forked<TrafficRequest>;

async function start(): Promise<unknown> {
  owner = await Forked.start<Request>('driver', HOST);
  const how = await owner.ask({ do: 'open', options, config });
  expect(await owner.ask({ do: 'apply', update, locals: containers() })).toMatchObject({ kind: 'ok' });
  return how;
}

const filters = () =>
  [A, B].flatMap((netns) =>
    (['ingress', 'egress'] as const).map((direction) =>
      clsactQuery({
        ifindex: ifindexOf(`v${netns}`),
        direction,
        netns: `/run/netns/${HOST}`,
        priority: 4719,
        handle: 1,
      }),
    ),
  );
const connect = (id: string, port: number) =>
  inA.ask<string>({ do: 'open', id, host: ADDRESS.b4, port, timeoutMs: 1500 });

beforeAll(async () => {
  buildHelpers();
  await makeBed();
  inA = await Forked.start<TrafficRequest>('traffic', A);
  inB = await Forked.start<TrafficRequest>('traffic', B);
  for (const port of [OPEN, SHUT]) await inB.ask({ do: 'serve', port });
});

afterAll(async () => {
  await owner?.ask({ do: 'detach' }).catch(() => undefined);
  for (const process of [owner, inA, inB]) await process?.kill();
  removeBed();
});

describe('Datapath, clsact', () => {
  it('decides as with TCX', async () => {
    expect(await start()).toBe('fresh');
    expect(filters().every((id) => id !== undefined)).toBe(true);
    expect(await connect('open', OPEN)).toBe('open');
    expect(await connect('shut', SHUT)).toBe('ECONNREFUSED');
  });

  it('outlives its owner, and the next one takes the filters over', async () => {
    const before = filters();
    await owner.kill();
    expect(await connect('shut while dead', SHUT)).toBe('ECONNREFUSED');
    expect(await start()).toBe('adopted');
    expect(filters()).toEqual(before);
    expect(await inA.ask({ do: 'echo', id: 'open', timeoutMs: 1500 })).toBe(true);
  });

  it('leaves no filter behind when detached', async () => {
    await owner.ask({ do: 'detach' });
    expect(filters()).toEqual([undefined, undefined, undefined, undefined]);
    expect(await connect('free', SHUT)).toBe('open');
    expect(Datapath.remove(options)).toBe(false);
  });
});
