// What the kernel offers, and what is done where it does not.
import { kernelFeatures } from '@ringfence/agent/datapath/features.js';
import { FEATURES, type FeatureName, probeFeatures } from '@ringfence/native';
import { Fallback, type Report } from './report.js';

/** What Ringfence does without it; a feature that is not here must be there. */
const WITHOUT: Partial<Record<FeatureName, string>> = {
  tcx: 'clsact filters instead of TCX links',
  netnsCookieInCgroupSkb: "a socket's network namespace is remembered when it is made or connects",
  setRetval: 'refused connects fail with EPERM, whatever rf_connect_errno says',
  coarseClock: 'the precise clock is read',
  iterTaskFile: 'sockets that were open before the agent have no process name',
};

export async function checkFeatures(report: Report): Promise<void> {
  const found = probeFeatures();
  for (const name of Object.keys(FEATURES) as FeatureName[]) {
    await report.check(`feature ${name}`, () => {
      const { supported, reason } = found[name];
      const without = WITHOUT[name];
      if (supported) return undefined;
      if (without === undefined) throw new Error(reason);
      return new Fallback(`${without} (${reason})`);
    });
  }
  await report.check('switches chosen', () => {
    const { rodata } = kernelFeatures(false);
    if (rodata.rf_netns_cookie !== 0n) return undefined;
    return new Fallback('no namespace cookie: cgroup programs decide sockets of every network namespace');
  });
}
