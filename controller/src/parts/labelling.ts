// Pairing, labels that follow it, and the keys that tell callers apart.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { mappedAddress, parseAddress, parsePrefix, prefixCovers } from '@ringfence/proto/address.js';
import { standingTagMode } from '../api/tags-service.js';
import { Labelling } from '../discovery/labelling.js';
import { PairingDesk } from '../keys/pairing-desk.js';
import { loadSecretMac } from '../keys/secret-mac.js';
import { VALUE_PATTERN } from '../policy/names.js';
import { TagKeyFile } from '../tag/key-file.js';
import { TagDesk } from '../tag/tag-desk.js';
import { after, type Context } from './context.js';
import type { Distribution } from './distribution.js';
import type { State } from './state.js';

/** How workloads earn their labels: pairing keys, logins, operators. */
export function openLabelling(
  { config, log, now }: Context,
  { store }: State,
  { hosts, policy, dimensions, onPolicy }: Distribution,
) {
  const desk = new PairingDesk({
    state: store,
    mac: loadSecretMac(join(config.stateDir, 'pairing', 'mac.key'), store.table('pairingKey').size > 0),
    nowMs: now,
    randomBytes: (length) => randomBytes(length),
    permittedValues: (dimension) => {
      const known = dimensions();
      return known.has(dimension) ? (known.get(dimension) ?? 'any') : undefined;
    },
    isValue: (text) => text !== '' && VALUE_PATTERN.test(text),
  });
  const fromPrefix = (hostId: string, prefix: string) => comesFrom(hosts.get(hostId)?.peerAddress ?? '', prefix);
  const labelling = new Labelling({
    store,
    desk,
    fromPrefix,
    addressOf: (hostId) => hosts.get(hostId)?.peerAddress ?? '',
    userGroupsFor: (record) => policy.policyFor(record).document.userGroups,
    now,
    random: Math.random,
    onError: (error) => log.error({ err: error }, 'labels could not follow the policy; the next change tries again'),
  });
  onPolicy(() => labelling.onPolicy());
  return { desk, labelling };
}

/** Whether an address lies in a prefix. */
export function comesFrom(address: string, prefix: string): boolean {
  const at = parseAddress(address);
  const range = parsePrefix(prefix);
  return at !== undefined && !('problem' in range) && prefixCovers(range, mappedAddress(at));
}

/** Keys of in-band tags, and who is given them. */
export function openTags({ config, log, now, closers }: Context, { store }: State): TagDesk {
  const tags = new TagDesk({
    mode: () => standingTagMode(store, config.tags),
    file: new TagKeyFile(config.stateDir),
    nowMs: now,
    randomKey: () => randomBytes(16),
    after,
    onError: (error) => log.error({ err: error }, 'keys of in-band tags could not be kept; trying again'),
  });
  // A host that was removed knows the keys.
  closers.push(
    store.onCommit((changes) => {
      if (!changes.some(({ kind, after }) => kind === 'host' && after === undefined)) return;
      try {
        tags.rotate();
      } catch (error) {
        log.error({ err: error }, 'keys of in-band tags could not be changed after a host was removed');
      }
    }),
  );
  closers.push(() => tags.stop());
  return tags;
}
