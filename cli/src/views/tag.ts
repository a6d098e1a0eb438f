import type { HostTags, TagsState } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { TagTallies } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { type Field, field } from '../output/fields.js';
import { duration, isoFromMs } from '../text/time.js';
import { tagModeWords } from './words.js';

/** What an operator reads beside each counter, in the order of a SYN's way. */
const TALLIES = {
  written: 'written',
  noRoom: 'without room',
  noKey: 'without key',
  foreign: 'taken from containers',
  valid: 'valid',
  absent: 'absent',
  invalid: 'invalid',
  expired: 'expired',
  unknownEpoch: 'unknown epoch',
  replayed: 'replayed',
  notBehind: 'not behind the address',
} as const satisfies Readonly<Record<keyof TagTallies, string>>;

/** Tags in JSON. Counters are numbers. */
export function tagsJson(state: TagsState): object {
  return {
    mode: tagModeWords.of(state.mode),
    epoch: state.epoch,
    nextEpoch: isoFromMs(state.nextFromMs),
    overlapMs: Number(state.overlapMs),
    hosts: state.hosts.map(({ hostId, capable, writes, tallies }) => ({
      host: hostId,
      reads: capable,
      writes,
      ...Object.fromEntries(
        Object.entries(tallies ?? TagTallies.create()).map(([name, count]) => [name, Number(count)]),
      ),
    })),
  };
}

/** The switch and the keys. */
export function tagsFields(state: TagsState): Field[] {
  return [
    field('tags', tagModeWords.of(state.mode)),
    field('epoch', String(state.epoch)),
    field('next epoch', isoFromMs(state.nextFromMs) ?? ''),
    field('overlap', duration(Number(state.overlapMs))),
  ];
}

/** One host; counters that are zero are left out. */
export function hostFields({ hostId, capable, writes, tallies }: HostTags): Field[] {
  if (!capable) return [field(hostId, 'an agent without tags')];
  const counts = Object.entries(TALLIES).flatMap(([name, words]) => {
    const count = tallies?.[name as keyof TagTallies] ?? 0n;
    return count === 0n ? [] : [`${count} ${words}`];
  });
  const can = writes ? [] : ['its kernel writes none'];
  return [field(hostId, [...can, ...counts].join(', ') || 'nothing yet')];
}
