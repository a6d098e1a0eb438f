import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAddress } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { policySet } from '@ringfence/proto/policy-set.js';
import { afterAll, expect, it } from 'vitest';
import { applyUpdate, emptyInstructions, type Instructions, snapshotOf } from '../desired/instructions.js';
import { LastGoodFile } from './last-good.js';

const directory = mkdtempSync(join(tmpdir(), 'rfag-lastgood-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const address = parseAddress('10.1.2.3') as Uint8Array;

function someInstructions(revision: number): Instructions {
  const set = policySet([
    { anyone: true, identities: [], classes: [], ports: [] },
    {
      anyone: false,
      identities: [7],
      classes: [],
      ports: [{ protocol: 6, portLow: 80, portHigh: 80, rule: 3, allow: true, constraints: 0 }],
    },
  ]);
  const result = applyUpdate(emptyInstructions(), undefined, {
    ...snapshotOf(emptyInstructions()),
    revision,
    policyVersion: 4,
    sets: [set],
    assignments: [
      {
        localId: 'host',
        workloadId: 'w1',
        identity: 5,
        modeIn: 2,
        modeOut: 1,
        setIn: set.hash,
        setOut: '',
        isolated: false,
        space: 'local:bridge',
        reject: true,
        labels: { role: 'web' },
      },
    ],
    bindings: [{ space: '', address, identity: 7, shared: [7, 9], unmanaged: true }],
    cidrs: [{ prefix: { address, length: 128 }, classId: 2 }],
    nats: [{ space: '', protocol: 6, address, port: 8080, identity: 7, targetPort: 80 }],
    failsafes: [{ direction: Direction.DIRECTION_INBOUND, protocol: 6, port: 22, remote: { address, length: 128 } }],
  });
  if (result.kind !== 'complete') throw new Error(JSON.stringify(result));
  return result.next;
}

it('LastGoodFile gives back every table, the way back and the workloads', async () => {
  const file = new LastGoodFile<{ localId: string; id: bigint }>(join(directory, 'state.cbor'));
  expect(file.read()).toBeUndefined();
  const instructions = someInstructions(9);
  const before = someInstructions(8);
  await file.write(() => ({
    epoch: 'e',
    instructions,
    pending: { policyVersion: 4, confirmWithinMs: 100, untilMs: 77, before: { instructions: before, epoch: 'd' } },
    bootId: 'b',
    workloads: [{ localId: 'host', id: 2n ** 60n }],
  }));
  const read = file.read();
  expect(read).toMatchObject({ epoch: 'e', bootId: 'b', workloads: [{ localId: 'host', id: 2n ** 60n }] });
  const plain = (value: unknown) =>
    JSON.parse(JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)));
  expect(plain(read && snapshotOf(read.instructions))).toEqual(plain(snapshotOf(instructions)));
  expect(plain(read?.pending && snapshotOf(read.pending.before.instructions))).toEqual(plain(snapshotOf(before)));
  expect(read?.pending).toMatchObject({ policyVersion: 4, confirmWithinMs: 100, untilMs: 77, before: { epoch: 'd' } });
  expect(read?.instructions.bindings.size).toBe(1);
});

it('LastGoodFile refuses a cut file by name, puts it aside and begins anew', async () => {
  const path = join(directory, 'cut.cbor');
  const file = new LastGoodFile(path);
  await file.write(() => ({
    epoch: 'e',
    instructions: someInstructions(1),
    pending: undefined,
    bootId: 'b',
    workloads: [],
  }));
  writeFileSync(path, readFileSync(path).subarray(0, -1));
  expect(() => file.read()).toThrow(/cut\.cbor: found \d+ bytes of content, wanted \d+/);
  expect(existsSync(`${path}.refused`)).toBe(true);
  expect(file.read()).toBeUndefined();
});
