// What a host's kernel can do, and what the agent does where it cannot. Names and versions: native/ts/features.ts.
interface Known {
  readonly title: string;
  /** Kernel that has it. */
  readonly since: string;
  /** What happens without it; empty: the agent does not work. */
  readonly without: string;
}

const KNOWN: Readonly<Record<string, Known>> = {
  tcx: {
    title: 'TCX links',
    since: '6.6',
    without:
      'clsact is used: tc qdisc del of another administrator takes the programs away until the agent puts them back',
  },
  clsact: { title: 'clsact', since: '4.5', without: '' },
  ringbuf: { title: 'Ring buffer', since: '5.8', without: '' },
  cgroupLink: { title: 'Links at cgroups', since: '5.7', without: '' },
  skStorage: { title: 'Socket storage', since: '5.2', without: '' },
  batchOps: { title: 'Batched map operations', since: '5.6', without: '' },
  netnsCookieInCgroupSkb: {
    title: 'Namespace cookie of packets',
    since: '6.2',
    without: 'the namespace is remembered for each socket',
  },
  setRetval: { title: 'Own error of refused connects', since: '5.18', without: 'a refused connect is always EPERM' },
  coarseClock: { title: 'Coarse clock', since: '5.11', without: 'the precise clock is read, which takes longer' },
  iterTaskFile: {
    title: 'Iterator over open files',
    since: '5.8',
    without: 'sockets that were open before the agent have no process name',
  },
};

export interface FeatureReport {
  readonly name: string;
  readonly title: string;
  readonly state: 'available' | 'done without' | 'missing';
  /** What is done instead, or what is wanted. */
  readonly text: string;
}

/** `features`: what the agent reports; empty when it has reported nothing yet, and then the report is empty. What is not known by name is left out. */
export function compatibilityOf(features: readonly string[]): FeatureReport[] {
  if (features.length === 0) return [];
  return Object.entries(KNOWN).map(([name, { title, since, without }]) => {
    if (features.includes(name)) return { name, title, state: 'available', text: '' };
    const wanted = `wants kernel ${since} or the capability to try it`;
    if (without === '') return { name, title, state: 'missing', text: `the agent does not work without; ${wanted}` };
    return { name, title, state: 'done without', text: `${without}; ${wanted}` };
  });
}

/** Features that are no matter of the kernel: what else the agent reports. */
export function furtherFeatures(features: readonly string[]): string[] {
  return features.filter((name) => KNOWN[name] === undefined);
}
