// The draft's own tests: provisioning refuses a draft that breaks one.
import { Policy } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { TestPolicyResponse_Result } from '../../gen/ringfence/v1/admin_policy_pb.js';
import { service } from '../../ui/format.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';

export function TestsTab({ stamp }: { readonly stamp: string }) {
  const tests = useResource(`tests ${stamp}`, (signal) => call(Policy.method.test, {}, signal));
  return (
    <div class="split">
      <div class="list">
        <Loaded resource={tests} what="the tests">
          {({ results }) => {
            const failed = results.filter(({ passed }) => !passed).length;
            if (results.length === 0)
              return (
                <Empty title="The draft has no tests" icon="policy">
                  A section <code>tests</code> in a policy file says which connections must be allowed or blocked. A
                  draft that breaks one cannot be provisioned.
                </Empty>
              );
            return (
              <>
                <p role="status">
                  {failed === 0 ? (
                    <span class="mark good">all {results.length} pass</span>
                  ) : (
                    <span class="mark alarm">
                      {failed} of {results.length} fail: the draft cannot be provisioned
                    </span>
                  )}
                </p>
                <Table
                  caption="Tests of the draft"
                  columns={COLUMNS}
                  rows={results}
                  keyOf={({ name, from, to, port }) => `${name} ${from} ${to} ${port}`}
                />
              </>
            );
          }}
        </Loaded>
      </div>
    </div>
  );
}

const COLUMNS: readonly Column<TestPolicyResponse_Result>[] = [
  {
    name: 'Outcome',
    cell: ({ passed }) => <span class={`mark ${passed ? 'good' : 'alarm'}`}>{passed ? 'passes' : 'fails'}</span>,
    sort: ({ passed }) => (passed ? 1 : 0),
  },
  { name: 'Test', cell: ({ name }) => name, sort: ({ name }) => name },
  { name: 'From', cell: ({ from }) => from },
  { name: 'To', cell: ({ to }) => to },
  { name: 'Service', cell: ({ protocol, port }) => <code>{service(protocol, port)}</code> },
  { name: 'Wanted', cell: ({ expected }) => expected },
  { name: 'Found', cell: ({ found }) => found },
];
