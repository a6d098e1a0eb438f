// How a workload stands, in one mark.
import type { Workload } from '../../gen/ringfence/v1/admin_workloads_pb.js';

export interface State {
  readonly word: string;
  readonly tone: 'good' | 'warning' | 'alarm' | 'info';
  /** What the word means here. */
  readonly text: string;
}

export function stateOf({ present, hostId, isolatedWhy, inForce, why }: Workload): State {
  if (!present)
    return {
      word: 'gone',
      tone: 'info',
      text: 'Its agent no longer reports it. Its labels wait for its return until it is forgotten.',
    };
  if (hostId === '')
    return { word: 'no agent', tone: 'info', text: 'Nothing is enforced here: its peers enforce at their end.' };
  if (isolatedWhy !== '')
    return inForce
      ? { word: 'isolated', tone: 'alarm', text: isolatedWhy }
      : { word: 'isolated, not in force', tone: 'alarm', text: `${isolatedWhy}. ${why}` };
  if (inForce)
    return { word: 'in force', tone: 'good', text: 'Its agent reports that what policy expects is in force.' };
  return { word: 'not in force', tone: 'warning', text: why === '' ? 'Its agent has not reported yet.' : why };
}

export function WorkloadState({ workload }: { readonly workload: Workload }) {
  const { word, tone, text } = stateOf(workload);
  return (
    <span class={`mark ${tone}`} title={text}>
      {word}
    </span>
  );
}
