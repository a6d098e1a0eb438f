// What keeps a well-formed policy from being provisioned as things stand: it does not fit a host's kernel tables, or one of its own
// tests fails.
import { parseAddress } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { decidingRule } from '../policy/evaluate.js';
import type { Policy, PolicyProblem, PolicyTest, PolicyWorkload, TestEndSpec } from '../policy/model.js';
import type { Distributor } from '../session/distributor.js';
import { capacityProblems, type HostRuntimes } from '../session/host-runtime.js';
import { SET_BYTES_MAX } from '../session/wire.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import type { ReadPolicy } from './policy-words.js';

export interface VetoOptions {
  readonly distributor: Distributor;
  readonly hosts: HostRuntimes;
  readonly index: WorkloadIndex;
  readonly now: () => number;
}

/** Judges a policy by its own tests, and the capacity of every state that it will bring about. */
export function policyVeto(
  options: VetoOptions,
): (read: ReadPolicy, inForce: readonly Policy[]) => Promise<PolicyProblem[]> {
  return async (read, inForce) => {
    const problems: PolicyProblem[] = [];
    for (const policy of inForce) problems.push(...(await capacityVeto(options, policy)));
    return [...problems, ...testVeto(options, read)];
  };
}

/** One problem per host and table that the policy would overfill. Hosts that never connected to this process are not known. */
async function capacityVeto({ distributor, hosts }: VetoOptions, policy: Policy): Promise<PolicyProblem[]> {
  const { needs, largestSets } = await distributor.trial(policy);
  const tables = needs.flatMap((need) => capacityProblems(need, hosts.get(need.hostId)?.tables ?? []));
  const sets = [...largestSets]
    .filter(([, bytes]) => bytes > SET_BYTES_MAX)
    .map(([hostId, bytes]) => `a policy set of host ${hostId} takes ${bytes} bytes, wanted at most ${SET_BYTES_MAX}`);
  return [...tables, ...sets].map((text) => problem('RF_CAPACITY', `Cannot provision: ${text}`, text));
}

/** What one test of a policy found: it passes when that is what it expects. */
export interface TestOutcome {
  readonly test: PolicyTest;
  readonly expected: 'allowed' | 'blocked';
  /** "allowed", "blocked", or why it could not be told. */
  readonly found: string;
}

/** Runs the tests of a policy, in the order of its files. */
export function testOutcomes(
  options: Pick<VetoOptions, 'index' | 'now'>,
  read: Pick<ReadPolicy, 'policy'>,
): TestOutcome[] {
  return read.policy.tests.map((test) => ({
    test,
    expected: test.expectAllowed ? 'allowed' : 'blocked',
    found: outcomeOf(options, read, test),
  }));
}

function testVeto(options: VetoOptions, read: ReadPolicy): PolicyProblem[] {
  return testOutcomes(options, read)
    .filter(({ expected, found }) => expected !== found)
    .map(({ test, expected, found }) =>
      problem(
        'RF_POLICY_TEST',
        `Cannot provision: test ${test.name} found the connection ${found}, wanted it ${expected}`,
        found,
        expected,
      ),
    );
}

/** By the rules at both ends, whatever the modes. An end without a workload decides nothing. */
function outcomeOf(
  options: Pick<VetoOptions, 'index' | 'now'>,
  read: Pick<ReadPolicy, 'policy'>,
  test: PolicyTest,
): string {
  const from = endOf(options, test.from);
  const to = endOf(options, test.to);
  if ('missing' in from) return from.missing;
  if ('missing' in to) return to.missing;
  const { protocol, port } = test;
  const nowMs = options.now();
  const allows = (own: TestEnd, other: TestEnd, direction: Direction) => {
    if (own.workload === undefined) return true;
    const candidates = other.workload === undefined ? [] : [other.workload];
    const tuple = { protocol, port, remote: other.address };
    return decidingRule(read.policy, own.workload, candidates, tuple, direction, nowMs)?.action === 'allow';
  };
  const allowed = allows(from, to, Direction.DIRECTION_OUTBOUND) && allows(to, from, Direction.DIRECTION_INBOUND);
  return allowed ? 'allowed' : 'blocked';
}

interface TestEnd {
  readonly workload: PolicyWorkload | undefined;
  readonly address: Uint8Array;
}

const NO_ADDRESS = new Uint8Array(16);

function endOf({ index }: Pick<VetoOptions, 'index'>, spec: TestEndSpec): TestEnd | { readonly missing: string } {
  if ('labels' in spec) return { workload: { id: '', labels: spec.labels }, address: NO_ADDRESS };
  if ('address' in spec) return { workload: undefined, address: parseAddress(spec.address) ?? NO_ADDRESS };
  const found = index.find(spec.workload);
  if ('candidates' in found) return { missing: `with workload ${spec.workload} unknown` };
  const [address] = found.addresses;
  return { workload: found, address: address === undefined ? NO_ADDRESS : Buffer.from(address.ip, 'hex') };
}

function problem(code: string, message: string, found: string, wanted = ''): PolicyProblem {
  return { code, message, file: '', line: 0, column: 0, found, wanted, warning: false };
}
