// From policy and workloads to what each host must hold.
import { knownDimensions } from '../api/convert.js';
import { PolicyBook } from '../api/policy-book.js';
import { policyVeto } from '../api/policy-veto.js';
import { createCompiler } from '../compile/graph.js';
import { Distributor } from '../session/distributor.js';
import { HostRuntimes } from '../session/host-runtime.js';
import { after, type Context } from './context.js';
import type { State } from './state.js';

/** How long the number of an identity rests after its last workload has gone: late packets and flow records resolve until then. */
const QUARANTINE_MS = 10 * 60_000;

export type Distribution = Awaited<ReturnType<typeof openDistribution>>;

/** Resolves when what was in force is in force again. */
export async function openDistribution({ config, log, now, closers }: Context, state: State) {
  const { store, identities, ipClasses, ruleNumbers, revisions, index, isolation } = state;
  const distributor = new Distributor({
    store,
    identities,
    ipClasses,
    isolation,
    revisions,
    newCompiler: (numbers, classes) => createCompiler({ identities: numbers, classes, quarantineMs: QUARANTINE_MS }),
    now,
    reject: config.reject,
    onError: (error) => log.error({ err: error }, 'changes could not be distributed; trying again'),
  });
  closers.push(() => distributor.stop());
  const hosts = new HostRuntimes();
  let onPolicy = () => {};
  const policy = new PolicyBook({
    store,
    ruleNumbers,
    now,
    after,
    veto: policyVeto({ distributor, hosts, index, now }),
    onStanding: (standing, what) => {
      const { version, confirmByMs, canary } = standing;
      log.info({ version, rules: standing.policy.rules.length, confirmByMs, canary }, `policy ${what}`);
      hosts.policyLatency.provisioned(version, now());
      distributor.setPolicy(standing);
      onPolicy();
    },
    onError: (error) => log.error({ err: error }, 'a policy version could not be taken back; trying again'),
  });
  closers.push(() => policy.stop());
  await policy.resume();
  hosts.policyLatency.clear();
  await distributor.flushed();
  const dimensions = () =>
    knownDimensions([policy.current.document, policy.newest.document, ...policy.draftDocuments()]);
  return {
    distributor,
    hosts,
    policy,
    dimensions,
    /** Called when a policy has come into force, and once now. */
    onPolicy: (listener: () => void) => {
      onPolicy = listener;
      listener();
    },
  };
}
