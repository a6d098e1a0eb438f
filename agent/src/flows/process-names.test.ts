import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { procSource } from './proc-source.js';
import { ProcessNames } from './process-names.js';

test('a real Node program is called by its executable, not by what its runtime calls its first thread', async () => {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); process.stdin.resume()'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  const pid = child.pid ?? 0;
  const comm = procSource.comm(pid) ?? '';
  const names = new ProcessNames(procSource);
  expect(names.nameOf(pid, comm, 0)).toBe('node');
  const ended = once(child, 'close');
  child.stdin.end();
  await ended;
  // Remembered for its last records; a process that is gone before anyone asked keeps what the kernel called it.
  expect(names.nameOf(pid, comm, 1e9)).toBe('node');
  expect(new ProcessNames(procSource).nameOf(pid, 'MainThread', 0)).toBe('MainThread');
});

test('asks only where a name says nothing, once a minute for each process, and trusts no reused number', () => {
  let asked = 0;
  const comms = new Map([
    [1, 'MainThread'],
    [2, 'nginx'],
  ]);
  const names = new ProcessNames({
    comm: (pid) => {
      asked += 1;
      return comms.get(pid);
    },
    exe: (pid) => `/opt/app ${pid}/bin/server${pid} (deleted)`,
  });
  expect(names.nameOf(7, 'nginx', 0)).toBe('nginx');
  expect(names.nameOf(0, 'MainThread', 0)).toBe('MainThread');
  expect(asked).toBe(0);
  expect([0, 1, 59e9].map((ns) => names.nameOf(1, 'MainThread', ns))).toEqual(['server1', 'server1', 'server1']);
  expect(asked).toBe(1);
  names.nameOf(1, 'MainThread', 61e9);
  expect(asked).toBe(2);
  expect(names.nameOf(2, 'MainThread', 0)).toBe('MainThread');
  for (let pid = 10; pid < 5000; pid += 1) names.nameOf(pid, 'MainThread', 62e9);
  asked = 0;
  names.nameOf(1, 'MainThread', 62e9);
  expect(asked).toBe(1);
});
