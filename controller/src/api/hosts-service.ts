// The Hosts service, and what makes a certificate no longer good.
import type { HostsServer } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { UnenrollOutcome, Unpaired } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import { type Enrolment, isHostId } from '../ca/enrolment.js';
import { dropInventory } from '../discovery/inventory.js';
import { unpairedFromWire } from '../keys/unpaired.js';
import type { HostRecord } from '../store/records.js';
import type { StateStore } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { checkText, quote } from './convert.js';
import { invalid, notFound, unary } from './errors.js';
import type { HostView } from './host-view.js';
import type { Peer } from './peer.js';

export interface HostsOptions {
  readonly store: StateStore;
  readonly index: WorkloadIndex;
  readonly view: HostView;
  readonly enrolment: Enrolment;
  /** Tells a connected agent to leave when `removal` has taken its host out of the store. False when it is not connected. */
  readonly dismiss: (hostId: string, outcome: UnenrollOutcome, removal: () => Promise<void>) => Promise<boolean>;
  /** host:port that agents are told. */
  readonly enrollAddress: () => string;
  readonly now: () => number;
  readonly log: Logger;
}

const TTL_DEFAULT_S = 3600;
const TTL_MAX_S = 30 * 86_400;
const TEXT_MAX = 1024;

export function hostsService(options: HostsOptions): HostsServer {
  const { store, index, view, enrolment, now, log } = options;
  return {
    list: unary(log, () => ({ hosts: store.sorted('host').map((record) => view.toWire(record)) })),
    get: unary(log, ({ host }) => view.toWire(findHost(store, host))),
    createToken: unary(log, async (request, { name: author }) => {
      const ttlSeconds = request.ttlSeconds || TTL_DEFAULT_S;
      if (ttlSeconds > TTL_MAX_S)
        throw invalid('RF_TOKEN_TTL', `Cannot create token: found ${ttlSeconds} s, wanted at most ${TTL_MAX_S}`);
      if (request.hostId !== '' && !isHostId(request.hostId)) {
        throw invalid(
          'RF_HOST_ID',
          `Cannot create token for host ${quote(request.hostId)}: found that id, wanted 1 to 63 of a-z, 0-9, ".", "_", "-"`,
        );
      }
      const note = checkText(request.note, TEXT_MAX, 'note');
      const token = await enrolment.createToken({ ttlMs: 1000 * ttlSeconds, hostId: request.hostId, note, author });
      log.info({ tokenId: token.id, author, hostId: request.hostId }, 'enrolment token made');
      return {
        token: token.text,
        tokenId: token.id,
        expiresMs: BigInt(token.expiresMs),
        enrollAddress: options.enrollAddress(),
      };
    }),
    listTokens: unary(log, () => {
      const usable = [...store.table('token').values()].filter(
        (token) => token.usedMs === 0 && token.expiresMs > now(),
      );
      usable.sort((a, b) => b.createdMs - a.createdMs);
      return {
        tokens: usable.map(({ id, note, author, createdMs, expiresMs, hostId }) => ({
          tokenId: id,
          note,
          author,
          createdMs: BigInt(createdMs),
          expiresMs: BigInt(expiresMs),
          hostId,
        })),
      };
    }),
    revokeToken: unary(log, async ({ tokenId }, { name: author }) => {
      await store.update((tx) => {
        if (tx.get('token', tokenId) === undefined)
          throw notFound('RF_TOKEN_UNKNOWN', `Cannot revoke token ${quote(tokenId)}: found none of this id`);
        tx.delete('token', tokenId);
      });
      log.info({ tokenId, author }, 'enrolment token revoked');
      return {};
    }),
    revokeCertificate: unary(log, async ({ hostId, reason }, { name: author }) => {
      const text = checkText(reason, TEXT_MAX, 'reason');
      const record = await store.update((tx) => {
        const before = demandHost(tx.get('host', hostId), hostId);
        const certificates = before.certificates.map((c) =>
          c.revokedMs === 0 ? { ...c, revokedMs: now(), reason: text } : c,
        );
        const after = { ...before, certificates };
        tx.set('host', hostId, after);
        return after;
      });
      log.warn({ hostId, author, reason: text }, 'certificates of a host revoked');
      return view.toWire(record);
    }),
    set: unary(log, async ({ host, unpaired }, { name: author }) => {
      const { id } = findHost(store, host);
      if (unpaired === Unpaired.UNRECOGNIZED)
        throw invalid(
          'RF_HOST_SET',
          `Cannot set host ${id}: found an unknown treatment, wanted isolate, visibility or none`,
        );
      const treatment = unpairedFromWire(unpaired);
      const record = await store.update((tx) => {
        const { unpairedByOperator: _before, ...rest } = demandHost(tx.get('host', id), id);
        const after: HostRecord = { ...rest, ...(treatment && { unpairedByOperator: treatment }) };
        tx.set('host', id, after);
        return after;
      });
      log.info({ hostId: id, author, unpaired: treatment ?? 'as configured' }, 'treatment of unpaired containers set');
      return view.toWire(record);
    }),
    remove: unary(log, async ({ hostId, reason, outcome }, { name: author }) => {
      const text = checkText(reason, TEXT_MAX, 'reason');
      if (outcome === UnenrollOutcome.UNRECOGNIZED)
        throw invalid(
          'RF_HOST_REMOVE',
          `Cannot remove host ${quote(hostId)}: found an unknown outcome, wanted keep, open or remove`,
        );
      const told = await options.dismiss(hostId, outcome, () =>
        store.update((tx) => {
          demandHost(tx.get('host', hostId), hostId);
          dropInventory(tx, index.ofHost(hostId));
          tx.delete('host', hostId);
          tx.delete('pairing', `${hostId}/host`);
          for (const [key] of [...tx.entries('sticky')]) if (key.startsWith(`${hostId}|`)) tx.delete('sticky', key);
        }),
      );
      log.warn({ hostId, author, reason: text, outcome, told }, 'host removed');
      return { told };
    }),
  };
}

/**
 * Why a host's certificate is no longer good, as a sentence fragment; undefined while it is. What is not among the host's recorded
 * certificates is not good either: a removed host whose id was given again keeps no right.
 */
export function certificateRefusal(store: StateStore, now: () => number): (peer: Peer) => string | undefined {
  return (peer) => {
    if (peer.notAfterMs <= now())
      return `found a certificate that expired at ${new Date(peer.notAfterMs).toISOString()}, wanted a valid one`;
    if (peer.role !== 'host') return undefined;
    const record = store.get('host', peer.name);
    if (record === undefined) return `found a certificate of host ${peer.name}, which was removed; enrol it again`;
    const certificate = record.certificates.find(({ serial }) => serial === peer.serial);
    if (certificate === undefined)
      return `found a certificate of host ${peer.name} that is not among those it was given; enrol it again`;
    if (certificate.revokedMs !== 0)
      return `found a certificate of host ${peer.name} that was revoked (${certificate.reason}); enrol it again`;
    return undefined;
  };
}

/** A host by id, or by a name that is unique. Throws ApiError. */
export function findHost(store: StateStore, text: string): HostRecord {
  const byId = store.get('host', text);
  if (byId !== undefined) return byId;
  const named = [...store.table('host').values()].filter(({ name }) => name === text);
  const [only] = named;
  if (only !== undefined && named.length === 1) return only;
  if (named.length > 1)
    throw invalid(
      'RF_HOST_AMBIGUOUS',
      `Cannot tell host ${quote(text)}: found ${named.length} of this name, wanted an id`,
    );
  return demandHost(undefined, text);
}

function demandHost(record: HostRecord | undefined, text: string): HostRecord {
  if (record !== undefined) return record;
  throw notFound(
    'RF_HOST_UNKNOWN',
    `Cannot find host ${quote(text)}: found none of this id or name, wanted one; \`ringfence host list\` shows all`,
  );
}
