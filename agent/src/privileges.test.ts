import { afterEach, expect, test, vi } from 'vitest';
import { parseConfig } from './config.js';
import { boundPrivileges, neededCapabilities, type PrivilegePorts } from './privileges.js';

const needed = (yaml: string) => [...neededCapabilities(parseConfig(yaml, 'agent.yaml'))].sort().join(' ');
const BASE = 'CAP_BPF CAP_NET_ADMIN CAP_PERFMON';

test.each([
  ['{}', BASE],
  ['dockerSockets: [/run/docker.sock]', `${BASE} CAP_SYS_ADMIN CAP_SYS_PTRACE`],
  ['pairing: {keyFile: /key}', BASE],
  [
    '{dockerSockets: [/run/docker.sock], pairing: {keyFile: /key}}',
    'CAP_BPF CAP_DAC_READ_SEARCH CAP_NET_ADMIN CAP_PERFMON CAP_SYS_ADMIN CAP_SYS_PTRACE',
  ],
  ['metrics: {listen: "127.0.0.1:9464"}', BASE],
  ['metrics: {listen: "[::1]:90"}', 'CAP_BPF CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_PERFMON'],
])('%s needs %s', (yaml, names) => expect(needed(yaml)).toBe(names));

class Replaced extends Error {}

/** A process with these capabilities; being replaced is thrown, since it does not return. */
function system(...held: string[]) {
  const calls: string[] = [];
  const ports: PrivilegePorts = {
    effectiveCapabilities: () => new Set(held),
    ensureBpffs: (path) => {
      calls.push(`mount ${path}`);
      return true;
    },
    execBounded: (keep, path, argv, environment) => {
      calls.push(`${[...keep].sort().join(' ')} ${path === process.execPath} ${argv[0] === path} ${argv[1]}`);
      calls.push(
        `marked ${environment.RINGFENCE_BOUNDED}, ${environment.MALLOC_ARENA_MAX} of ${environment.MALLOC_TRIM_THRESHOLD_}`,
      );
      throw new Replaced();
    },
  };
  return { calls, ports };
}
const root = () => vi.spyOn(process, 'getuid').mockReturnValue(0);
const configured = (yaml = '{}') => parseConfig(yaml, 'agent.yaml');
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test('with more than it needs it begins anew with what it needs, after the mount that it cannot make then', () => {
  root();
  vi.stubEnv('MALLOC_TRIM_THRESHOLD_', '9');
  const { calls, ports } = system('CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_SYS_MODULE');
  expect(() => boundPrivileges(configured(), ports)).toThrow(Replaced);
  const again = `${BASE} true true --max-semi-space-size=2`;
  expect(calls).toEqual(['mount /sys/fs/bpf/ringfence', again, 'marked 1, 1 of 9']);
});

test('with no more than it needs, switched off, or without being root it goes on as it is', () => {
  root();
  const { calls, ports } = system('CAP_BPF', 'CAP_NET_ADMIN');
  boundPrivileges(configured(), ports);
  boundPrivileges(configured('dropCapabilities: false'), system('CAP_SYS_ADMIN').ports);
  vi.spyOn(process, 'getuid').mockReturnValue(1000);
  boundPrivileges(configured(), system('CAP_SYS_ADMIN').ports);
  expect(calls).toEqual([]);
});

test('it does not begin anew for ever: what is still there the second time is an error', () => {
  root();
  vi.stubEnv('RINGFENCE_BOUNDED', '1');
  expect(() => boundPrivileges(configured(), system('CAP_SYS_MODULE').ports)).toThrow(
    /found CAP_SYS_MODULE still there/,
  );
});
