import { PolicyVersionState } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { TagMode, UnenrollOutcome, Unpaired } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import {
  Confidence,
  Direction,
  EventKind,
  Mode,
  Reason,
  Verdict,
  WorkloadKind,
} from '@ringfence/proto/gen/ringfence/v1/common.js';

/** The words of one enum: "VERDICT_WOULD_BLOCK" is "would-block" wherever people or scripts meet it. */
export interface Words {
  /** The word of a number; "unknown" for one that this program does not know. */
  of(value: number): string;
  /** The number of a word, undefined when there is none. */
  parse(word: string): number | undefined;
  /** All words that may be asked for, in the order of their numbers. */
  readonly all: readonly string[];
}

function wordsOf(numbers: object, prefix: string): Words {
  const byWord = new Map<string, number>();
  const byNumber = new Map<number, string>();
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value !== 'number' || value < 0) continue;
    const word = name.slice(prefix.length).toLowerCase().replaceAll('_', '-');
    byWord.set(word, value);
    byNumber.set(value, word);
  }
  return {
    of: (value) => byNumber.get(value) ?? 'unknown',
    parse: (word) => byWord.get(word.toLowerCase().replaceAll('_', '-')),
    all: [...byWord.keys()].filter((word) => word !== 'unspecified'),
  };
}

export const unpairedWords = wordsOf(Unpaired, 'UNPAIRED_');
export const leaveWords = wordsOf(UnenrollOutcome, 'UNENROLL_OUTCOME_');
export const verdictWords = wordsOf(Verdict, 'VERDICT_');
export const reasonWords = wordsOf(Reason, 'REASON_');
export const modeWords = wordsOf(Mode, 'MODE_');
export const directionWords = wordsOf(Direction, 'DIRECTION_');
export const eventKindWords = wordsOf(EventKind, 'EVENT_KIND_');
export const tagModeWords = wordsOf(TagMode, 'TAG_MODE_');
export const confidenceWords = wordsOf(Confidence, 'CONFIDENCE_');
export const versionStateWords = wordsOf(PolicyVersionState, 'POLICY_VERSION_STATE_');
export const workloadKindWords = wordsOf(WorkloadKind, 'WORKLOAD_KIND_');
