// Labels that follow logins: who is logged in on a host, by the rules of the policy's userGroups, gives the user-group label of the host
// and of each user's own slice. Pure but for the transaction.
import type { Login, Logins } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { UserGroupSpec } from '../policy/model.js';
import { USER_GROUP_DIMENSION } from '../policy/names.js';
import type { LabelReasonRecord, LoginsRecord, WorkloadRecord } from '../store/records.js';
import type { StateTransaction } from '../store/state-store.js';

type LoginRecord = LoginsRecord['users'][number];

/** Users of one host, and groups of one user. */
const USERS_MAX = 256;
const GROUPS_MAX = 256;
/** Groups of one host, over all its users: a host's record is written whole. */
const HOST_GROUPS_MAX = 4096;
const NAME_MAX = 256;

/** What decides: the rules in force for a workload. */
export type RulesFor = (record: WorkloadRecord) => readonly UserGroupSpec[];

/** A label that a login gives. */
export interface LoginLabel {
  readonly value: string;
  readonly rule: string;
  readonly user: string;
  /** The group that the rule names; undefined: it names the user. */
  readonly group: string | undefined;
}

/** What an agent reports, inside its bounds and in one order. What is no name is left out. */
export function loginsFromWire(wire: Logins): LoginsRecord {
  const named = wire.users.filter(({ user }) => isName(user)).sort((a, b) => compare(a.user, b.user));
  let room = HOST_GROUPS_MAX;
  const users = named.slice(0, USERS_MAX).map((login) => {
    const record = loginFromWire(login, Math.min(GROUPS_MAX, room));
    room -= record.groups.length;
    return record;
  });
  return { source: wire.source === 'logind' ? 'logind' : 'utmp', users };
}

function loginFromWire({ user, uid, groups }: Login, groupsMax: number): LoginRecord {
  const names = [...new Set(groups.filter(isName))].sort(compare).slice(0, groupsMax);
  return { user, ...(uid !== undefined && { uid }), groups: names };
}

/** The value that the strongest rule gives for these users; undefined when none holds. */
export function loginLabel(rules: readonly UserGroupSpec[], users: readonly LoginRecord[]): LoginLabel | undefined {
  const ordered = [...rules].sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0) || compare(a.id, b.id));
  for (const { id, value, users: named = [], groups: wanted = [] } of ordered) {
    for (const { user, groups } of users) {
      if (named.includes(user)) return { value, rule: id, user, group: undefined };
      const group = wanted.find((name) => groups.includes(name));
      if (group !== undefined) return { value, rule: id, user, group };
    }
  }
  return undefined;
}

/** The host's users that a workload's label follows: all of them for the host, its own for a user's slice, none for others. */
export function usersOf(record: WorkloadRecord, logins: LoginsRecord | undefined): readonly LoginRecord[] {
  if (record.kind === WorkloadKind.WORKLOAD_KIND_HOST) return logins?.users ?? [];
  const uid = sliceUid(record);
  return uid === undefined ? [] : (logins?.users ?? []).filter((login) => login.uid === uid);
}

/** Whether logins can label the workload at all. */
export function followsLogins(record: WorkloadRecord): boolean {
  return record.kind === WorkloadKind.WORKLOAD_KIND_HOST || sliceUid(record) !== undefined;
}

/** The uid of systemd's slice of one user, that its sessions and his own services run in. */
function sliceUid({ kind, cgroupPath }: WorkloadRecord): number | undefined {
  if (kind !== WorkloadKind.WORKLOAD_KIND_CGROUP) return undefined;
  const match = /(?:^|\/)user\.slice\/user-(\d{1,10})\.slice$/.exec(cgroupPath);
  return match === null ? undefined : Number(match[1]);
}

/**
 * The record with the label that logins give it, or without the one that they gave. An operator's label (kept ones too) stays as it is;
 * one that a pairing gives comes back when no login gives one: `paired` are the labels of its pairing. The same record when nothing
 * changes.
 */
export function withLoginLabel(
  record: WorkloadRecord,
  label: LoginLabel | undefined,
  paired: { readonly label: string; readonly reason: LabelReasonRecord } | undefined,
  nowMs: number,
): WorkloadRecord {
  const known = record.labelReasons?.[USER_GROUP_DIMENSION];
  const value = record.labels[USER_GROUP_DIMENSION];
  if (value !== undefined && known?.source !== 'login' && known?.source !== 'pairing') return record;
  const reason: LabelReasonRecord | undefined = label === undefined ? paired?.reason : reasonOf(label, nowMs);
  const wanted = label?.value ?? paired?.label;
  if (wanted === value && sameReason(known, reason)) return record;
  const { [USER_GROUP_DIMENSION]: _value, ...labels } = record.labels;
  const { [USER_GROUP_DIMENSION]: _reason, ...reasons } = record.labelReasons ?? {};
  return {
    ...record,
    labels: wanted === undefined ? labels : sorted({ ...labels, [USER_GROUP_DIMENSION]: wanted }),
    labelReasons: reason === undefined ? reasons : { ...reasons, [USER_GROUP_DIMENSION]: reason },
    version: wanted === value ? record.version : record.version + 1,
  };
}

/** The record as logins have it in this transaction. */
export function withLogins(
  tx: StateTransaction,
  record: WorkloadRecord,
  rulesFor: RulesFor,
  nowMs: number,
): WorkloadRecord {
  if (!followsLogins(record)) return record;
  const users = usersOf(record, tx.get('host', record.hostId)?.logins);
  return withLoginLabel(record, loginLabel(rulesFor(record), users), pairedLabel(tx, record), nowMs);
}

/** Brings the labels of these workloads to what logins and rules now say. */
export function relabel(
  tx: StateTransaction,
  records: Iterable<WorkloadRecord>,
  rulesFor: RulesFor,
  nowMs: number,
): void {
  for (const { id } of records) {
    const record = tx.get('workload', id);
    if (record === undefined || !record.present) continue;
    const after = withLogins(tx, record, rulesFor, nowMs);
    if (after !== record) tx.set('workload', id, after);
  }
}

/** What its pairing gives of the dimension. */
function pairedLabel(tx: StateTransaction, record: WorkloadRecord) {
  const pairing = record.pairing?.state === 'paired' ? tx.get('pairing', record.id) : undefined;
  const label = pairing?.labels[USER_GROUP_DIMENSION];
  if (pairing === undefined || label === undefined || record.pairing === undefined) return undefined;
  const { profileName, keyId } = record.pairing;
  const reason: LabelReasonRecord = {
    source: 'pairing',
    by: `profile ${profileName}, key ${keyId}`,
    atMs: pairing.pairedMs,
    keyId,
    profile: profileName,
  };
  return { label, reason };
}

function reasonOf({ rule, user, group }: LoginLabel, atMs: number): LabelReasonRecord {
  const by = group === undefined ? `${user} is logged in` : `${user} of group ${group} is logged in`;
  return { source: 'login', by: `rule ${rule}: ${by}`, atMs, rule, user, ...(group !== undefined && { group }) };
}

/** The same but for the time. */
function sameReason(a: LabelReasonRecord | undefined, b: LabelReasonRecord | undefined): boolean {
  return a?.source === b?.source && (a?.source !== 'login' || a.by === b?.by);
}

function isName(text: string): boolean {
  return text.length > 0 && text.length <= NAME_MAX && !/\p{Cc}/u.test(text);
}

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => compare(a, b)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
