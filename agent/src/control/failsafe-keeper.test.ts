import { formatAddress } from '@ringfence/proto/address.js';
import { expect, test } from 'vitest';
import type { FailsafeState } from '../desired/update.js';
import { FailsafeKeeper } from './failsafe-keeper.js';
import { adminFailsafes } from './failsafes.js';

const text = ({ remote, port }: FailsafeState) => `${formatAddress(remote.address)}:${port}`;
const admin = adminFailsafes([{ from: '192.0.2.0/24', port: 22, protocol: 'tcp' }]);

function rig(applied: string[][]) {
  const at: { address: () => string | undefined } = { address: () => undefined };
  const problems: unknown[] = [];
  const keeper = new FailsafeKeeper({
    admin,
    address: () => at.address(),
    apply: async (failsafes) => void applied.push(failsafes.map(text)),
    onProblem: (error) => problems.push(error),
  });
  return { keeper, at, problems };
}

test('the controller’s address comes before the configured sources, and is applied once', async () => {
  const applied: string[][] = [];
  const { keeper, at } = rig(applied);
  at.address = () => '198.51.100.7:7443';
  await keeper.learn();
  await keeper.learn();
  expect(applied).toEqual([['198.51.100.7:7443', '192.0.2.0:22']]);
  at.address = () => '[2001:db8::7]:7443';
  await keeper.learn();
  expect(applied[1]).toEqual(['2001:db8::7:7443', '192.0.2.0:22']);
});

test('what cannot be learned changes nothing, and is asked again', async () => {
  const applied: string[][] = [];
  const { keeper, at, problems } = rig(applied);
  at.address = () => '198.51.100.7:7443';
  await keeper.learn();
  at.address = () => {
    throw new Error('no credentials');
  };
  await keeper.learn();
  expect([applied.length, problems]).toEqual([1, [new Error('no credentials')]]);
  at.address = () => '198.51.100.8:7443';
  await keeper.learn();
  expect(applied.at(-1)).toEqual(['198.51.100.8:7443', '192.0.2.0:22']);
});
