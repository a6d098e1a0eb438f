import type { ModePair } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import type { Workload } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { type Field, field } from '../output/fields.js';
import type { Column } from '../text/table.js';
import { ago, isoFromMs } from '../text/time.js';
import { addressJson, addressText, ipText, labelsJson, labelsText } from './labels.js';
import { pairingJson, pairingText } from './pairing.js';
import { protocolText } from './protocol.js';
import { modeWords, workloadKindWords } from './words.js';

/** A workload in JSON. */
export function workloadJson(workload: Workload): object {
  return {
    id: workload.id,
    name: workload.name,
    kind: workloadKindWords.of(workload.kind),
    hostId: workload.hostId || null,
    source: workload.source,
    image: workload.image || null,
    addresses: workload.addresses.map(addressJson),
    published: workload.published.map((port) => ({
      protocol: protocolText(port.protocol),
      hostAddress: port.hostAddress === undefined ? null : ipText(port.hostAddress.ip),
      hostPort: port.hostPort,
      port: port.port,
    })),
    labels: labelsJson(workload.labels),
    labelReasons: workload.labelReasons.map(labelReasonJson),
    isolatedWhy: workload.isolatedWhy || null,
    pairing: workload.pairing === undefined ? null : pairingJson(workload.pairing),
    stickyLabels: workload.stickyLabels,
    identity: workload.identity,
    expectedMode: modePairJson(workload.expectedMode),
    actualMode: modePairJson(workload.actualMode),
    modeWhy: workload.modeWhy,
    inForce: workload.inForce,
    why: workload.why || null,
    present: workload.present,
    memberships: workload.memberships,
    attachments: workload.attachments,
    metadata: workload.metadata,
    version: workload.version,
    created: isoFromMs(workload.createdMs),
  };
}

/** Why a workload has one label, in JSON. */
export function labelReasonJson(reason: Workload['labelReasons'][number]): object {
  return {
    dimension: reason.dimension,
    source: reason.source,
    by: reason.by || null,
    since: isoFromMs(reason.atMs),
    how: reason.how || null,
    keyId: reason.keyId || null,
    profile: reason.profile || null,
    rule: reason.rule || null,
    user: reason.user || null,
    group: reason.group || null,
  };
}

function modePairJson(pair: ModePair | undefined): object | null {
  return pair === undefined ? null : { inbound: modeWords.of(pair.inbound), outbound: modeWords.of(pair.outbound) };
}

/** "enforce", or "enforce/test" where inbound and outbound differ. */
export function modePairText(pair: ModePair | undefined): string {
  if (pair === undefined) return '-';
  const inbound = modeWords.of(pair.inbound);
  const outbound = modeWords.of(pair.outbound);
  return inbound === outbound ? inbound : `${inbound}/${outbound}`;
}

function stateText(workload: Workload): string {
  if (!workload.present) return 'gone';
  if (workload.hostId === '') return 'unmanaged';
  if (workload.isolatedWhy !== '') return workload.inForce ? 'ISOLATED' : 'ISOLATED, NOT IN FORCE';
  return workload.inForce ? 'in force' : 'NOT IN FORCE';
}

function stateTone(workload: Workload) {
  if (!workload.present || workload.hostId === '') return 'dim';
  return workload.inForce && workload.isolatedWhy === '' ? 'good' : 'bad';
}

/** Columns of `workload list`. */
export const workloadColumns: readonly Column<Workload>[] = [
  { title: 'WORKLOAD', cell: (w) => w.id, shrinkTo: 16 },
  { title: 'NAME', cell: (w) => w.name, tone: () => 'strong', shrinkTo: 12 },
  { title: 'KIND', cell: (w) => workloadKindWords.of(w.kind) },
  { title: 'LABELS', cell: (w) => labelsText(w.labels), tone: () => 'accent', shrinkTo: 16 },
  { title: 'ADDRESSES', cell: (w) => w.addresses.map(addressText).join(' '), shrinkTo: 14 },
  { title: 'IDENTITY', cell: (w) => (w.identity === 0 ? '-' : String(w.identity)), align: 'right' },
  { title: 'MODE', cell: (w) => modePairText(w.expectedMode) },
  { title: 'STATE', cell: stateText, tone: stateTone },
];

/** Everything about one workload. */
export function workloadFields(workload: Workload, now: number): Field[] {
  return [
    field('id', workload.id),
    field('name', workload.name, 'strong'),
    field('kind', workloadKindWords.of(workload.kind)),
    field('host', workload.hostId || '(none: no agent)'),
    field('source', workload.source),
    field('image', workload.image),
    { label: 'labels', values: workload.labels.map((label) => labelLine(workload, label)), tone: 'accent' },
    field('pairing', workload.pairing === undefined ? undefined : pairingText(workload.pairing)),
    field('isolated', workload.isolatedWhy, 'bad'),
    field('sticky labels', workload.stickyLabels ? 'yes: kept for a later workload of this name' : undefined),
    { label: 'addresses', values: workload.addresses.map(addressText) },
    { label: 'published', values: workload.published.map(publishedText) },
    { label: 'memberships', values: workload.memberships },
    field('identity', workload.identity === 0 ? '(none yet)' : String(workload.identity)),
    field('mode expected', modePairText(workload.expectedMode)),
    field('  because', workload.modeWhy),
    field('mode actual', workload.hostId === '' ? undefined : modePairText(workload.actualMode)),
    field('state', stateText(workload), stateTone(workload)),
    field('  because', workload.why),
    { label: 'attached', values: workload.attachments },
    { label: 'metadata', values: Object.entries(workload.metadata).map(([key, value]) => `${key}=${value}`) },
    field('first seen', ago(workload.createdMs, now)),
    field('version', String(workload.version)),
  ];
}

function labelLine({ labelReasons }: Workload, { dimension, value }: Workload['labels'][number]): string {
  const reason = labelReasons.find((one) => one.dimension === dimension);
  if (reason === undefined || reason.source === 'unknown') return `${dimension}=${value}`;
  return `${dimension}=${value}  (${reason.source}${reason.by === '' ? '' : `: ${reason.by}`})`;
}

function publishedText(port: Workload['published'][number]): string {
  const host = (port.hostAddress === undefined ? null : ipText(port.hostAddress.ip)) ?? '*';
  return `${protocolText(port.protocol)} ${host}:${port.hostPort} to ${port.port}`;
}
