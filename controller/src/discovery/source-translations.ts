// Under which addresses connections leave a host, as its agent read it from conntrack, into the store.
import { addressHex, mappedAddress } from '@ringfence/proto/address.js';
import type { SourceTranslations } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { StateTransaction } from '../store/state-store.js';
import type { ObservedPair } from '../topology/observed.js';

/** Pairs of one host. */
export const PAIRS_MAX = 4096;

/** Takes the whole of what a host tells. Gives what could not be taken, one sentence each; the rest counts. */
export function takeSourceTranslations(tx: StateTransaction, hostId: string, told: SourceTranslations): string[] {
  const problems: string[] = [];
  const pairs = new Map<string, ObservedPair>();
  for (const { inside, outside } of told.translations) {
    if (![inside, outside].every(({ length }) => length === 4 || length === 16) || inside.length !== outside.length) {
      problems.push(
        `Cannot take a translation of ${hostId}: found addresses of ${inside.length} and ${outside.length} bytes, wanted both 4 or both 16`,
      );
      continue;
    }
    const pair = { inside: addressHex(mappedAddress(inside)), outside: addressHex(mappedAddress(outside)) };
    if (pair.inside !== pair.outside) pairs.set(pair.inside + pair.outside, pair);
  }
  const sorted = [...pairs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
  if (sorted.length > PAIRS_MAX)
    problems.push(
      `Cannot take all translations of ${hostId}: found ${sorted.length} pairs, wanted at most ${PAIRS_MAX}`,
    );
  const record = { hostId, gateway: told.gateway, pairs: sorted.slice(0, PAIRS_MAX) };
  const before = tx.get('translation', hostId);
  if (JSON.stringify(before) !== JSON.stringify(record)) tx.set('translation', hostId, record);
  return problems;
}
