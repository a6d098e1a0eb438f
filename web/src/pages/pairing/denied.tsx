// Workloads that presented a key and were not let in: why, and what to do.
import type { Resource } from '../../api/resource.js';
import type { PairingInfo } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { linkTo, setQuery } from '../../location.js';
import { Select } from '../../ui/controls.js';
import { ago } from '../../ui/format.js';
import { Labels } from '../../ui/labels.js';
import { SearchInput } from '../../ui/search.js';
import { Empty, Loaded } from '../../ui/states.js';
import { type Column, Table } from '../../ui/table.js';

export function DeniedTab({
  denied,
  query,
}: {
  readonly denied: Resource<PairingInfo[]>;
  readonly query: URLSearchParams;
}) {
  const [q, why] = [query.get('q') ?? '', query.get('why') ?? ''];
  const reasons = [...new Set((denied.data ?? []).map(({ denial }) => denial))].sort();
  const options = [['', 'Every reason'], ...reasons.map((reason) => [reason, reason] as const)] as const;
  const shown = (denied.data ?? []).filter(
    (info) => (why === '' || info.denial === why) && `${info.workloadId} ${info.workloadName}`.includes(q),
  );
  return (
    <>
      <search class="filters">
        <SearchInput
          label="Search denied workloads"
          placeholder="Id or name"
          value={q}
          onInput={(value) => setQuery({ q: value }, true)}
        />
        <Select
          label="Reason of the denial"
          value={why}
          options={options}
          onChange={(value) => setQuery({ why: value }, true)}
        />
      </search>
      <div class="split">
        <div class="list">
          <Loaded resource={denied} what="the denied workloads">
            {(all) =>
              shown.length === 0 ? (
                <Empty title={all.length === 0 ? 'Nobody was denied' : 'Nothing matches'} icon="pairing">
                  {all.length === 0
                    ? 'A workload that presents a wrong, old or used-up key is cut off and stands here with the reason.'
                    : 'No denied workload fits the filter.'}
                </Empty>
              ) : (
                <Table
                  caption="Denied workloads"
                  columns={COLUMNS}
                  rows={shown}
                  keyOf={({ workloadId }) => workloadId}
                />
              )
            }
          </Loaded>
        </div>
      </div>
    </>
  );
}

const COLUMNS: readonly Column<PairingInfo>[] = [
  {
    name: 'Workload',
    cell: ({ workloadId, workloadName }) => (
      <a {...linkTo('/workloads', { sel: workloadId })}>{workloadName || workloadId}</a>
    ),
    sort: ({ workloadName, workloadId }) => workloadName || workloadId,
  },
  {
    name: 'Host',
    cell: ({ hostId }) => <a {...linkTo('/hosts', { sel: hostId })}>{hostId}</a>,
    sort: ({ hostId }) => hostId,
  },
  {
    name: 'Reason',
    cell: ({ denial }) => <span class="mark alarm">{denial}</span>,
    sort: ({ denial }) => denial,
  },
  { name: 'What is wrong, and what to do', cell: ({ detail }) => detail },
  {
    name: 'Key',
    cell: ({ keyId }) =>
      keyId === '' ? (
        <span class="muted">none of ours</span>
      ) : (
        <a {...linkTo('/pairing', { tab: 'keys', sel: keyId })}>{keyId}</a>
      ),
  },
  { name: 'Asked for', cell: ({ requested }) => <Labels labels={requested} none="nothing" /> },
  {
    name: 'Decided',
    cell: ({ decidedMs, retryMs }) => (
      <span class="nowrap" title={retryMs > 0n ? `again ${ago(Number(retryMs), Date.now())}` : undefined}>
        {ago(Number(decidedMs), Date.now())}
      </span>
    ),
    sort: ({ decidedMs }) => Number(decidedMs),
  },
];
