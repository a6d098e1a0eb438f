// How far policy acts on a workload, in words.
import type { ModePair } from '../gen/ringfence/v1/admin_common_pb.js';
import { Mode } from '../gen/ringfence/v1/common_pb.js';
import { modeWord } from './verdict.js';

/** "enforce", or "in enforce, out test" where both differ. */
export function modePairWords(pair: ModePair | undefined): string {
  if (pair === undefined) return '';
  const [inbound, outbound] = [modeWord(pair.inbound), modeWord(pair.outbound)];
  return inbound === outbound ? inbound : `in ${inbound}, out ${outbound}`;
}

export const MODES = [
  ['visibility', 'visibility: observe only'],
  ['test', 'test: report what would be blocked'],
  ['enforce', 'enforce: block'],
] as const;

export type ModeName = (typeof MODES)[number][0];

export function modeOf(name: ModeName): Mode {
  if (name === 'enforce') return Mode.ENFORCE;
  return name === 'test' ? Mode.TEST : Mode.VISIBILITY;
}
