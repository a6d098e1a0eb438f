// A host's own process that calls a port which its host translates is seen twice by its agent: as it leaves, translated, and as answers
// come, with the address that the process called. Both are one near side.
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Held } from './held.js';
import { commonHash } from './keys.js';
import { BYTES, DOUBLES, SHORTS } from './layout.js';
import { FAR, hostOf, NEAR, type Observations } from './types.js';

/** Between what leaves and the first answer to it. */
const ALIAS_US = 2_000_000;
const NONE: readonly number[] = [];

/** Whether a near record names the other end by a mapping: then it is not how the connection leaves. */
export function isCalled(records: Observations, i: number): boolean {
  return records.confidence[i] === Confidence.CONFIDENCE_MAPPED;
}

/** Entries whose near side a near record may be under another address; one with a far side comes first. */
export function aliasesOf({ entries, host }: Held, records: Observations, i: number): readonly number[] {
  const { c, ends, remotes, reporters } = entries.views;
  const remote = records.ends[records.remote[i] as number];
  if (remote === undefined || remote.workloadId === '' || remote.hostId !== hostOf(records, i)) return NONE;
  const protocol = records.protocol[i] as number;
  const own = records.ends[records.local[i] as number];
  const hash = commonHash(host(remote.hostId), records.localPort[i] as number, protocol);
  let found: number[] | undefined;
  for (let entry = entries.pair.first(hash); entry >= 0; entry = entries.pair.after(entry, hash)) {
    const slot = 2 * entry + NEAR;
    const called = c.confidence[BYTES * slot] === Confidence.CONFIDENCE_MAPPED;
    const same =
      entries.hasSide(entry, NEAR) &&
      called !== isCalled(records, i) &&
      entries.protocol[entry] === protocol &&
      c.localPort[SHORTS * slot] === records.localPort[i] &&
      c.servicePort[SHORTS * slot] === records.servicePort[i] &&
      remotes[slot]?.workloadId === remote.workloadId &&
      ends[slot]?.workloadId === own?.workloadId &&
      reporters[slot] === hostOf(records, i) &&
      Math.abs((c.firstSeenUs[DOUBLES * slot] as number) - (records.firstSeenUs[i] as number)) <= ALIAS_US;
    if (!same) continue;
    found ??= [];
    if (entries.hasSide(entry, FAR)) found.unshift(entry);
    else found.push(entry);
  }
  return found ?? NONE;
}
