import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listInterfaces, netnsIdOfProcess } from './interfaces.js';
import { interfaceIndex } from './kernel.js';
import { makeNetns } from './test-support.js';

const OUTSIDE = 'rfnat-if-out';
let netns: ReturnType<typeof makeNetns>;

const removeVeth = (): void => {
  if (interfaceIndex(OUTSIDE) !== undefined) execFileSync('ip', ['link', 'del', OUTSIDE]);
};

beforeAll(() => {
  removeVeth();
  netns = makeNetns('interfaces');
  execFileSync('ip', ['link', 'add', OUTSIDE, 'type', 'veth', 'peer', 'name', 'rfnat-if-in', 'netns', netns.name]);
});
afterAll(() => {
  removeVeth();
  netns.remove();
});

test('a veth names its other end, and the namespace of a process there has the same number', async () => {
  const child = spawn('ip', [
    'netns',
    'exec',
    netns.name,
    process.execPath,
    '-e',
    'console.log("up"); process.stdin.resume();',
  ]);
  await once(child.stdout, 'data');
  try {
    const veth = listInterfaces().find((at) => at.name === OUTSIDE);
    expect(veth).toEqual({
      index: interfaceIndex(OUTSIDE),
      name: OUTSIDE,
      peerIndex: interfaceIndex('rfnat-if-in', netns.path),
      peerNetnsId: expect.any(Number),
    });
    expect(veth?.peerNetnsId).toBeGreaterThanOrEqual(0);
    expect(netnsIdOfProcess(child.pid ?? 0)).toBe(veth?.peerNetnsId);
  } finally {
    child.stdin.end();
    if (child.exitCode === null) await once(child, 'exit');
  }
});

test('lo has no other end', () => {
  expect(listInterfaces().find((at) => at.name === 'lo')).toEqual({
    index: 1,
    name: 'lo',
    peerIndex: 0,
    peerNetnsId: -1,
  });
});

test('a process that is not there has no number', () => {
  expect(netnsIdOfProcess(2 ** 22 + 1)).toBeUndefined();
});
