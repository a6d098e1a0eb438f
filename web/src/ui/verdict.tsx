// Verdicts as people see them: never by colour alone, always with a sign and a word.
import { Mode, Reason, Verdict } from '../gen/ringfence/v1/common_pb.js';
import { Icon } from './icons.js';

export type VerdictName = 'allowed' | 'would' | 'blocked' | 'unknown';

export const VERDICT_WORDS: Readonly<Record<VerdictName, string>> = {
  allowed: 'allowed',
  would: 'would be blocked',
  blocked: 'blocked',
  unknown: 'not decided',
};

export function verdictName(verdict: Verdict): VerdictName {
  if (verdict === Verdict.ALLOWED) return 'allowed';
  if (verdict === Verdict.WOULD_BLOCK) return 'would';
  return verdict === Verdict.BLOCKED ? 'blocked' : 'unknown';
}

export function VerdictMark({ verdict }: { readonly verdict: VerdictName }) {
  return (
    <span class={`mark ${verdict}`}>
      <Icon name={verdict} />
      {VERDICT_WORDS[verdict]}
    </span>
  );
}

/** A reason in words: "implicit deny". */
export function reasonWords(reason: Reason): string {
  return (Reason[reason] ?? 'unknown').toLowerCase().replaceAll('_', ' ');
}

export function modeWord(mode: Mode | undefined): string {
  return mode === undefined ? '' : (Mode[mode] ?? '').toLowerCase();
}
