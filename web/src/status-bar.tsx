// How the whole stands, on every page: policy in force, draft, hosts, alarms, and records that were lost on the way.
import type { Resource } from './api/resource.js';
import type { SystemStatus } from './gen/ringfence/v1/admin_status_pb.js';
import { linkTo } from './location.js';
import { count, shortCount } from './ui/format.js';
import { RolloutBanner } from './ui/rollout.js';

export function StatusBar({ status }: { readonly status: Resource<SystemStatus> }) {
  const { data, error } = status;
  if (data === undefined)
    return <header class="status-bar">{error && <span role="alert">{error.message}</span>}</header>;
  const alarms = data.conditions.filter(({ severity }) => severity === 'alarm');
  const warnings = data.conditions.filter(({ severity }) => severity === 'warning');
  const lost = lostRecords(data);
  return (
    <>
      <header class="status-bar">
        {error && (
          <span class="mark alarm" role="alert">
            controller does not answer
          </span>
        )}
        <a class="fact" {...linkTo('/policy')}>
          {data.policyVersion === 0 ? 'No policy yet' : `Policy ${data.policyVersion}`}
        </a>
        {data.draftDiffers && (
          <a class="mark warning" {...linkTo('/policy', { tab: 'draft' })}>
            draft differs
          </a>
        )}
        <a class="fact" {...linkTo('/hosts')}>
          {data.hostsConnected} of {data.hosts} hosts connected
        </a>
        <a class="fact" {...linkTo('/workloads')}>
          {count(data.workloads)} workloads
        </a>
        <span class="grow" />
        {lost > 0 && (
          <span
            class="mark warning"
            title="Events and records lost in rings, agents, spools or the store since the controller started"
          >
            {shortCount(lost)} flow records lost
          </span>
        )}
        {warnings.length > 0 && (
          <a class="mark warning" {...linkTo('/hosts')} title={warnings.map(({ title }) => title).join('\n')}>
            {warnings.length} {warnings.length === 1 ? 'warning' : 'warnings'}
          </a>
        )}
        {alarms.length > 0 && (
          <a class="mark alarm" {...linkTo('/hosts')} title={alarms.map(({ title }) => title).join('\n')}>
            {alarms.length} {alarms.length === 1 ? 'alarm' : 'alarms'}
          </a>
        )}
      </header>
      {data.rollout && <RolloutBanner rollout={data.rollout} onEnded={status.reload} />}
    </>
  );
}

/** Records that exist nowhere. */
function lostRecords({ flows }: SystemStatus): number {
  const { loss } = flows ?? {};
  const hops = [loss?.ringDropped, loss?.deniesRingDropped, loss?.agentDropped, loss?.spoolDropped, flows?.storeLost];
  return hops.reduce<number>((sum, hop) => sum + Number(hop ?? 0n), 0);
}
