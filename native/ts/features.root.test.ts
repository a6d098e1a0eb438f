import { execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { expect, test } from 'vitest';
import { FEATURES, type FeatureName, probeFeatures } from './features.js';
import { addonPath, eventually } from './test-support.js';

const atLeast = (version: string): boolean => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const [wantMajor = 0, wantMinor = 0] = version.split('.').map(Number);
  return major > wantMajor || (major === wantMajor && minor >= wantMinor);
};

test('probeFeatures finds every feature that this kernel’s version has', () => {
  const found = probeFeatures();
  expect(Object.keys(found)).toEqual(Object.keys(FEATURES));
  for (const [name, since] of Object.entries(FEATURES) as [FeatureName, string][]) {
    if (atLeast(since)) expect({ name, ...found[name] }).toEqual({ name, supported: true, reason: '', errno: 0 });
    else expect(found[name]).toMatchObject({ supported: false, reason: expect.stringContaining(`kernel ${since}`) });
  }
});

test('probing leaves no program or map behind', async () => {
  const count = (what: string): number =>
    Number(execFileSync('sh', ['-c', `bpftool ${what} show | grep -c rf_probe || true`], { encoding: 'utf8' }));
  probeFeatures();
  // The kernel frees them after a grace period.
  await eventually('end of the probes', () => count('prog') === 0 && count('map') === 0);
});

test('TCX is found without CAP_SYS_ADMIN', () => {
  const code = `console.log(JSON.stringify(require(${JSON.stringify(addonPath)}).probeFeature('tcx')))`;
  const drop = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  const keep = (flag: string): string => `--${flag}-caps=+bpf,+net_admin,+perfmon`;
  const out = execFileSync('setpriv', [...drop, keep('inh'), keep('ambient'), process.execPath, '-e', code], {
    encoding: 'utf8',
  });
  expect(JSON.parse(out).errno === 0).toBe(atLeast(FEATURES.tcx));
});

test('without privileges everything is unsupported, with a reason', () => {
  const script = `
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const n = require(${JSON.stringify(addonPath)});
    console.log(JSON.stringify(${JSON.stringify(Object.keys(FEATURES))}.map((f) => n.probeFeature(f))));`;
  const answers = JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })) as {
    errno: number;
    reason: string;
  }[];
  expect(answers.length).toBe(Object.keys(FEATURES).length);
  for (const { errno, reason } of answers) {
    expect(errno).toBeGreaterThan(0);
    expect(reason).toMatch(/^Cannot /);
  }
});
