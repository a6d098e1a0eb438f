// Workloads as a pairing names them.
import type { PairingInfo } from '../../gen/ringfence/v1/admin_pairing_pb.js';
import { linkTo } from '../../location.js';
import { plural } from '../../ui/format.js';

const SHOWN = 100;

export function Pairings({ pairings, none }: { readonly pairings: readonly PairingInfo[]; readonly none: string }) {
  if (pairings.length === 0) return <p class="muted">{none}</p>;
  return (
    <>
      <ul class="lines">
        {pairings.slice(0, SHOWN).map(({ workloadId, workloadName, hostId, present, paired, denial }) => (
          <li key={workloadId}>
            <a {...linkTo('/workloads', { sel: workloadId })}>{workloadName || workloadId}</a>{' '}
            <span class="muted">
              on {hostId}
              {present ? '' : ', gone'}
              {paired ? '' : `, denied: ${denial}`}
            </span>
          </li>
        ))}
      </ul>
      {pairings.length > SHOWN && <p class="muted">and {plural(pairings.length - SHOWN, 'other')}</p>}
    </>
  );
}
