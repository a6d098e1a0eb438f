import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, parseConfig } from './config.js';

function problemsOf(text: string) {
  try {
    parseConfig(text, 'agent.yaml');
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map((p) => `${p.line}:${p.column} ${p.found} | ${p.wanted}`);
    throw error;
  }
  return [];
}

describe('parseConfig', () => {
  it('fills in every default of an empty file', () => {
    const config = parseConfig('', 'agent.yaml');
    expect(config).toMatchObject({
      stateDir: '/var/lib/ringfence/agent',
      pinPath: '/sys/fs/bpf/ringfence',
      keepOnExit: true,
      host: { enabled: true },
      flows: { flushMs: 1000 },
      rejectMode: 'policy',
    });
  });

  it('takes a full file', () => {
    const text = `
controller: "[fd00::1]:7443"
cgroups: [{ name: web, path: rf.slice/web }]
adminSources: [10.0.0.0/8, { from: "fd00::/8", port: 0, protocol: udp }]
mapSizes: { rf_peers: 1000 }
host: { interfaces: [eth0] }
metrics: { listen: "127.0.0.1:9464" }
`;
    const config = parseConfig(text, 'agent.yaml');
    expect(config.adminSources).toEqual([
      { from: '10.0.0.0/8', port: 22, protocol: 'tcp' },
      { from: 'fd00::/8', port: 0, protocol: 'udp' },
    ]);
    expect(config.cgroups[0]).toEqual({ name: 'web', path: 'rf.slice/web', metadata: {} });
  });

  it.each([
    ['controler: a:1', ['1:1 unknown key "controler" | a known key']],
    ['controller: somewhere', ['1:13 "somewhere" | host:port, IPv6 hosts in brackets']],
    ['controller: a:70000', ['1:13 "a:70000" | a port between 1 and 65535']],
    ['stateDir: var', ['1:11 "var" | an absolute path']],
    ['a: [', expect.arrayContaining([expect.stringMatching(/^1:\d+ .* \| well-formed YAML$/)])],
    ['systemd: true\nsystemd: false', [expect.stringMatching(/^2:1 .*unique.* \| well-formed YAML$/)]],
    ['systemd: 3', ['1:10 3 | a boolean']],
    ['ringBytes: 100000', ['1:12 100000 | a power of two']],
    ['ringBytes: 1.5', [expect.stringMatching(/^1:12 1.5 \|/)]],
    ['flows:\n  flushMs: 1', ['2:12 1 | at least 50']],
    ['rejectMode: maybe', ['1:13 "maybe" | one of policy, reject, drop']],
    ['cgroups:\n  - name: x', ['2:5 nothing | a string']],
    ['cgroups:\n  - {name: x, path: /a}', ['2:21 "/a" | a path below cgroupRoot without a leading slash']],
    ['cgroups:\n  - {name: x, path: a/../b}', [expect.stringMatching(/^2:21 "a\/\.\.\/b" \| a path below/)]],
    ['adminSources: [10.0.0.0/33]', [expect.stringMatching(/^1:16 "10.0.0.0\/33" \| an address or prefix/)]],
    ['adminSources: [10.0.0.1/8]', [expect.stringMatching(/^1:16 "10.0.0.1\/8" \| an address or prefix/)]],
    ['adminSources:\n  - from: 10.0.0.1\n    port: 70000', ['3:11 70000 | at most 65535']],
    ['mapSizes:\n  peers: 5', [expect.stringMatching(/^2:\d+ .*\| a table name such as rf_peers$/)]],
    ['metrics:\n  listen: 0.0.0.0:9000', [expect.stringMatching(/^2:11 .*loopback/)]],
    ['- a', ['1:1 ["a"] | a object']],
  ])('refuses %j with its place', (text, problems) => expect(problemsOf(text)).toEqual(problems));

  it('lists every problem of a file at once', () => {
    expect(problemsOf('x: 1\nsystemd: 2\nringBytes: 3')).toHaveLength(3);
  });

  it('names a file that cannot be read', () => {
    expect(() => loadConfig('/nonexistent/agent.yaml')).toThrow(
      /agent.yaml:0:0: found .*ENOENT.*wanted a readable YAML file/,
    );
  });
});
