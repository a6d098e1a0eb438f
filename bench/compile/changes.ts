// One change at a time to a compiled fleet, each followed by its reverse, so that every repetition starts from the same fleet.
import type { Compiler, CompilerWorkload } from '@ringfence/controller/compile/types.js';
import type { Policy, RuleNumbers, RuleSpec } from '@ringfence/controller/policy/model.js';
import { resolvePolicy } from '@ringfence/controller/policy/parse.js';
import { appCount, appName, extraRule, type Fleet, type FleetSize, RULE_FOR_ALL, workload } from './fleet.js';

/** What one change cost. */
export interface Cost {
  readonly ms: number;
  /** Processor time, garbage collector included. The kernel may count it in ticks: only the mean of many says something. */
  readonly cpuMs: number;
  /** Agents that must hear of it. */
  readonly agents: number;
}

/** A fleet in a compiler. */
export interface Compiled {
  readonly compiler: Compiler;
  readonly fleet: Fleet;
  readonly policy: Policy;
  readonly numbers: RuleNumbers;
}

/** Changes the fleet, number `round` of many; gives what flush must do and how to take the change back. */
type Change = (round: number) => { apply: () => void; revert: () => void };

/** How the rows are called, in their order. */
export const CHANGES = {
  relabel: 'label changed, to a label set in use',
  'relabel-new': 'label changed, to a label set that nobody had',
  add: 'workload added',
  rule: 'rule added, inside one application',
  'rule-anew': 'the same, when every rule was read anew',
  'rule-all': 'rule added, for every workload',
} as const;
export type ChangeName = keyof typeof CHANGES;

/**
 * The changes of a fleet whose size without its unaffected part is `size`: everything they touch lies in its first applications and
 * hosts, so that they are the same in a fleet that was doubled.
 */
export function changesOf({ compiler, fleet, policy, numbers }: Compiled, size: FleetSize): Record<ChangeName, Change> {
  const apps = appCount(size.rules);
  const app = (round: number): string => appName((round * 7) % apps);
  const byApp = Map.groupBy(fleet.workloads, ({ labels }) => labels.app);
  const subject = (round: number, wanted: (w: CompilerWorkload) => boolean): CompilerWorkload => {
    for (let try_ = 0; try_ < apps; try_++) {
      const found = byApp.get(app(round + try_))?.find(wanted);
      if (found !== undefined) return found;
    }
    throw new Error('Cannot change a label: found no workload of this kind, wanted one');
  };
  const relabel = (before: CompilerWorkload, labels: Readonly<Record<string, string>>) => ({
    apply: () => compiler.setWorkload({ ...before, labels: { ...before.labels, ...labels } }),
    revert: () => compiler.setWorkload(before),
  });
  const addRule = (spec: RuleSpec) => {
    const [rule] = resolvePolicy({ ...fleet.document, rules: [spec] }, numbers).rules;
    if (rule === undefined) throw new Error(`Cannot add rule ${spec.id}: found nothing after resolving it`);
    const changed = { ...policy, rules: [...policy.rules, rule] };
    return {
      apply: () => compiler.setPolicy(changed, 2),
      revert: () => compiler.setPolicy(policy, 1),
    };
  };
  return {
    relabel: (round) =>
      relabel(
        subject(round, (w) => w.labels.role === 'api' && w.labels.env === 'staging'),
        { env: 'prod' },
      ),
    'relabel-new': (round) =>
      relabel(
        subject(round, (w) => w.labels.role === 'api' && w.labels.env === 'staging'),
        { env: 'canary' },
      ),
    add: (round) => {
      const like = subject(round, (w) => w.labels.role === 'api' && w.labels.env === 'prod');
      const added = workload(
        0xf0_0000 + round,
        fleet.hosts[(round * 11) % Math.ceil(size.workloads / 20)] ?? '',
        like.labels,
      );
      return { apply: () => compiler.setWorkload(added), revert: () => compiler.removeWorkload(added.id) };
    },
    rule: (round) => addRule(extraRule(app(round))),
    // As when files are provisioned: no rule is the same object as before.
    'rule-anew': (round) => {
      const rules = [...fleet.document.rules, extraRule(app(round))];
      const changed = resolvePolicy({ ...fleet.document, rules }, numbers);
      return { apply: () => compiler.setPolicy(changed, 2), revert: () => compiler.setPolicy(policy, 1) };
    },
    'rule-all': () => addRule(RULE_FOR_ALL),
  };
}

/** Makes one change, measures until every delta is there, and takes it back. */
export function measure(compiler: Compiler, { apply, revert }: ReturnType<Change>): Cost {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  apply();
  const agents = compiler.flush().length;
  const ms = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  revert();
  compiler.flush();
  return { ms, cpuMs: (user + system) / 1000, agents };
}
