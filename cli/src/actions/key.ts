import { createHash, X509Certificate } from 'node:crypto';
import { AuditService } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { PairingService, RevokeAction } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import { parseWhole } from '../filter/numbers.js';
import type { Invocation } from '../invocation.js';
import { confirm } from '../output/confirm.js';
import { field } from '../output/fields.js';
import { createPrivately } from '../output/private-file.js';
import { auditColumns, auditJson } from '../views/audit.js';
import { keyColumns, keyJson, pairingColumns, pairingJson } from '../views/pairing.js';

/**
 * `key create`. The key goes to standard output alone on its line, or to a new file that only the caller can read; what else is to say
 * goes to standard error.
 */
export const createKey: Action<[string], { note?: string; out?: string; forHosts?: boolean }> = async (
  invocation,
  options,
  profile,
) => {
  const { printer } = invocation;
  const connection = await invocation.connect();
  // The file is made first: a key that cannot be kept should not be made.
  const file = options.out === undefined ? undefined : await createPrivately(options.out, 'the key');
  try {
    const request = { profile, note: options.note ?? '' };
    const made = await connection.call('make a key', PairingService.createKey, request);
    const { key } = made;
    const text = options.forHosts ? `${made.text}.${await fingerprint(invocation)}` : made.text;
    await file?.writeFile(`${text}\n`);
    const place = options.out ?? null;
    const json = {
      ...(key === undefined ? {} : keyJson(key)),
      ...(place === null ? { key: text } : { keyFile: place }),
    };
    if (printer.forPrograms) return printer.object({ json, fields: [] });
    if (place === null) await printer.out(`${text}\n`);
    else await printer.object({ json, fields: [field('key', key?.id), field('file', place)] });
    await printer.note('Shown once. Containers carry it as label ringfence.pairing-key.');
  } finally {
    await file?.close();
  }
};

/** What a host pins the controller by: SHA-256 of its authority's certificate. */
async function fingerprint(invocation: Invocation): Promise<string> {
  const { identity } = await invocation.context();
  return createHash('sha256').update(new X509Certificate(identity.caPem).raw).digest('base64url');
}

/** `key list`. */
export const listKeys: Action<[string | undefined], { all?: boolean }> = async (invocation, options, profile) => {
  const connection = await invocation.connect();
  const request = { profile: profile ?? '', includeDead: options.all ?? false };
  const { keys } = await connection.call('list keys', PairingService.listKeys, request);
  await invocation.printer.list({
    name: 'keys',
    rows: keys,
    columns: keyColumns(invocation.io.now()),
    json: keyJson,
    empty: 'No keys. Next: ringfence key create PROFILE',
  });
};

interface RevokeOptions {
  list?: boolean;
  quarantine?: boolean;
  unpair?: boolean;
  reason?: string;
  yes?: boolean;
}

/** `key revoke`: tells what it touches, asks, and does all of it in one call. */
export const revokeKey: Action<[string], RevokeOptions> = async (invocation, options, keyId) => {
  const { printer } = invocation;
  const asked = [options.list, options.quarantine, options.unpair].filter(Boolean).length;
  if (asked > 1) throw usageError('Cannot revoke the key', `found ${asked} of --list, --quarantine, --unpair`, 'one');
  const action = options.quarantine
    ? RevokeAction.REVOKE_ACTION_QUARANTINE
    : options.unpair
      ? RevokeAction.REVOKE_ACTION_UNPAIR
      : RevokeAction.REVOKE_ACTION_UNSPECIFIED;
  const request = { keyId, action, reason: options.reason ?? '' };
  const connection = await invocation.connect();
  const show = (touched: Parameters<typeof pairingJson>[0][], extra: object) =>
    printer.list({
      name: 'touched',
      rows: touched,
      columns: pairingColumns(invocation.io.now()),
      json: pairingJson,
      extra,
      empty: 'It has paired nothing that is still paired.',
    });
  const shown = keyId.startsWith('rfk1_') ? 'the key' : `key ${keyId}`;
  const preview = await connection.call(`look at ${shown}`, PairingService.revokeKey, { ...request, preview: true });
  if (options.list) return show(preview.touched, { key: preview.key && keyJson(preview.key) });
  const hosts = new Set(preview.touched.map(({ hostId }) => hostId)).size;
  const fate = options.quarantine ? 'are cut off' : options.unpair ? 'lose labels and pairing' : 'stay paired';
  await confirm(
    invocation,
    options.yes,
    `Revoke ${shown}? ${preview.touched.length} workloads on ${hosts} hosts ${fate}.`,
  );
  const done = await connection.call(`revoke ${shown}`, PairingService.revokeKey, { ...request, preview: false });
  await show(done.touched, { key: done.key && keyJson(done.key), quarantineId: done.quarantineId || null });
  if (printer.forPrograms) return;
  await printer.note(`Revoked. ${done.touched.length} workloads on ${hosts} hosts ${fate}.`);
  if (done.quarantineId !== '')
    await printer.note(`To let them back: ringfence quarantine release ${done.quarantineId}`);
};

/** `key history`: from the audit log. */
export const keyHistory: Action<[string], { limit: string }> = async (invocation, options, keyId) => {
  const limit = parseWhole(options.limit, '--limit', 1, 1000);
  const connection = await invocation.connect();
  const filter = {
    actions: ['pairing.', 'key.', 'quarantine.'],
    actor: '',
    object: '',
    hostId: '',
    keyId,
    sinceMs: 0n,
  };
  const { entries } = await connection.call('read the history', AuditService.list, { filter, limit, before: 0n });
  await invocation.printer.list({
    name: 'entries',
    rows: entries,
    columns: auditColumns,
    json: auditJson,
    empty: 'Nothing is known of a key with this id.',
  });
};
