// How the whole stands, on every page: policy in force, draft, hosts, alarms, and records that were lost on the way.
import { useRef } from 'preact/hooks';
import type { Resource } from './api/resource.js';
import type { SystemStatus } from './gen/ringfence/v1/admin_status_pb.js';
import type { Condition } from './gen/ringfence/v1/agent_pb.js';
import { linkTo } from './location.js';
import { count, plural, shortCount } from './ui/format.js';
import { RolloutBanner } from './ui/rollout.js';

/** So many are listed at once. */
const TOLD_MAX = 30;

export function StatusBar({ status }: { readonly status: Resource<SystemStatus> }) {
  const { data, error } = status;
  if (data === undefined)
    return <header class="status-bar">{error && <span role="alert">{error.message}</span>}</header>;
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
        <Told tone="warning" conditions={data.conditions.filter(({ severity }) => severity === 'warning')} />
        <Told tone="alarm" conditions={data.conditions.filter(({ severity }) => severity === 'alarm')} />
      </header>
      {data.rollout && <RolloutBanner rollout={data.rollout} onEnded={status.reload} />}
    </>
  );
}

/** How many conditions there are; opened, what each is and what to do. A host's stand on its page too, the controller's own only here. */
function Told({ tone, conditions }: { readonly tone: 'warning' | 'alarm'; readonly conditions: readonly Condition[] }) {
  const box = useRef<HTMLDetailsElement>(null);
  if (conditions.length === 0) return null;
  const close = () => {
    if (box.current !== null) box.current.open = false;
  };
  return (
    <details
      ref={box}
      class="told"
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || box.current?.open !== true) return;
        close();
        box.current.querySelector('summary')?.focus();
      }}
    >
      <summary class={`mark ${tone}`}>{plural(conditions.length, tone)}</summary>
      <ul>
        {conditions.slice(0, TOLD_MAX).map(({ code, title, text }) => (
          <li key={`${code} ${title}`}>
            <strong>{title}</strong> <code>{code}</code>
            <p>{text}</p>
          </li>
        ))}
        {conditions.length > TOLD_MAX && (
          <li>
            {count(conditions.length - TOLD_MAX)} more: each host’s are on the <a {...linkTo('/hosts')}>hosts page</a>.
          </li>
        )}
      </ul>
    </details>
  );
}

/** Records that exist nowhere. */
function lostRecords({ flows }: SystemStatus): number {
  const { loss } = flows ?? {};
  const hops = [loss?.ringDropped, loss?.deniesRingDropped, loss?.agentDropped, loss?.spoolDropped, flows?.storeLost];
  return hops.reduce<number>((sum, hop) => sum + Number(hop ?? 0n), 0);
}
