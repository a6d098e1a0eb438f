// From what a transaction changed to what the audit log keeps of it: every pairing decision, key event, label change, quarantine, policy
// version and host event, whichever way it came about, since it is read off the change itself.
import type { Actor, AuditDraft } from '../store/audit.js';
import type { Records } from '../store/records.js';
import type { StateChange } from '../store/state-store.js';
import { draftEntries, fateEntries } from './policy-entries.js';

type Draft = Pick<AuditDraft, 'action' | 'object' | 'text'> & {
  readonly hostId?: string;
  readonly keyId?: string;
  readonly detail?: object;
};

/** The entries of one transaction. Pure. */
export function auditEntries(changes: readonly StateChange[], actor: Actor, nowMs: number): AuditDraft[] {
  const files = changes.filter((change) => change.kind === 'draftFile');
  const drafts: Draft[] = [...draftEntries(files), ...changes.flatMap(draftsOf)];
  return drafts.map(({ action, object, text, hostId = '', keyId = '', detail = {} }) => ({
    atMs: nowMs,
    actor: actor.name,
    source: actor.address,
    action,
    object,
    hostId,
    keyId,
    text,
    detail: JSON.stringify(detail),
  }));
}

function draftsOf(change: StateChange): Draft[] {
  switch (change.kind) {
    case 'workload':
      return [...decisionOf(change.before, change.after), ...labelsOf(change.before, change.after)];
    case 'pairingProfile':
      return profileOf(change.before, change.after);
    case 'pairingKey':
      return keyOf(change.before, change.after);
    case 'quarantine':
      return quarantineOf(change.before, change.after);
    case 'policyVersion':
      return change.after === undefined || change.before !== undefined ? [] : [versionOf(change.after)];
    case 'policyFate':
      return fateEntries(change.key, change.before, change.after);
    case 'host':
      return hostOf(change.before, change.after);
    case 'token':
      return tokenOf(change.before, change.after);
    case 'tagging':
      return taggingOf(change.before, change.after);
    default:
      return [];
  }
}

function decisionOf(before: Records['workload'] | undefined, after: Records['workload'] | undefined): Draft[] {
  const record = after ?? before;
  if (record === undefined) return [];
  const { id: object, hostId, name } = record;
  const [old, now] = [before?.pairing, after?.pairing];
  if (now === undefined) {
    if (old?.state !== 'paired') return [];
    return [{ action: 'pairing.end', object, hostId, keyId: old.keyId, text: `${name} is no longer paired` }];
  }
  if (old !== undefined && decided(old) === decided(now)) return [];
  // It is what keeps the log from being flooded.
  if (now.denial === 'rate-limited') return [];
  const detail = { workload: name, image: record.image, profile: now.profileName, requested: now.requested };
  if (now.state === 'paired') {
    return [
      {
        action: 'pairing.approve',
        object,
        hostId,
        keyId: now.keyId,
        text: `${name} paired by profile ${now.profileName}`,
        detail: { ...detail, labels: record.labels, startingMode: now.startingMode },
      },
    ];
  }
  return [
    {
      action: 'pairing.deny',
      object,
      hostId,
      keyId: now.keyId,
      text: `${name} denied: ${now.denial}`,
      detail: { ...detail, denial: now.denial, detail: now.detail },
    },
  ];
}

function decided({ state, keyId, denial, requested }: NonNullable<Records['workload']['pairing']>): string {
  return JSON.stringify([state, keyId, denial, Object.entries(requested).sort()]);
}

function labelsOf(before: Records['workload'] | undefined, after: Records['workload'] | undefined): Draft[] {
  if (after === undefined) return [];
  const old = before?.labels ?? {};
  const dimensions = [...new Set([...Object.keys(old), ...Object.keys(after.labels)])].sort();
  const changed = dimensions.filter((dimension) => old[dimension] !== after.labels[dimension]);
  if (changed.length === 0) return [];
  const words = changed.map((d) => (after.labels[d] === undefined ? `${d}-` : `${d}=${after.labels[d]}`));
  return [
    {
      action: 'label.change',
      object: after.id,
      hostId: after.hostId,
      keyId: after.pairing?.state === 'paired' ? after.pairing.keyId : '',
      text: `${after.name}: ${words.join(' ')}`,
      detail: { before: old, after: after.labels },
    },
  ];
}

function profileOf(
  before: Records['pairingProfile'] | undefined,
  after: Records['pairingProfile'] | undefined,
): Draft[] {
  const action = before === undefined ? 'profile.create' : after === undefined ? 'profile.delete' : 'profile.change';
  const record = after ?? before;
  if (record === undefined) return [];
  return [{ action, object: record.id, text: `profile ${record.name}`, detail: { before, after } }];
}

function keyOf(before: Records['pairingKey'] | undefined, after: Records['pairingKey'] | undefined): Draft[] {
  const record = after ?? before;
  if (record === undefined) return [];
  const { id, profileId, note } = record;
  const entry = (action: string, text: string): Draft[] => [
    { action, object: id, keyId: id, text, detail: { profileId, note, uses: record.uses } },
  ];
  if (before === undefined) return entry('key.create', `key ${id} made`);
  if (after === undefined) return entry('key.delete', `key ${id} deleted with its profile`);
  if (before.revokedAtMs === undefined && after.revokedAtMs !== undefined)
    return entry('key.revoke', `key ${id} revoked`);
  return [];
}

function quarantineOf(before: Records['quarantine'] | undefined, after: Records['quarantine'] | undefined): Draft[] {
  const record = after ?? before;
  if (record === undefined) return [];
  const { id, keyId = '', selector, workloads, reason } = record;
  const action = after === undefined ? 'quarantine.end' : 'quarantine.begin';
  const text = `quarantine ${id}${reason === '' ? '' : `: ${reason}`}`;
  return [{ action, object: id, keyId, text, detail: { selector, keyId, workloads } }];
}

function versionOf({ number, author, note, rules, rollbackOf }: Records['policyVersion']): Draft {
  return {
    action: 'policy.provision',
    object: String(number),
    text: rollbackOf === 0 ? `policy version ${number}` : `policy version ${number}, rolled back to ${rollbackOf}`,
    detail: { author, note, rules, rollbackOf },
  };
}

function hostOf(before: Records['host'] | undefined, after: Records['host'] | undefined): Draft[] {
  if (after === undefined) {
    return before === undefined ? [] : [hostEntry('host.remove', before.id, `host ${before.id} removed`)];
  }
  const known = new Map((before?.certificates ?? []).map((c) => [c.serial, c]));
  const made = after.certificates.filter(({ serial }) => !known.has(serial));
  const revoked = after.certificates.filter((c) => c.revokedMs !== 0 && known.get(c.serial)?.revokedMs === 0);
  const entries: Draft[] = [];
  const enrolled = made.length > 0 && before?.enrolledMs !== after.enrolledMs;
  if (enrolled) entries.push(hostEntry('host.enrol', after.id, `host ${after.id} enrolled as ${after.name}`, made));
  else if (made.length > 0) entries.push(hostEntry('host.renew', after.id, `certificate of ${after.id} renewed`, made));
  if (revoked.length > 0 && !enrolled) {
    entries.push(hostEntry('host.revoke', after.id, `certificates of ${after.id} revoked`, revoked));
  }
  if (before !== undefined && before.unpairedByOperator !== after.unpairedByOperator) {
    const { unpairedByOperator: treatment = 'as configured' } = after;
    const text = `unpaired containers of ${after.id}: ${treatment}`;
    entries.push({
      action: 'host.set',
      object: after.id,
      hostId: after.id,
      text,
      detail: { before: before.unpairedByOperator, after: after.unpairedByOperator },
    });
  }
  return entries;
}

function hostEntry(action: string, hostId: string, text: string, certificates: readonly { serial: string }[] = []) {
  return { action, object: hostId, hostId, text, detail: { serials: certificates.map(({ serial }) => serial) } };
}

function tokenOf(before: Records['token'] | undefined, after: Records['token'] | undefined): Draft[] {
  const record = after ?? before;
  if (record === undefined) return [];
  const { id, hostId, note, usedMs } = record;
  const entry = (action: string, text: string): Draft[] => [{ action, object: id, hostId, text, detail: { note } }];
  if (before === undefined) return entry('token.create', `enrolment token ${id} made`);
  if (after === undefined)
    return usedMs === 0 ? entry('token.revoke', `enrolment token ${id} withdrawn or expired`) : [];
  return before.usedMs === 0 && after.usedMs !== 0 ? entry('token.use', `enrolment token ${id} used`) : [];
}

function taggingOf(before: Records['tagging'] | undefined, after: Records['tagging'] | undefined): Draft[] {
  if (after === undefined) return [];
  const { mode, rotations } = after;
  const entries: Draft[] = [];
  if (mode !== undefined && before?.mode !== mode)
    entries.push({ action: 'tags.mode', object: 'tags', text: `in-band tags: ${mode}` });
  if ((before?.rotations ?? 0) !== rotations)
    entries.push({ action: 'tags.rotate', object: 'tags', text: 'a new key for in-band tags' });
  return entries;
}
