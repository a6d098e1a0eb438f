// The rules of the draft, or of the version in force, as a list; one of them in words and as it is written.
import { useMemo } from 'preact/hooks';
import type { Resource } from '../../api/resource.js';
import type { PolicyContent, RuleInfo } from '../../gen/ringfence/v1/admin_policy_pb.js';
import { linkTo, setQuery } from '../../location.js';
import { Button, Segments } from '../../ui/controls.js';
import { Problems } from '../../ui/problems.js';
import { SearchInput } from '../../ui/search.js';
import { Facts, Section, SidePanel } from '../../ui/side-panel.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';
import { excerpt } from './excerpt.js';

type View = 'draft' | 'inforce';

export function RulesTab(props: {
  readonly draft: Resource<PolicyContent>;
  readonly inForce: Resource<PolicyContent>;
  readonly query: URLSearchParams;
}) {
  const { query } = props;
  const view: View = query.get('view') === 'inforce' ? 'inforce' : 'draft';
  const content = view === 'draft' ? props.draft : props.inForce;
  const [q, chosen] = [query.get('q') ?? '', query.get('sel') ?? ''];
  const rules = useMemo(() => (content.data?.rules ?? []).filter((rule) => matches(rule, q)), [content.data, q]);
  const rule = content.data?.rules.find(({ id }) => id === chosen);
  return (
    <>
      <search class="filters">
        <Segments<View>
          label="Which rules"
          value={view}
          options={[
            ['draft', 'Draft'],
            ['inforce', 'In force'],
          ]}
          onChange={(to) => setQuery({ view: to === 'draft' ? '' : to, sel: '' })}
        />
        <SearchInput
          label="Search rules"
          placeholder="Id, service, label, file or note"
          value={q}
          onInput={(value) => setQuery({ q: value }, true)}
        />
      </search>
      <div class="split">
        <div class="list">
          <Loaded resource={content} what="the rules">
            {({ rules: all, problems }) => (
              <>
                <Problems problems={problems} />
                {rules.length > 0 ? (
                  <Table
                    caption={view === 'draft' ? 'Rules of the draft' : 'Rules in force'}
                    columns={chosen === '' ? COLUMNS : NARROW}
                    rows={rules}
                    keyOf={({ id }) => id}
                    chosen={chosen}
                    onChoose={({ id }) => setQuery({ sel: id === chosen ? '' : id })}
                  />
                ) : (
                  <Nothing any={all.length > 0} view={view} />
                )}
              </>
            )}
          </Loaded>
        </div>
        {rule !== undefined && content.data !== undefined && (
          <RulePanel rule={rule} content={content.data} draft={view === 'draft'} />
        )}
        {chosen !== '' && rule === undefined && content.data !== undefined && (
          <SidePanel kind="Rule" title={chosen} onClose={() => setQuery({ sel: '' })}>
            <Empty title="No such rule here">
              {view === 'draft'
                ? 'The draft has no rule of this id. Look among the rules in force.'
                : 'No rule of this id is in force. Look in the draft.'}
            </Empty>
          </SidePanel>
        )}
      </div>
    </>
  );
}

function RulePanel({ rule, content, draft }: { rule: RuleInfo; content: PolicyContent; draft: boolean }) {
  const { id, file, line } = rule;
  const text = content.files.find(({ name }) => name === file)?.content;
  return (
    <SidePanel
      kind={draft ? 'Rule of the draft' : 'Rule in force'}
      title={id}
      onClose={() => setQuery({ sel: '' })}
      actions={
        <>
          {draft && (
            <a class="button small primary" {...linkTo('/policy', { tab: 'files', file, line: String(line) })}>
              Edit its file
            </a>
          )}
          <a class="button small" {...linkTo('/', { q: `rule:${id}` })}>
            Its connections on the map
          </a>
        </>
      }
    >
      <p>
        <strong>{rule.allow ? 'Allow' : 'Deny'}</strong> <code>{rule.service}</code> provided by{' '}
        <strong>{rule.providedBy}</strong>, used by <strong>{rule.usedBy}</strong>.
      </p>
      <Facts
        rows={[
          ['State', rule.enabled ? 'on' : 'switched off'],
          ['Number', rule.number > 0 && String(rule.number)],
          ['Note', rule.note],
          ['Written in', `${file}, line ${line}`],
        ]}
      />
      {text !== undefined && (
        <Section title="As it is written">
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
          <pre class="code" tabIndex={0}>
            {excerpt(text, line)}
          </pre>
        </Section>
      )}
    </SidePanel>
  );
}

function Nothing({ any, view }: { readonly any: boolean; readonly view: View }) {
  if (any)
    return (
      <div class="stack">
        <Empty title="Nothing matches">No rule has all of these words.</Empty>
        <div class="row center">
          <Button onClick={() => setQuery({ q: '' }, true)}>Clear the search</Button>
        </div>
      </div>
    );
  if (view === 'inforce')
    return (
      <Empty title="No rule is in force" icon="policy">
        Nothing is blocked: everything is seen only. Write rules into the draft, look at what they would change, and
        provision it.
      </Empty>
    );
  return (
    <Empty title="The draft has no rules" icon="policy">
      Write a file under <a {...linkTo('/policy', { tab: 'files' })}>Files</a>, or a rule from a connection on the{' '}
      <a {...linkTo('/')}>flow map</a>.
    </Empty>
  );
}

function matches(rule: RuleInfo, q: string): boolean {
  const { id, service, providedBy, usedBy, file, note, allow } = rule;
  const text = `${id} ${service} ${providedBy} ${usedBy} ${file} ${note} ${allow ? 'allow' : 'deny'}`.toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

const COLUMNS: readonly Column<RuleInfo>[] = [
  { name: 'Rule', cell: ({ id }) => <span class="nowrap">{id}</span>, sort: ({ id }) => id },
  {
    name: 'Action',
    cell: ({ allow, enabled }) => (
      <span class={`mark ${!enabled ? 'info' : allow ? 'allowed' : 'blocked'}`}>
        {enabled ? '' : 'off: '}
        {allow ? 'allow' : 'deny'}
      </span>
    ),
    sort: ({ allow }) => (allow ? 1 : 0),
  },
  { name: 'Service', cell: ({ service }) => <code>{service}</code>, sort: ({ service }) => service },
  { name: 'Provided by', cell: ({ providedBy }) => providedBy, sort: ({ providedBy }) => providedBy },
  { name: 'Used by', cell: ({ usedBy }) => usedBy, sort: ({ usedBy }) => usedBy },
  {
    name: 'Written in',
    cell: ({ file, line }) => (
      <span class="muted">
        {file}:{line}
      </span>
    ),
    sort: ({ file, line }) => `${file}:${String(line).padStart(6, '0')}`,
  },
];

/** Beside the details. */
const NARROW = COLUMNS.filter(({ name }) => name !== 'Written in');
