import { expect, test } from 'vitest';
import { parseConfig } from './config.js';
import { neededCapabilities } from './privileges.js';

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
