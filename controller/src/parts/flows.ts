// From uploaded records to what is stored, followed and drawn.
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ControllerConfig } from '../config.js';
import { gatewaySides } from '../discovery/gateway-sides.js';
import { TranslationResolver } from '../discovery/translation-resolver.js';
import { EndResolver } from '../flows/ends.js';
import { Followers } from '../flows/followers.js';
import { MemoryHistory } from '../flows/history.js';
import { FlowIngest } from '../flows/ingest.js';
import { DuckArchive } from '../flows/store/duck-archive.js';
import { MemoryArchive } from '../flows/store/memory-archive.js';
import type { Context } from './context.js';
import type { Distribution } from './distribution.js';
import type { State } from './state.js';

/** How often connections are looked at whose other end has not reported. */
const STITCH_TICK_MS = 1000;

export type FlowParts = Awaited<ReturnType<typeof openFlows>>;

/** Resolves when what was stored is known again. */
export async function openFlows(
  { config, log, now, closers }: Context,
  { store, index }: State,
  { distributor }: Pick<Distribution, 'distributor'>,
) {
  const translations = new TranslationResolver({ now, ...gatewaySides(store, distributor) });
  const archive = await openArchive(config, log, now);
  const history = new MemoryHistory(config.flowHistory, archive?.firstId);
  const flowArchive = archive ?? new MemoryArchive(history);
  closers.push(() => flowArchive.close());
  const followers = new Followers();
  const ends = new EndResolver({
    workload: (id) => store.get('workload', id),
    at: (ipHex, hostId) => distributor.topology.behind(hostId, ipHex).flatMap((id) => store.get('workload', id) ?? []),
    lately: (ipHex, hostId) => distributor.topology.lately(hostId, ipHex),
    serviceAt: (...service) => distributor.topology.serviceAt(...service)?.workloadId,
    ofHost: (hostId) => index.ofHost(hostId),
    identityOf: (id) => distributor.identityOf(id),
    workloadsOf: (identity) => distributor.workloadsOf(identity),
    version: () => distributor.version,
  });
  const ingest = new FlowIngest({
    history,
    followers,
    ends,
    archive: flowArchive,
    translations: {
      behind: (hostId, ipHex) => distributor.topology.behind(hostId, ipHex),
      lately: (hostId, ipHex) => distributor.topology.lately(hostId, ipHex),
      version: () => distributor.version,
      end: (id) => ends.found(id, id.split('/')[0] ?? '', distributor.identityOf(id)),
    },
    resolver: translations,
  });
  await ingest.restore(now() * 1000);
  const stitching = setInterval(() => ingest.tick(), STITCH_TICK_MS);
  stitching.unref();
  closers.push(() => clearInterval(stitching));
  return { translations, history, archive: flowArchive, followers, ingest };
}

/** Memory that the flow store's database may take; what needs more spills to disk. */
const FLOW_STORE_MEMORY = 512 * 2 ** 20;

/** The flow store on disk; undefined when it is switched off. */
async function openArchive(
  { stateDir, flowStore }: ControllerConfig,
  log: Logger,
  now: () => number,
): Promise<DuckArchive | undefined> {
  if (flowStore === undefined) return undefined;
  return DuckArchive.open({
    ...flowStore,
    file: join(stateDir, 'flows', 'flows.duckdb'),
    memoryBytes: FLOW_STORE_MEMORY,
    now,
    onDeath: (error) => log.error({ err: error }, 'the flow store has ended; records are shown live and lost'),
  });
}
