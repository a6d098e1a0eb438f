// The Tags service: the switch of in-band tags, their epochs, and what hosts report of them. No key passes here.
import type { HostTags, TagsServer, TagsState } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { TagMode, TagTallies } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import { TAGS_FEATURE } from '../session/agent-stream.js';
import type { HostRuntimes } from '../session/host-runtime.js';
import { TAGGING_KEY } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import type { TagDesk } from '../tag/tag-desk.js';
import { invalid, unary } from './errors.js';

export interface TagsOptions {
  readonly store: StateStore;
  readonly desk: TagDesk;
  readonly hosts: HostRuntimes;
  readonly log: Logger;
}

/** In HostFacts.features of agents whose kernel takes the program that writes tags. */
const WRITE_FEATURE = 'syn_tags_write';

export const TAG_MODES = {
  off: TagMode.TAG_MODE_OFF,
  peers: TagMode.TAG_MODE_PEERS,
  anywhere: TagMode.TAG_MODE_ANYWHERE,
} as const;

export type TagModeName = keyof typeof TAG_MODES;

/** The switch as it stands: an operator's word, else the configuration's. */
export function standingTagMode(store: StateStore, configured: TagModeName): TagMode {
  return TAG_MODES[store.get('tagging', TAGGING_KEY)?.mode ?? configured];
}

/** Whether SYNs from one host to the other carry tags that are read there: for explain. Hosts that are away count as they last were. */
export function carriesTags(mode: TagMode, hosts: HostRuntimes, fromHostId: string, toHostId: string): boolean {
  const has = (hostId: string, feature: string) => hosts.get(hostId)?.facts?.features.includes(feature) === true;
  return mode !== TagMode.TAG_MODE_OFF && has(fromHostId, WRITE_FEATURE) && has(toHostId, TAGS_FEATURE);
}

export function tagsService({ store, desk, hosts, log }: TagsOptions): TagsServer {
  const state = (): TagsState => {
    const { epoch, nextFromMs } = desk.standing;
    const attached = [...hosts.all()].filter(({ session }) => session !== undefined);
    return {
      mode: desk.mode,
      epoch,
      nextFromMs: BigInt(nextFromMs),
      overlapMs: BigInt(desk.times.overlapMs),
      hosts: attached
        .map(
          ({ hostId, facts, tags }): HostTags => ({
            hostId,
            capable: facts?.features.includes(TAGS_FEATURE) ?? false,
            writes: facts?.features.includes(WRITE_FEATURE) ?? false,
            tallies: tags ?? TagTallies.create(),
          }),
        )
        .sort((a, b) => (a.hostId < b.hostId ? -1 : 1)),
    };
  };
  return {
    getTags: unary(log, () => state()),
    setTagMode: unary(log, async ({ mode }, { name: author }) => {
      const name = (Object.keys(TAG_MODES) as TagModeName[]).find((each) => TAG_MODES[each] === mode);
      if (name === undefined)
        throw invalid('RF_TAG_MODE', `Cannot switch tags: found mode ${mode}, wanted off, peers or anywhere`);
      await store.update((tx) => {
        const before = tx.get('tagging', TAGGING_KEY);
        tx.set('tagging', TAGGING_KEY, { mode: name, rotations: before?.rotations ?? 0 });
      });
      desk.modeChanged();
      log.info({ mode: name, author }, 'in-band tags switched');
      return state();
    }),
    rotateTagKeys: unary(log, async (_, { name: author }) => {
      desk.rotate();
      await store.update((tx) => {
        const before = tx.get('tagging', TAGGING_KEY);
        tx.set('tagging', TAGGING_KEY, { ...before, rotations: (before?.rotations ?? 0) + 1 });
      });
      log.info({ author }, 'a new key for in-band tags');
      return state();
    }),
  };
}
