// What is odd about the draft that is not wrong.
import { Policy } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { LintPolicyResponse_Finding } from '../../gen/ringfence/v1/admin_policy_pb.js';
import { linkTo } from '../../location.js';
import { count, plural, time } from '../../ui/format.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';

export function FindingsTab({ stamp }: { readonly stamp: string }) {
  const lint = useResource(`lint ${stamp}`, (signal) => call(Policy.method.lint, {}, signal));
  return (
    <div class="split">
      <div class="list">
        <Loaded resource={lint} what="the findings">
          {({ findings, rules, connections, knownSinceMs, notes }) => (
            <>
              <p class="muted">
                {plural(rules, 'rule')} of the draft looked at
                {connections > 0n &&
                  `; use is counted over ${count(Number(connections))} connections since ${time(Number(knownSinceMs))}`}
                . {notes.join(' ')}
              </p>
              {findings.length === 0 ? (
                <Empty title="Nothing is odd" icon="policy">
                  No rule contradicts, hides or repeats another, and each has somebody at both ends.
                </Empty>
              ) : (
                <Table
                  caption="Findings"
                  columns={COLUMNS}
                  rows={findings}
                  keyOf={({ kind, rule, other }) => `${kind} ${rule} ${other}`}
                />
              )}
            </>
          )}
        </Loaded>
      </div>
    </div>
  );
}

const SEVERE = new Set(['conflict', 'shadowed', 'broad']);

const COLUMNS: readonly Column<LintPolicyResponse_Finding>[] = [
  {
    name: 'Kind',
    cell: ({ kind }) => <span class={`mark ${SEVERE.has(kind) ? 'warning' : 'info'}`}>{kind}</span>,
    sort: ({ kind }) => kind,
  },
  {
    name: 'Rule',
    cell: ({ rule }) => <a {...linkTo('/policy', { sel: rule })}>{rule}</a>,
    sort: ({ rule }) => rule,
  },
  { name: 'Finding and next step', cell: ({ text }) => text },
  {
    name: 'Written in',
    cell: ({ file, line }) =>
      file !== '' && (
        <a {...linkTo('/policy', { tab: 'files', file, line: String(line) })}>
          {file}:{line}
        </a>
      ),
  },
];
