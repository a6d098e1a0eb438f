// The Policy service.
import type {
  ApplyPolicyResponse,
  PolicyContent,
  PolicyRef,
  PolicyServer,
  PolicyVersion,
  RuleInfo,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Logger } from 'pino';
import type { PolicyProblem } from '../policy/model.js';
import type { PolicyFileRecord, PolicyVersionRecord } from '../store/records.js';
import { checkText } from './convert.js';
import { unary } from './errors.js';
import { type ExplainOptions, explain } from './explain.js';
import type { PolicyBook, PolicyOutcome } from './policy-book.js';
import { ruleInfos } from './policy-words.js';

export interface PolicyOptions extends ExplainOptions {
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
    version: book.current.version,
    changed: outcome.changed,
    rules: outcome.rules,
    hostsAffected: outcome.changed ? options.hostsAttached() : 0,
  });
  const audit = (action: string, author: string, outcome: PolicyOutcome) => {
    log.info(
      { action, author, accepted: outcome.accepted, changed: outcome.changed, version: book.current.version },
      'policy',
    );
    return answer(outcome);
  };
  return {
    apply: unary(log, async (request, { name: author }) => {
      const { files, prune, remove, expectedVersion } = request;
      const note = checkText(request.note, NOTE_MAX, 'note');
      const provision = request.draftOnly ? undefined : { author, note, expectedVersion };
      return audit(
        request.draftOnly ? 'draft' : 'apply',
        author,
        await book.apply({ files, prune, remove }, provision),
      );
    }),
    check: unary(log, ({ files, prune }) => answer(book.check({ files, prune, remove: [] }))),
    get: unary(log, ({ ref }) => contentOf(book, ref)),
    diff: unary(log, ({ from, to }) => {
      const before = contentOf(book, from);
      const after = contentOf(book, to ?? { ref: { $case: 'draft', value: true } });
      return { rules: diffRules(before.rules, after.rules), files: diffFiles(before.files, after.files) };
    }),
    provision: unary(log, async (request, { name: author }) => {
      const note = checkText(request.note, NOTE_MAX, 'note');
      return audit(
        'provision',
        author,
        await book.provision({ author, note, expectedVersion: request.expectedVersion }),
      );
    }),
    rollback: unary(log, async (request, { name: author }) => {
      const note = checkText(request.note, NOTE_MAX, 'note');
      return audit('rollback', author, await book.rollback(request.version, { author, note, expectedVersion: 0 }));
    }),
    discardDraft: unary(log, async () => {
      await book.discardDraft();
      return contentOf(book, { ref: { $case: 'draft', value: true } });
    }),
    history: unary(log, ({ limit, before }) => ({
      versions: book.history(Math.min(1000, limit || HISTORY_DEFAULT), before).map(versionToWire),
    })),
    explain: unary(log, (request) => explain(options, request)),
  };
}

function contentOf(book: PolicyBook, ref: PolicyRef | undefined): PolicyContent {
  const draftDiffers = book.draftDiffers();
  if (ref?.ref?.$case === 'draft') return { ...readContent(book, book.draftFiles()), version: undefined, draftDiffers };
  const { current } = book;
  const number = ref?.ref?.$case === 'version' ? ref.ref.value : current.version;
  if (number === 0) return { files: [], rules: [], version: undefined, draftDiffers, problems: [] };
  if (number === current.version) {
    const version = current.record === undefined ? undefined : versionToWire(current.record);
    return { files: [...current.files], rules: ruleInfos(current), version, draftDiffers, problems: [] };
  }
  const record = book.version(number);
  return { ...readContent(book, record.files), version: versionToWire(record), draftDiffers };
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

function versionToWire(record: PolicyVersionRecord): PolicyVersion {
  const { number, author, note, rules, rollbackOf } = record;
  return { number, author, note, rules, rollbackOf, createdMs: BigInt(record.createdMs) };
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
