// What differs between two policies: in words, and in who may reach whom.
import type { DiffPolicyResponse, RuleInfo } from '../../gen/ringfence/v1/admin_policy_pb.js';
import { plural } from '../../ui/format.js';
import { Section } from '../../ui/side-panel.js';

export function Diff({ diff }: { readonly diff: DiffPolicyResponse }) {
  const { rules, objects, files } = diff;
  const others = objects.filter(({ section }) => section !== 'rules');
  if (rules.length + objects.length + files.length === 0) return <p class="muted">Nothing differs.</p>;
  return (
    <>
      <Section title="In words">
        {rules.length + others.length === 0 && <p class="muted">Nothing that decides: the text of files only.</p>}
        <ul class="lines">
          {rules.map(({ id, before, after }) => (
            <li key={`rule ${id}`}>
              <ChangeMark change={before === undefined ? 'added' : after === undefined ? 'removed' : 'changed'} /> rule{' '}
              <strong>{id}</strong>
              {before && <Line kind="removed" text={ruleWords(before)} />}
              {after && <Line kind="added" text={ruleWords(after)} />}
            </li>
          ))}
          {others.map(({ section, key, change, fields }) => (
            <li key={`${section} ${key}`}>
              <ChangeMark change={change} /> {section} <strong>{key}</strong>
              {fields.map(({ field, before, after }) => (
                <div key={field}>
                  {before !== '' && <Line kind="removed" text={`${field}: ${before}`} />}
                  {after !== '' && <Line kind="added" text={`${field}: ${after}`} />}
                </div>
              ))}
            </li>
          ))}
        </ul>
        {files.length > 0 && (
          <p class="muted small">Files: {files.map(({ name, change }) => `${name} ${change}`).join(', ')}.</p>
        )}
      </Section>
      <Reach diff={diff} />
    </>
  );
}

function Reach({ diff: { reach, truncated, unreadable, pairs } }: { readonly diff: DiffPolicyResponse }) {
  return (
    <Section title="Who may reach whom, among today’s workloads">
      {unreadable && <p class="notice warning">Not known: one of both policies has errors. Mend it under Files.</p>}
      {truncated && (
        <p class="notice warning">
          Only the first {plural(pairs, 'pair')} of label sets were compared: there are more.
        </p>
      )}
      {!unreadable && reach.length === 0 && <p class="muted">No workload of today gains or loses anything.</p>}
      {reach.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section class="table-wrap" aria-label="Reach" tabIndex={0}>
          <table class="table">
            <caption class="visually-hidden">Services gained and lost between label sets</caption>
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">To</th>
                <th scope="col">Gains</th>
                <th scope="col">Loses</th>
              </tr>
            </thead>
            <tbody>
              {reach.map(({ from, to, fromWorkloads, toWorkloads, gained, lost }) => (
                <tr key={`${from} ${to}`}>
                  <td>
                    {from} <span class="muted">({fromWorkloads})</span>
                  </td>
                  <td>
                    {to} <span class="muted">({toWorkloads})</span>
                  </td>
                  <td>{gained !== '' && <code class="added">+ {gained}</code>}</td>
                  <td>{lost !== '' && <code class="removed">− {lost}</code>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Section>
  );
}

const TONES: Readonly<Record<string, string>> = { added: 'good', removed: 'alarm', changed: 'warning' };

function ChangeMark({ change }: { readonly change: string }) {
  return <span class={`mark ${TONES[change] ?? 'info'}`}>{change}</span>;
}

function Line({ kind, text }: { readonly kind: 'added' | 'removed'; readonly text: string }) {
  return (
    <div class={`diff-line ${kind}`}>
      <span aria-hidden="true">{kind === 'added' ? '+' : '−'}</span>
      <span class="visually-hidden">{kind === 'added' ? 'after:' : 'before:'}</span> {text}
    </div>
  );
}

/** "allow tcp/80, provided by role=web, used by anyone". */
function ruleWords({ allow, service, providedBy, usedBy, enabled }: RuleInfo): string {
  return `${allow ? 'allow' : 'deny'} ${service}, provided by ${providedBy}, used by ${usedBy}${enabled ? '' : ' (off)'}`;
}
