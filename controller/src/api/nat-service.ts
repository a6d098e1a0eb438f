// The NatMappings service. A mapping takes effect on every attached host as soon as its workload has an identity.
import { status } from '@grpc/grpc-js';
import { addressFromHex, addressHex, mappedAddress, wireAddress } from '@ringfence/proto/address.js';
import type { NatMapping, NatMappingsServer } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import type { Logger } from 'pino';
import type { Distributor } from '../session/distributor.js';
import type { NatRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import { addressFromWire, checkText, NAME_MAX, quote } from './convert.js';
import { ApiError, invalid, unary } from './errors.js';

export interface NatOptions {
  readonly store: StateStore;
  readonly distributor: Distributor;
  readonly log: Logger;
}

const MAPPINGS_MAX = 10_000;
/** Protocols with ports: TCP, UDP, SCTP, UDP-Lite. */
const PROTOCOLS = [6, 17, 132, 136];

export function natService({ store, distributor, log }: NatOptions): NatMappingsServer {
  return {
    push: unary(log, async ({ source, mappings, prune }) => {
      if (source === '')
        throw invalid('RF_SOURCE', 'Cannot push mappings: found no source, wanted the name of who pushes');
      checkText(source, NAME_MAX, 'source');
      const wanted = new Map<string, NatRecord>();
      for (const mapping of mappings) {
        const record = recordOf(mapping, source);
        const key = keyOf(record);
        if (wanted.has(key))
          throw invalid('RF_NAT', `Cannot push mapping ${wordsOf(record)}: found it twice, wanted each once`);
        wanted.set(key, record);
      }
      return store.update((tx) => {
        const outcome = { created: 0, updated: 0, removed: 0 };
        for (const [key, record] of wanted) {
          const before = tx.get('nat', key);
          if (before !== undefined && before.source !== source) {
            throw new ApiError(
              status.ALREADY_EXISTS,
              'RF_NAT_TAKEN',
              `Cannot push mapping ${wordsOf(record)}: found it held by source ${quote(before.source)}, wanted a free one`,
            );
          }
          if (before === undefined) outcome.created += 1;
          else if (before.workloadId !== record.workloadId || before.workloadPort !== record.workloadPort)
            outcome.updated += 1;
          tx.set('nat', key, record);
        }
        const all = [...tx.entries('nat')];
        for (const [key, record] of prune ? all : []) {
          if (record.source !== source || wanted.has(key)) continue;
          tx.delete('nat', key);
          outcome.removed += 1;
        }
        if (all.length - outcome.removed > MAPPINGS_MAX) {
          throw new ApiError(
            status.RESOURCE_EXHAUSTED,
            'RF_NAT_MAX',
            `Cannot push mappings: found ${all.length - outcome.removed}, wanted at most ${MAPPINGS_MAX}`,
          );
        }
        return outcome;
      });
    }),
    list: unary(log, ({ source }) => ({
      mappings: store
        .sorted('nat')
        .filter((record) => source === '' || record.source === source)
        .map((record) => ({
          address: { ip: Buffer.from(wireAddress(addressFromHex(record.ip))), space: record.space },
          protocol: record.protocol,
          port: record.port,
          workloadId: record.workloadId,
          workloadPort: record.workloadPort,
          source: record.source,
          effective: distributor.identityOf(record.workloadId) !== 0,
        })),
    })),
  };
}

function recordOf(mapping: NatMapping, source: string): NatRecord {
  if (mapping.address === undefined) throw invalid('RF_NAT', 'Cannot push mapping: found no address, wanted one');
  const { ip, space } = addressFromWire(mapping.address, 'a mapping');
  // The kernels of all hosts know one space until there are more.
  if (space !== '')
    throw invalid(
      'RF_NAT_SPACE',
      `Cannot push mapping in space ${quote(space)}: found that space, wanted the routed world (empty)`,
    );
  const { protocol, port, workloadPort } = mapping;
  const workloadId = checkText(mapping.workloadId, 512, 'workload id');
  if (workloadId === '') throw invalid('RF_NAT', 'Cannot push mapping: found no workload id, wanted one');
  if (!PROTOCOLS.includes(protocol))
    throw invalid('RF_NAT', `Cannot push mapping: found protocol ${protocol}, wanted one of ${PROTOCOLS.join(', ')}`);
  for (const number of [port, workloadPort]) {
    if (number < 1 || number > 65_535)
      throw invalid('RF_NAT', `Cannot push mapping: found port ${number}, wanted 1 to 65535`);
  }
  return { space, ip: addressHex(mappedAddress(addressFromHex(ip))), protocol, port, workloadId, workloadPort, source };
}

function keyOf({ space, ip, protocol, port }: NatRecord): string {
  return `${space}|${ip}|${String(protocol).padStart(3, '0')}|${String(port).padStart(5, '0')}`;
}

function wordsOf({ protocol, port, workloadId }: NatRecord): string {
  return `${protocol}/${port} → ${workloadId}`;
}
