// Whether files may become a version: they are read, what cannot be provisioned yet is told, and a veto is asked for.
import type { Policy, PolicyProblem } from '../policy/model.js';
import { provisionProblems } from '../policy/parse.js';
import { sideBySide } from '../policy/side-by-side.js';
import { canarySelector, type RolloutTerms } from './policy-rollout.js';
import type { ReadPolicy } from './policy-words.js';

/** What came of it. Not accepted: nothing was changed. */
export interface PolicyOutcome {
  readonly accepted: boolean;
  readonly problems: readonly PolicyProblem[];
  readonly changed: boolean;
  readonly rules: number;
}

/** What was read, if it may be used, and what is to be told of it. */
export interface Judgement {
  readonly outcome: PolicyOutcome;
  readonly read: ReadPolicy | undefined;
}

export interface JudgeOptions {
  /** In force for good. */
  readonly settled: Policy;
  readonly terms: RolloutTerms;
  /** It shall be in force; otherwise what forbids that is a warning. */
  readonly provision: boolean;
  /** Why this policy must not be provisioned as things stand (its own tests; capacities, for each of `inForce`). */
  readonly veto: (read: ReadPolicy, inForce: readonly Policy[]) => Promise<readonly PolicyProblem[]>;
}

/** `parsed`: what reading the files told. */
export async function judgePolicy(
  read: ReadPolicy | undefined,
  parsed: readonly PolicyProblem[],
  { settled, terms, provision, veto }: JudgeOptions,
): Promise<Judgement> {
  const problems = [...parsed];
  // A draft may hold what cannot be provisioned yet; it is told all the same.
  if (read !== undefined) {
    const inForce = [read.policy];
    // A canary goes through a state in which both policies are in force; what it leads to must fit as well.
    if (terms.canary !== undefined) inForce.push(sideBySide(settled, read.policy, canarySelector(terms.canary)));
    const vetoes = [...provisionProblems(read.document), ...(await veto(read, inForce))];
    problems.push(...vetoes.map((problem) => (provision ? problem : { ...problem, warning: true })));
  }
  const accepted = read !== undefined && !problems.some((problem) => !problem.warning);
  const outcome = { accepted, problems, changed: false, rules: read?.policy.rules.length ?? 0 };
  return { outcome, read: accepted ? read : undefined };
}
