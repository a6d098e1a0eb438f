// Programs replaced under traffic: every packet meets the old or the new one, connections go on, nothing forbidden slips through.
import { appendFileSync, existsSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ABI_VERSION } from '@ringfence/bpf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  A,
  ADDRESS,
  B,
  bytes,
  CGROUP_ROOT,
  containers,
  copyObjects,
  HOST,
  makeBed,
  PIN_PATH,
  programIds,
  removeBed,
} from './testing/bed.js';
import type { Request } from './testing/driver.js';
import { buildHelpers, Forked } from './testing/forked.js';
import { allow, fullUpdate, setOf } from './testing/policies.js';
import type { TrafficRequest } from './testing/traffic.js';
import type { DatapathStatus } from './types.js';

const [ID_A, ID_B, OPEN, SHUT] = [101, 102, 8001, 8002];
const config = { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] } as const;
const list = [allow(1, 6, OPEN)];
const update = fullUpdate(
  1,
  [
    { localId: `container:${A}`, identity: ID_A, setOut: setOf({ [ID_B]: list }) },
    { localId: `container:${B}`, identity: ID_B, setIn: setOf({ [ID_A]: list }) },
  ],
  { [ADDRESS.a4]: ID_A, [ADDRESS.b4]: ID_B },
);
let [firstBuild, nextBuild] = ['', ''];
let owner: Forked<Request>;
let inA: Forked<TrafficRequest>;
let inB: Forked<TrafficRequest>;

async function open(dir: string): Promise<unknown> {
  owner = await Forked.start<Request>('driver', HOST);
  const options = {
    pinPath: PIN_PATH,
    cgroupRoot: CGROUP_ROOT,
    objectDir: dir,
    ringBytes: 65_536,
    denyRingBytes: 65_536,
  };
  return owner.ask({ do: 'open', options, config });
}

async function start(dir: string): Promise<unknown> {
  const how = await open(dir);
  expect(await owner.ask({ do: 'apply', update, locals: containers() })).toMatchObject({ kind: 'ok' });
  return how;
}

beforeAll(async () => {
  buildHelpers();
  await makeBed();
  [firstBuild, nextBuild] = [copyObjects(), copyObjects()];
  // Another build of the same source: bytes after the end of the ELF file change its hash and nothing else.
  for (const name of readdirSync(nextBuild))
    if (name.endsWith('.bpf.o')) appendFileSync(join(nextBuild, name), 'another');
  inA = await Forked.start<TrafficRequest>('traffic', A);
  inB = await Forked.start<TrafficRequest>('traffic', B);
  for (const port of [OPEN, SHUT]) await inB.ask({ do: 'serve', port });
});

afterAll(async () => {
  await owner?.ask({ do: 'detach' }).catch(() => undefined);
  for (const process of [owner, inA, inB]) await process?.kill();
  removeBed();
});

describe('Datapath, replacement of programs under traffic', () => {
  it('switches every link, keeps link ids and connections, lets nothing forbidden through', async () => {
    expect(await start(firstBuild)).toBe('fresh');
    const links = await owner.ask({ do: 'links' });
    expect(await inA.ask({ do: 'open', id: 'kept', host: ADDRESS.b4, port: OPEN, timeoutMs: 1500 })).toBe('open');
    await inA.ask({ do: 'pump', id: 'kept' });
    let programs = programIds(`v${A}`);
    expect(programs).toHaveLength(2);
    for (const dir of [nextBuild, firstBuild]) {
      await owner.kill();
      const started = start(dir);
      let forbidden = 0;
      let lost = 0;
      let tried = 0;
      const trying = (async () => {
        let running = true;
        const stop = started.finally(() => {
          running = false;
        });
        while (running) {
          tried += 1;
          const how = await inA.ask({ do: 'open', id: `t${tried}`, host: ADDRESS.b4, port: SHUT, timeoutMs: 1500 });
          if (how === 'open') forbidden += 1;
          const allowed = await inA.ask({ do: 'open', id: `a${tried}`, host: ADDRESS.b4, port: OPEN, timeoutMs: 1500 });
          if (allowed !== 'open') lost += 1;
        }
        await stop;
      })();
      expect(await started).toBe('upgraded');
      await trying;
      expect(tried).toBeGreaterThan(0);
      expect([forbidden, lost]).toEqual([0, 0]);
      expect(await owner.ask({ do: 'links' })).toEqual(links);
      expect(programIds(`v${A}`)).not.toEqual(programs);
      programs = programIds(`v${A}`);
    }
    const kept = await inA.ask<{ received: number; end: string | undefined }>({ do: 'pumped', id: 'kept' });
    expect(kept.end).toBeUndefined();
    expect(await inA.ask({ do: 'echo', id: 'kept', timeoutMs: 1500 })).toBe(true);
  });

  it('pins of a build that had fewer maps, are supplied with them', async () => {
    await owner.kill();
    const pins = ['rf_tags', 'rf_tag_seen', 'rf_sockets'].map((name) =>
      join(PIN_PATH, `v${ABI_VERSION}`, 'maps', name),
    );
    for (const pin of pins) unlinkSync(pin);
    expect(await start(firstBuild)).toBe('upgraded');
    expect(pins.map((pin) => existsSync(pin))).toEqual([true, true, true]);
    expect(await inA.ask({ do: 'echo', id: 'kept', timeoutMs: 1500 })).toBe(true);
  });

  it('pins of another ABI, enforce until the first apply and are gone after it', async () => {
    await owner.kill();
    const [own, other] = [ABI_VERSION, ABI_VERSION + 1].map((abi) => join(PIN_PATH, `v${abi}`)) as [string, string];
    renameSync(own, other);
    expect(await open(firstBuild)).toBe('replacing');
    const programs = programIds(`v${A}`);
    expect(programs).toHaveLength(2);
    expect(await inA.ask({ do: 'open', id: 'shut', host: ADDRESS.b4, port: SHUT, timeoutMs: 1500 })).toBe(
      'ECONNREFUSED',
    );
    // Killed before it had anything to put beside them.
    await owner.kill();
    expect(existsSync(other)).toBe(true);
    expect(await start(firstBuild)).toBe('adopted');
    expect(existsSync(other)).toBe(false);
    const [now, gone] = [programIds(`v${A}`), new Set(programs)];
    expect([now.length, now.filter((id) => gone.has(id))]).toEqual([2, []]);
    expect(await inA.ask({ do: 'echo', id: 'kept', timeoutMs: 5000 })).toBe(true);
    expect(await inA.ask({ do: 'open', id: 'shut', host: ADDRESS.b4, port: SHUT, timeoutMs: 1500 })).toBe(
      'ECONNREFUSED',
    );
  });

  it('an owner killed in the middle of a flush, leaves a state that enforces and that the next one completes', async () => {
    const many = Array.from({ length: 40_000 }, (_, i) => ({
      space: '',
      address: bytes(`10.${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`),
      identity: 300 + (i % 50),
      shared: [],
      unmanaged: false,
    }));
    const large = { ...update, revision: 2, bindings: [...update.bindings, ...many] };
    for (const delayMs of [40, 90, 140]) {
      const lost = owner.ask({ do: 'apply', update: large, locals: containers() }).catch(() => 'killed');
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await owner.kill();
      await lost;
      expect(await inA.ask({ do: 'open', id: `f${delayMs}`, host: ADDRESS.b4, port: SHUT, timeoutMs: 1500 })).toBe(
        'ECONNREFUSED',
      );
      expect(await inA.ask({ do: 'open', id: `g${delayMs}`, host: ADDRESS.b4, port: OPEN, timeoutMs: 1500 })).toBe(
        'open',
      );
      expect(await start(firstBuild)).toBe('adopted');
    }
    const peers = async () =>
      (await owner.ask<DatapathStatus>({ do: 'status' })).tables.find((t) => t.table === 'rf_peers')?.entries;
    expect(await peers()).toBe(2);
    expect(await owner.ask({ do: 'apply', update: large, locals: containers() })).toMatchObject({ kind: 'ok' });
    expect(await peers()).toBe(40_002);
    expect(await inA.ask({ do: 'echo', id: 'kept', timeoutMs: 1500 })).toBe(true);
  });
});
