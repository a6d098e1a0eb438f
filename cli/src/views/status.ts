import type { FlowStatus, SystemStatus } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { type Field, field } from '../output/fields.js';
import { plural } from '../text/plural.js';
import { ago, duration, isoFromMs, size } from '../text/time.js';
import { conditionJson, conditionText, lossJson, lossLines, severityTone } from './host.js';
import { rolloutJson, rolloutText } from './policy.js';
import { modeWords, reasonWords, verdictWords, type Words } from './words.js';

/** The state of everything, in JSON. */
export function statusJson(status: SystemStatus): object {
  const { flows, store } = status;
  return {
    controllerVersion: status.controllerVersion,
    started: isoFromMs(status.startedMs),
    epoch: status.epoch,
    policyVersion: status.policyVersion,
    draftDiffers: status.draftDiffers,
    rules: status.rules,
    rollout: rolloutJson(status.rollout),
    hosts: { total: status.hosts, connected: status.hostsConnected, current: status.hostsCurrent },
    workloads: {
      total: status.workloads,
      unmanaged: status.workloadsUnmanaged,
      notInForce: status.workloadsNotInForce,
      byModeInbound: counts(status.workloadsByModeIn, modeWords),
      byModeOutbound: counts(status.workloadsByModeOut, modeWords),
    },
    identities: status.identities,
    flows:
      flows === undefined
        ? null
        : {
            loss: flows.loss === undefined ? null : lossJson(flows.loss),
            kept: flows.kept,
            keptMax: flows.keptMax,
            historyDropped: flows.historyDropped,
            storeBytes: flows.storeBytes,
            storeLost: flows.storeLost,
            followers: flows.followers,
            followerDropped: flows.followerDropped,
            stitching: flows.stitching === undefined ? null : { ...flows.stitching },
            byVerdict: counts(flows.byVerdict, verdictWords),
            byReason: counts(flows.byReason, reasonWords),
          },
    conditions: status.conditions.map(conditionJson),
    store:
      store === undefined
        ? null
        : {
            path: store.path,
            schema: store.schema,
            revision: store.revision,
            bytes: store.bytes,
            healthy: store.healthy,
            error: store.error || null,
          },
    authority: { notAfter: isoFromMs(status.caNotAfterMs), fingerprint: status.caFingerprint },
  };
}

/** Counts by word; what is zero is left out. */
function counts(values: readonly (number | bigint)[], words: Words): Record<string, number | bigint> {
  return Object.fromEntries(
    values.map((value, index) => [words.of(index), value] as const).filter(([, value]) => BigInt(value) > 0n),
  );
}

function countsText(values: readonly (number | bigint)[], words: Words): string {
  return Object.entries(counts(values, words))
    .map(([word, count]) => `${count} ${word}`)
    .join(', ');
}

/** The state of everything, for people. */
export function statusFields(status: SystemStatus, address: string, now: number): Field[] {
  const { flows, store } = status;
  const behind = status.hostsConnected - status.hostsCurrent;
  const away = status.hosts - status.hostsConnected;
  const notes = [away > 0 ? `${away} away` : '', behind > 0 ? `${behind} behind` : ''].filter(Boolean).join(', ');
  const policy =
    status.policyVersion === 0
      ? 'none provisioned'
      : `version ${status.policyVersion}, ${plural(status.rules, 'rule')}`;
  const notInForce = status.workloadsNotInForce;
  return [
    field(
      'controller',
      `${address}, version ${status.controllerVersion}, up for ${duration(now - Number(status.startedMs))}`,
    ),
    field(
      'policy',
      `${policy}${status.draftDiffers ? '; the draft differs' : ''}`,
      status.draftDiffers ? 'warn' : undefined,
    ),
    ...(status.rollout === undefined ? [] : [field('rollout', rolloutText(status.rollout, now), 'warn')]),
    field('hosts', `${status.hosts}${notes === '' ? ', all current' : `, ${notes}`}`, notes === '' ? 'good' : 'warn'),
    field(
      'workloads',
      `${status.workloads}, ${status.workloadsUnmanaged} without an agent, ${plural(status.identities, 'identity', 'identities')}`,
    ),
    field('  inbound', countsText(status.workloadsByModeIn, modeWords)),
    field('  outbound', countsText(status.workloadsByModeOut, modeWords)),
    field('  alarm', notInForce > 0 ? `${notInForce} expected to enforce and do not` : undefined, 'bad'),
    field('flows', flows && `${keptText(flows)}, ${plural(flows.followers, 'tail')} open`),
    field(
      '  not stored',
      flows !== undefined && flows.storeLost > 0n ? `${flows.storeLost} records` : undefined,
      'bad',
    ),
    field('  taken', flows && countsText(flows.byVerdict, verdictWords)),
    { label: '  lost', values: flows?.loss === undefined ? [] : lossLines(flows.loss), tone: 'warn' },
    field('store', store && `${store.path}, ${size(store.bytes)}, revision ${store.revision}`),
    field('  failing', store === undefined || store.healthy ? undefined : store.error || 'writes fail', 'bad'),
    field('authority', `ends ${ago(status.caNotAfterMs, now)}, SHA-256 ${status.caFingerprint.slice(0, 16)}…`),
    ...status.conditions.map((c) => field('condition', conditionText(c), severityTone(c.severity))),
  ];
}

/** On disk the bound is in age and bytes, in memory in records. */
function keptText({ kept, keptMax, storeBytes }: FlowStatus): string {
  return keptMax === 0n ? `${kept} kept, ${size(storeBytes)} on disk` : `${kept} of ${keptMax} kept in memory`;
}
