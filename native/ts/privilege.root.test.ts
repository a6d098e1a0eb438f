import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { execBounded } from './privilege.js';
import { addonPath } from './test-support.js';

/** Runs a program that ends in execBounded of another, and gives what that one prints. */
function inProcess(script: string): string {
  return execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const bit = (n: number) => 1n << BigInt(n);
/** CAP_NET_ADMIN and CAP_BPF. */
const keep = bit(12) | bit(39);
const [low, high] = [Number(keep & 0xffff_ffffn), Number(keep >> 32n)];
const shell = (command: string) =>
  inProcess(
    `require(${JSON.stringify(addonPath)}).execBounded(${low}, ${high}, '/bin/sh', ['sh', '-c', ${JSON.stringify(command)}], ['A=b']);`,
  );

describe('execBounded', () => {
  test('what runs afterwards, and what that runs, has the kept capabilities and no way to more', () => {
    const status = shell('cat /proc/self/status');
    const mask = (name: string) => new RegExp(`^${name}:\\s+(\\w+)`, 'm').exec(status)?.[1];
    const kept = keep.toString(16).padStart(16, '0');
    expect([mask('CapPrm'), mask('CapEff'), mask('CapBnd')]).toEqual([kept, kept, kept]);
    expect([mask('CapInh'), mask('CapAmb'), mask('NoNewPrivs')]).toEqual(['0'.repeat(16), '0'.repeat(16), '1']);
  });

  test('the process stays the same one, with the environment that it was given', () => {
    const script = `
      const pid = process.pid;
      require(${JSON.stringify(addonPath)}).execBounded(${low}, ${high}, '/bin/sh', ['sh', '-c', 'echo $$ $1 $A $HOME.', 'sh', String(pid)], ['A=b']);`;
    const [own, told, variable, rest] = inProcess(script).trim().split(' ');
    expect([own, variable, rest]).toEqual([told, 'b', '.']);
  });

  test('what cannot be run is refused before anything is given up; an unknown name is a mistake', () => {
    const script = `
      const n = require(${JSON.stringify(addonPath)});
      try { n.execBounded(0, 0, '/no/such', [], []); } catch (error) { console.log(error.message, n.effectiveCapabilities() !== 0n); }`;
    expect(inProcess(script)).toMatch(/^Cannot run \/no\/such.*No such file.* true\n$/);
    expect(() => execBounded(['CAP_NOTHING'], '/bin/true', [], {})).toThrow(/unknown name, wanted one such as CAP_BPF/);
  });
});
