// How a host stands, in one word: the worst that holds.

import type { Host } from '../../gen/ringfence/v1/admin_hosts_pb.js';
import { Unpaired } from '../../gen/ringfence/v1/agent_pb.js';

export type HostStateName = 'current' | 'behind' | 'away' | 'refused' | 'revoked';

export const STATES = [
  ['', 'Every state'],
  ['current', 'Current'],
  ['behind', 'Behind'],
  ['away', 'Away'],
  ['refused', 'Refused its policy'],
  ['revoked', 'Revoked'],
] as const;

const MEANING: Readonly<Record<HostStateName, readonly [tone: string, text: string]>> = {
  current: ['good', 'Connected, and what it shall have is in force in its kernel.'],
  behind: ['warning', 'Connected; the newest revision is on its way to its kernel.'],
  away: ['warning', 'Not connected. Its kernel goes on with its last good state.'],
  refused: ['alarm', 'It refused a revision. Its last good state stays in force.'],
  revoked: [
    'alarm',
    'Its certificates are revoked. Its kernel keeps its last good policy; enrol it again to bring it back.',
  ],
};

export function hostState(host: Host): HostStateName {
  if (host.revoked) return 'revoked';
  if (host.nack !== undefined) return 'refused';
  if (!host.connected) return 'away';
  return host.revisionAcked >= host.revisionWanted ? 'current' : 'behind';
}

export function stateText(host: Host): string {
  return MEANING[hostState(host)][1];
}

export function HostMark({ host }: { readonly host: Host }) {
  const state = hostState(host);
  const [tone, text] = MEANING[state];
  return (
    <span class={`mark ${tone}`} title={text}>
      {state}
    </span>
  );
}

export function unpairedWord(unpaired: Unpaired): string {
  if (unpaired === Unpaired.ISOLATE) return 'cut off';
  return unpaired === Unpaired.VISIBILITY ? 'left alone' : 'as configured';
}

/** Records and events of a host that exist nowhere. */
export function lostOf({ loss }: Host): number {
  if (loss === undefined) return 0;
  const hops = [loss.ringDropped, loss.deniesRingDropped, loss.agentDropped, loss.spoolDropped, loss.recordsRefused];
  return hops.reduce((sum, hop) => sum + Number(hop), 0);
}
