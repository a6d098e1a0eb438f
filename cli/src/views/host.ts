import type { Host, HostLoss, TokenInfo } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import type { Condition } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { type Field, field } from '../output/fields.js';
import type { Tone } from '../text/style.js';
import type { Column } from '../text/table.js';
import { ago, isoFromMs } from '../text/time.js';
import { addressJson, addressText } from './labels.js';
import { unpairedWords } from './words.js';

/** A host in JSON. */
export function hostJson(host: Host): object {
  const { facts, nack, loss } = host;
  return {
    id: host.id,
    name: host.name,
    state: stateText(host),
    connected: host.connected,
    revoked: host.revoked,
    lastSeen: isoFromMs(host.lastSeenMs),
    enrolled: isoFromMs(host.enrolledMs),
    peerAddress: host.peerAddress || null,
    revisionWanted: host.revisionWanted,
    revisionAcked: host.revisionAcked,
    policyVersion: host.policyVersion,
    workloads: host.workloads,
    refusal:
      nack === undefined
        ? null
        : { revision: nack.revision, code: nack.code, message: nack.message, table: nack.table || null },
    conditions: host.conditions.map(conditionJson),
    tables: host.tables.map(({ table, entries, entriesMax }) => ({ table, entries, entriesMax })),
    certificate: { serial: host.certificateSerial, notAfter: isoFromMs(host.certificateNotAfterMs) },
    facts:
      facts === undefined
        ? null
        : {
            hostname: facts.hostname,
            kernel: facts.kernel,
            os: facts.os,
            addresses: facts.addresses.map(addressJson),
            cgroupMode: facts.cgroupMode,
            runtimes: facts.runtimes,
            machineId: facts.machineId,
            bootId: facts.bootId,
            agentVersion: facts.agentVersion,
            features: facts.features,
            missingFeatures: facts.missingFeatures,
          },
    loss: loss === undefined ? null : lossJson(loss),
    logins:
      host.logins === undefined
        ? null
        : {
            source: host.logins.source,
            users: host.logins.users.map(({ user, uid, groups }) => ({ user, uid: uid ?? null, groups })),
          },
    unpaired: unpairedWords.of(host.unpaired),
    unpairedBy: host.unpairedBy,
  };
}

/** What it does to containers that are not paired, and who says so. */
export function unpairedField(host: Host): Field {
  return field('unpaired', `${unpairedWords.of(host.unpaired)} (by ${host.unpairedBy})`);
}

function loginLines({ logins }: Host): string[] {
  return (logins?.users ?? []).map(({ user, groups }) =>
    groups.length === 0 ? user : `${user} (${groups.join(', ')})`,
  );
}

/** Losses of a flow path in JSON. */
export function lossJson(loss: HostLoss): object {
  return { ...loss };
}

/** A condition in JSON. */
export function conditionJson(condition: Condition): object {
  const { code, severity, title, text, sinceMs } = condition;
  return { code, severity, title, text, since: isoFromMs(sinceMs) };
}

/** A condition in one line. */
export function conditionText({ severity, title, text, code }: Condition): string {
  return `${severity}: ${title}${text === '' ? '' : `: ${text}`} [${code}]`;
}

/** Colour of a condition. */
export function severityTone(severity: string): Tone | undefined {
  return severity === 'alarm' ? 'bad' : severity === 'warning' ? 'warn' : undefined;
}

/** How the host stands, in one word: the worst that holds. */
export function stateText(host: Host): 'revoked' | 'refused' | 'current' | 'behind' | 'away' {
  if (host.revoked) return 'revoked';
  if (host.nack !== undefined) return 'refused';
  if (!host.connected) return 'away';
  return host.revisionAcked >= host.revisionWanted ? 'current' : 'behind';
}

function stateTone(host: Host): Tone {
  const state = stateText(host);
  if (state === 'current') return 'good';
  return state === 'behind' ? 'warn' : 'bad';
}

/** Columns of `host list`. `now` in Unix milliseconds. */
export function hostColumns(now: number): readonly Column<Host>[] {
  return [
    { title: 'HOST', cell: (h) => h.id, tone: () => 'strong', shrinkTo: 12 },
    { title: 'NAME', cell: (h) => h.name, shrinkTo: 12 },
    { title: 'STATE', cell: stateText, tone: stateTone },
    { title: 'SEEN', cell: (h) => ago(h.lastSeenMs, now) },
    { title: 'WORKLOADS', cell: (h) => String(h.workloads), align: 'right' },
    { title: 'POLICY', cell: (h) => (h.policyVersion === 0 ? '-' : `v${h.policyVersion}`), align: 'right' },
    { title: 'REVISION', cell: (h) => `${h.revisionAcked}/${h.revisionWanted}`, align: 'right' },
    { title: 'KERNEL', cell: (h) => h.facts?.kernel ?? '', shrinkTo: 8 },
    { title: 'AGENT', cell: (h) => h.facts?.agentVersion ?? '', shrinkTo: 6 },
    {
      title: 'CONDITIONS',
      cell: (h) => h.conditions.map((c) => c.code).join(' ') || '-',
      tone: (h) => severityTone(h.conditions[0]?.severity ?? ''),
      shrinkTo: 10,
    },
  ];
}

/** Everything about one host. */
export function hostFields(host: Host, now: number): Field[] {
  const { facts, nack, loss } = host;
  const lost = loss === undefined ? [] : lossLines(loss);
  return [
    field('id', host.id, 'strong'),
    field('name', host.name),
    field('state', stateText(host), stateTone(host)),
    field('last seen', `${ago(host.lastSeenMs, now)}${host.peerAddress === '' ? '' : ` from ${host.peerAddress}`}`),
    field('enrolled', ago(host.enrolledMs, now)),
    field('certificate', `ends ${ago(host.certificateNotAfterMs, now)}, serial ${host.certificateSerial}`),
    field('revision', `${host.revisionAcked} of ${host.revisionWanted}`),
    field('policy version', host.policyVersion === 0 ? '(none)' : String(host.policyVersion)),
    field('refused', nack && `revision ${nack.revision}: ${nack.message} [${nack.code}]`, 'bad'),
    ...host.conditions.map((c) => field('condition', conditionText(c), severityTone(c.severity))),
    field('workloads', String(host.workloads)),
    unpairedField(host),
    { label: 'logged in', values: loginLines(host) },
    { label: 'tables', values: host.tables.map((t) => `${t.table} ${t.entries}/${t.entriesMax}`) },
    { label: 'lost', values: lost, tone: 'warn' },
    field('hostname', facts?.hostname),
    field('system', facts && `${facts.os}, kernel ${facts.kernel}, cgroup ${facts.cgroupMode}`),
    { label: 'addresses', values: (facts?.addresses ?? []).map(addressText) },
    { label: 'runtimes', values: facts?.runtimes ?? [] },
    field('features', facts?.features.join(' ')),
    { label: 'lacks', values: facts?.missingFeatures ?? [], tone: 'warn' },
    field('agent', facts?.agentVersion),
  ];
}

/** One line for each place that lost something. */
export function lossLines(loss: HostLoss): string[] {
  const lines: string[] = [];
  const add = (count: bigint, what: string) => {
    if (count > 0n) lines.push(`${count} ${what}`);
  };
  add(loss.ringDropped, `events of ${loss.eventsProduced}: rings full`);
  add(loss.deniesRingDropped, `denies of ${loss.deniesProduced}: deny rings full`);
  add(loss.agentDropped, 'events in the agent');
  add(loss.spoolDropped, 'records from the disk spool');
  add(loss.recordsRefused, 'records refused by the controller');
  return lines;
}

/** Columns of `host token list`. */
export function tokenColumns(now: number): readonly Column<TokenInfo>[] {
  return [
    { title: 'TOKEN', cell: (t) => t.tokenId },
    { title: 'HOST', cell: (t) => t.hostId || '(by name)', shrinkTo: 10 },
    { title: 'ENDS', cell: (t) => ago(t.expiresMs, now) },
    { title: 'MADE', cell: (t) => ago(t.createdMs, now) },
    { title: 'BY', cell: (t) => t.author, shrinkTo: 10 },
    { title: 'NOTE', cell: (t) => t.note, shrinkTo: 10 },
  ];
}

/** A token without its secret, in JSON. */
export function tokenJson(token: TokenInfo): object {
  return {
    tokenId: token.tokenId,
    hostId: token.hostId || null,
    created: isoFromMs(token.createdMs),
    expires: isoFromMs(token.expiresMs),
    author: token.author,
    note: token.note,
  };
}
