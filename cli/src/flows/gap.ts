import type { FlowGap } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { plural } from '../text/plural.js';
import { clockFromUs, isoFromUs } from '../text/time.js';

/** Where flows are lost, in words; the key is FlowGap.hop. */
const hops: Readonly<Record<string, string>> = {
  subscriber: 'this reader was too slow',
  agent: 'the agent had no room',
  ring: 'kernel rings were full',
  spool: "the agent's disk spool was full",
  history: 'history no longer keeps them',
  store: 'the controller could not store them',
  refused: 'the controller could not read them',
};

/** A gap in one line: "12 flows missing here: kernel rings were full on host-a". `now` in Unix milliseconds. */
export function gapText(gap: FlowGap, now: number): string {
  const why = hops[gap.hop] ?? `lost at ${gap.hop}`;
  const host = gap.hostId === '' ? '' : ` on ${gap.hostId}`;
  const vague = gap.beforeFilter ? ' (counted before the filter)' : '';
  const when = gap.untilUs === 0n ? '' : `, ${span(gap, now)}`;
  return `${plural(gap.count, 'flow')} missing here: ${why}${host}${when}${vague}`;
}

function span({ fromUs, untilUs }: FlowGap, now: number): string {
  const [from, until] = [clockFromUs(fromUs, now), clockFromUs(untilUs, now)];
  return from === until ? from : `${from} to ${until}`;
}

/** A gap in JSON. */
export function gapJson(gap: FlowGap): object {
  return {
    count: gap.count,
    beforeFilter: gap.beforeFilter,
    hop: gap.hop,
    hostId: gap.hostId || null,
    from: isoFromUs(gap.fromUs),
    until: isoFromUs(gap.untilUs),
  };
}
