// The Policy service.
import type {
  ApplyPolicyResponse,
  PolicyContent,
  PolicyRef,
  PolicyServer,
  PolicyVersion,
  ProvisionPolicyRequest,
  RuleInfo,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Logger } from 'pino';
import type { Policy, PolicyProblem } from '../policy/model.js';
import type { PolicyFileRecord, PolicyVersionRecord } from '../store/records.js';
import { checkText } from './convert.js';
import { invalid, unary } from './errors.js';
import { type ExplainOptions, explain } from './explain.js';
import type { PolicyBook } from './policy-book.js';
import type { PolicyOutcome } from './policy-judge.js';
import { questionsOf } from './policy-questions.js';
import { rolloutTerms, versionToWire } from './policy-rollout.js';
import { diffMeaning, importPolicies, lintPolicy, type PolicyToolsOptions, simulatePolicy } from './policy-tools.js';
import { testOutcomes } from './policy-veto.js';
import { type ReadPolicy, ruleInfos, testEndWords } from './policy-words.js';
import { type RolloutViewOptions, rolloutToWire } from './rollout-view.js';

export interface PolicyOptions extends ExplainOptions, PolicyToolsOptions, RolloutViewOptions {
  readonly policy: PolicyBook;
  /** Hosts that a change of policy is being sent to. */
  readonly hostsAttached: () => number;
  readonly log: Logger;
}

const NOTE_MAX = 4096;
const HISTORY_DEFAULT = 100;

export function policyService(options: PolicyOptions): PolicyServer {
  const { policy: book, log } = options;
  const answer = (outcome: PolicyOutcome): ApplyPolicyResponse => ({
    accepted: outcome.accepted,
    problems: [...outcome.problems],
    version: book.newest.version,
    changed: outcome.changed,
    rules: outcome.rules,
    hostsAffected: outcome.changed ? options.hostsAttached() : 0,
    rollout: rolloutToWire(options),
  });
  /** What a step of a rollout led to. */
  const stepped = (action: string, author: string) => {
    const outcome = { accepted: true, problems: [], changed: true, rules: book.newest.policy.rules.length };
    return audit(action, author, outcome);
  };
  const audit = (action: string, author: string, outcome: PolicyOutcome) => {
    log.info(
      { action, author, accepted: outcome.accepted, changed: outcome.changed, version: book.newest.version },
      'policy',
    );
    return answer(outcome);
  };
  return {
    apply: unary(log, async (request, { name: author }) => {
      const { files, prune, remove, expectedVersion } = request;
      const note = checkText(request.note, NOTE_MAX, 'note');
      const rollout = termsOf(request);
      const provision = request.draftOnly ? undefined : { author, note, expectedVersion, rollout };
      return audit(
        request.draftOnly ? 'draft' : 'apply',
        author,
        await book.apply({ files, prune, remove }, provision),
      );
    }),
    check: unary(log, async ({ files, prune }) => answer(await book.check({ files, prune, remove: [] }))),
    get: unary(log, ({ ref }) => contentOf(book, ref)),
    diff: unary(log, ({ from, to }) => {
      const before = contentOf(book, from);
      const after = contentOf(book, to ?? DRAFT);
      const [old, now] = [readRef(book, from), readRef(book, to ?? DRAFT)];
      const meaning =
        old === undefined || now === undefined
          ? { objects: [], reach: [], pairs: 0, truncated: false }
          : diffMeaning(options, old, now);
      return {
        rules: diffRules(before.rules, after.rules),
        files: diffFiles(before.files, after.files),
        ...meaning,
        unreadable: old === undefined || now === undefined,
      };
    }),
    provision: unary(log, async (request, { name: author }) => {
      const note = checkText(request.note, NOTE_MAX, 'note');
      return audit(
        'provision',
        author,
        await book.provision({ author, note, expectedVersion: request.expectedVersion, rollout: termsOf(request) }),
      );
    }),
    rollback: unary(log, async (request, { name: author }) => {
      const note = checkText(request.note, NOTE_MAX, 'note');
      return audit(
        'rollback',
        author,
        await book.rollback(request.version, { author, note, expectedVersion: 0, rollout: termsOf(request) }),
      );
    }),
    confirm: unary(log, async ({ version }, { name: author }) => {
      await book.confirm(version, author);
      return stepped('confirm', author);
    }),
    promote: unary(log, async ({ version, confirmWithinMs }, { name: author }) => {
      await book.promote(version, author, rolloutTerms(confirmWithinMs, undefined).confirmWithinMs);
      return stepped('promote', author);
    }),
    return: unary(log, async ({ version, note }, { name: author }) => {
      await book.takeBack(version, author, checkText(note, NOTE_MAX, 'note'));
      return stepped('return', author);
    }),
    discardDraft: unary(log, async () => {
      await book.discardDraft();
      return contentOf(book, DRAFT);
    }),
    history: unary(log, ({ limit, before }) => ({
      versions: book
        .history(Math.min(1000, limit || HISTORY_DEFAULT), before)
        .map((record) => wireVersion(book, record)),
    })),
    explain: unary(log, (request) => explain(options, request)),
    lint: unary(log, (request) =>
      lintPolicy(options, demandRead(book, request.policy ?? DRAFT, 'lint'), book.newest.policy, request),
    ),
    test: unary(log, ({ policy: ref, questions }) => {
      const { policy: judge } = demandRead(book, ref ?? DRAFT, 'test');
      const tests = questions.length === 0 ? judge.tests : questionsOf(questions, options.dimensions());
      return {
        results: testOutcomes(options, { policy: { ...judge, tests } }).map(({ test, expected, found }) => ({
          name: test.name,
          from: testEndWords(test.from),
          to: testEndWords(test.to),
          protocol: test.protocol,
          port: test.port,
          expected,
          found,
          passed: found === expected,
        })),
      };
    }),
    simulate: unary(log, (request) =>
      simulatePolicy(
        options,
        demandRead(book, request.from, 'simulate'),
        demandRead(book, request.to ?? DRAFT, 'simulate'),
        request,
      ),
    ),
    import: unary(log, ({ files }) => importPolicies(files)),
  };
}

const DRAFT: PolicyRef = { ref: { $case: 'draft', value: true } };

function termsOf({ rollout }: Pick<ProvisionPolicyRequest, 'rollout'>) {
  return rolloutTerms(rollout?.confirmWithinMs ?? 0, rollout?.canary);
}

/** The policy that is meant, as it can be evaluated; undefined when it cannot be read. */
function readRef(book: PolicyBook, ref: PolicyRef | undefined): ReadPolicy | undefined {
  if (ref?.ref?.$case === 'draft') return book.read(book.draftFiles()).read;
  const number = ref?.ref?.$case === 'version' ? ref.ref.value : book.current.version;
  const known = [book.current, book.newest].find(({ version }) => version === number);
  return known ?? book.read(book.version(number).files).read;
}

/** The policy that is meant, the draft when nothing is said. Throws ApiError RF_POLICY_DRAFT when it cannot be read. */
export function policyToJudge(book: PolicyBook, ref: PolicyRef | undefined): Policy {
  return demandRead(book, ref ?? DRAFT, 'judge').policy;
}

function demandRead(book: PolicyBook, ref: PolicyRef | undefined, action: string): ReadPolicy {
  const read = readRef(book, ref);
  if (read !== undefined) return read;
  const [problem] = contentOf(book, ref).problems.filter(({ warning }) => !warning);
  throw invalid(
    'RF_POLICY_DRAFT',
    `Cannot ${action}: found ${problem?.message ?? 'a policy that cannot be read'}, wanted one without errors; see policy check`,
  );
}

function contentOf(book: PolicyBook, ref: PolicyRef | undefined): PolicyContent {
  const draftDiffers = book.draftDiffers();
  if (ref?.ref?.$case === 'draft') return { ...readContent(book, book.draftFiles()), version: undefined, draftDiffers };
  const { current } = book;
  const number = ref?.ref?.$case === 'version' ? ref.ref.value : current.version;
  if (number === 0) return { files: [], rules: [], version: undefined, draftDiffers, problems: [] };
  if (number === current.version) {
    const version = current.record === undefined ? undefined : wireVersion(book, current.record);
    return { files: [...current.files], rules: ruleInfos(current), version, draftDiffers, problems: [] };
  }
  const record = book.version(number);
  return { ...readContent(book, record.files), version: wireVersion(book, record), draftDiffers };
}

function readContent(
  book: PolicyBook,
  files: readonly PolicyFileRecord[],
): Pick<PolicyContent, 'files' | 'rules' | 'problems'> {
  const { read, problems } = book.read(files);
  return {
    files: [...files],
    rules: read === undefined ? [] : ruleInfos(read),
    problems: [...problems] satisfies PolicyProblem[],
  };
}

function wireVersion(book: PolicyBook, record: PolicyVersionRecord): PolicyVersion {
  return versionToWire(record, book.fate(record.number), book.settledVersion, book.rollout);
}

function diffRules(before: readonly RuleInfo[], after: readonly RuleInfo[]) {
  const old = new Map(before.map((rule) => [rule.id, rule]));
  const now = new Map(after.map((rule) => [rule.id, rule]));
  const ids = [...new Set([...old.keys(), ...now.keys()])].sort();
  // A rule that only moved to another place means the same.
  const meaning = (rule: RuleInfo | undefined) => JSON.stringify({ ...rule, file: '', line: 0 });
  return ids
    .filter((id) => meaning(old.get(id)) !== meaning(now.get(id)))
    .map((id) => ({ id, before: old.get(id), after: now.get(id) }));
}

function diffFiles(before: readonly PolicyFileRecord[], after: readonly PolicyFileRecord[]) {
  const old = new Map(before.map(({ name, content }) => [name, content]));
  const now = new Map(after.map(({ name, content }) => [name, content]));
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names
    .filter((name) => old.get(name) !== now.get(name))
    .map((name) => ({
      name,
      change: old.get(name) === undefined ? 'added' : now.get(name) === undefined ? 'removed' : 'changed',
    }));
}
