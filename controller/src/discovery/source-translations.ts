// Under which addresses connections leave a host, and which ports of a gateway lead to whom, as its agent read it from conntrack, into the store.
import { addressHex, mappedAddress } from '@ringfence/proto/address.js';
import type { DestinationTranslation, SourceTranslations } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { StateTransaction } from '../store/state-store.js';
import type { ObservedMapping, ObservedPair } from '../topology/observed.js';

/** Pairs of one host. */
export const PAIRS_MAX = 4096;
/** Mappings of one gateway. */
export const MAPPINGS_MAX = 4096;

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
  const destinations = told.gateway ? mappingsOf(hostId, told.destinations, problems) : [];
  const record = {
    ...{ hostId, gateway: told.gateway, pairs: sorted.slice(0, PAIRS_MAX) },
    ...(destinations.length > 0 && { destinations }),
  };
  const before = tx.get('translation', hostId);
  if (JSON.stringify(before) !== JSON.stringify(record)) tx.set('translation', hostId, record);
  return problems;
}

const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132, 136]);

function mappingsOf(hostId: string, told: readonly DestinationTranslation[], problems: string[]): ObservedMapping[] {
  const mappings = new Map<string, ObservedMapping>();
  for (const { protocol, address, port, to, toPort } of told) {
    const found = mappingProblem(protocol, [address, to], [port, toPort]);
    if (found !== undefined) {
      problems.push(`Cannot take a mapping of ${hostId}: found ${found}`);
      continue;
    }
    const mapping = {
      ...{ protocol, address: addressHex(mappedAddress(address)), port },
      ...{ to: addressHex(mappedAddress(to)), toPort },
    };
    mappings.set(`${String(protocol).padStart(3, '0')} ${mapping.address} ${String(port).padStart(5, '0')}`, mapping);
  }
  if (mappings.size > MAPPINGS_MAX)
    problems.push(`Cannot take all mappings of ${hostId}: found ${mappings.size}, wanted at most ${MAPPINGS_MAX}`);
  const sorted = [...mappings].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.slice(0, MAPPINGS_MAX).map(([, mapping]) => mapping);
}

function mappingProblem(
  protocol: number,
  addresses: readonly Uint8Array[],
  ports: readonly number[],
): string | undefined {
  if (!WITH_PORTS.has(protocol)) return `protocol ${protocol}, wanted one with ports`;
  const [outer = 0, inner = 0] = addresses.map(({ length }) => length);
  if (outer !== inner || (outer !== 4 && outer !== 16))
    return `addresses of ${outer} and ${inner} bytes, wanted both 4 or both 16`;
  const port = ports.find((each) => each < 1 || each > 65_535);
  return port === undefined ? undefined : `port ${port}, wanted 1 to 65535`;
}
