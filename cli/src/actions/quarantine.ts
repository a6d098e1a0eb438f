import { PairingService } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import { parseSelector } from '../filter/selector.js';
import { confirm } from '../output/confirm.js';
import { field } from '../output/fields.js';
import { quarantineColumns, quarantinedColumns, quarantineInfoJson, quarantineJson } from '../views/pairing.js';

interface AddOptions {
  label?: string[];
  keyId?: string;
  preview?: boolean;
  reason?: string;
  yes?: boolean;
}

/** `quarantine add`: tells what it would hold, asks, and holds it. */
export const addQuarantine: Action<[string[]], AddOptions> = async (invocation, options, workloads) => {
  const named = [workloads.length > 0, options.label !== undefined, options.keyId !== undefined].filter(Boolean).length;
  if (named !== 1)
    throw usageError('Cannot quarantine', `found ${named} of workloads, --label and --key`, 'exactly one');
  const { printer } = invocation;
  const request = {
    selector: parseSelector(options.label ?? [], '--label'),
    keyId: options.keyId ?? '',
    workloads,
    reason: options.reason ?? '',
  };
  const connection = await invocation.connect();
  const ask = (preview: boolean) => connection.call('quarantine', PairingService.quarantine, { ...request, preview });
  const planned = await ask(true);
  if (!options.preview)
    await confirm(invocation, options.yes, `Cut off ${planned.workloads.length} workloads but for the failsafes?`);
  const held = options.preview ? planned : await ask(false);
  if (printer.forPrograms) return printer.object({ json: quarantineJson(held), fields: [] });
  await printer.list({
    name: 'workloads',
    rows: held.workloads,
    columns: quarantinedColumns,
    json: (row) => row,
    empty: 'No workload is held now.',
  });
  if (!options.preview)
    await printer.note(`Held. To let them back: ringfence quarantine release ${held.quarantine?.id}`);
};

/** `quarantine list`. */
export const listQuarantines: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const { quarantines } = await connection.call('list quarantines', PairingService.listQuarantines, {});
  await invocation.printer.list({
    name: 'quarantines',
    rows: quarantines,
    columns: quarantineColumns(invocation.io.now()),
    json: quarantineInfoJson,
    empty: 'Nothing is in quarantine.',
  });
};

/** `quarantine release`. */
export const releaseQuarantine: Action<[string], object> = async (invocation, _options, id) => {
  const connection = await invocation.connect();
  const released = await connection.call(`release quarantine ${id}`, PairingService.releaseQuarantine, { id });
  await invocation.printer.object({
    json: quarantineJson(released),
    fields: [field('released', id), field('workloads', String(released.workloads.length))],
  });
};
