import { HostsService } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { UnenrollOutcome, Unpaired } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { allHosts } from '../api/hosts.js';
import type { Action } from '../app.js';
import { confirm } from '../output/confirm.js';
import { field } from '../output/fields.js';
import { hostColumns, hostFields, hostJson, unpairedField } from '../views/host.js';
import { leaveWords, unpairedWords } from '../views/words.js';

/** `host list`. */
export const listHosts: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const hosts = await allHosts(connection, 'list hosts');
  await invocation.printer.list({
    name: 'hosts',
    rows: hosts,
    columns: hostColumns(invocation.io.now()),
    json: hostJson,
    empty: 'No hosts yet. Next: ringfence host token --out FILE, then ringfence enroll on the host.',
  });
};

/** `host show`. */
export const showHost: Action<[string], object> = async (invocation, _options, name) => {
  const connection = await invocation.connect();
  const host = await connection.call(`show host ${name}`, HostsService.get, { host: name });
  await invocation.printer.object({ json: hostJson(host), fields: hostFields(host, invocation.io.now()) });
};

/** What becomes of the kernel of a host that is removed, in a question. */
const fates: Readonly<Record<string, string>> = {
  keep: 'Its kernel keeps the last good policy.',
  open: 'Its kernel then blocks nothing.',
  remove: 'Everything leaves its kernel.',
};

interface FinalOptions {
  reason?: string;
  yes?: boolean;
}

/** `host revoke`: by id or unique name; asks first. */
export const revokeHost: Action<[string], FinalOptions> = async (invocation, options, name) => {
  const connection = await invocation.connect();
  const { id } = await connection.call(`find host ${name}`, HostsService.get, { host: name });
  await confirm(invocation, options.yes, `Revoke all certificates of host ${id}? It must enrol again.`);
  const request = { hostId: id, reason: options.reason ?? '' };
  const host = await connection.call(`revoke host ${id}`, HostsService.revokeCertificate, request);
  await invocation.printer.object({
    json: hostJson(host),
    fields: [field('revoked', id), field('next', `ringfence host token --host-id ${id}, then ringfence enroll on it`)],
  });
};

/** `host set`. */
export const setHost: Action<[string], { unpaired: string }> = async (invocation, { unpaired }, name) => {
  const connection = await invocation.connect();
  const request = { host: name, unpaired: unpairedWords.parse(unpaired) ?? Unpaired.UNPAIRED_UNSPECIFIED };
  const host = await connection.call(`set host ${name}`, HostsService.set, request);
  await invocation.printer.object({ json: hostJson(host), fields: [field('host', host.id), unpairedField(host)] });
};

/** `host remove`: by id or unique name; asks first. */
export const removeHost: Action<[string], FinalOptions & { leave: string }> = async (invocation, options, name) => {
  const connection = await invocation.connect();
  const host = await connection.call(`find host ${name}`, HostsService.get, { host: name });
  await confirm(
    invocation,
    options.yes,
    `Forget host ${host.id} and its ${host.workloads} workloads with their labels? ${fates[options.leave] ?? ''}`,
  );
  const outcome = leaveWords.parse(options.leave) ?? UnenrollOutcome.UNENROLL_OUTCOME_KEEP;
  const request = { hostId: host.id, reason: options.reason ?? '', outcome };
  const { told } = await connection.call(`remove host ${host.id}`, HostsService.remove, request);
  const json = { removed: host.id, leave: options.leave, told };
  const kept = options.leave === 'keep' ? 'its kernel keeps the last good policy' : undefined;
  const away = `its agent was away and keeps the last good policy; on it: agent unenroll --outcome ${options.leave}`;
  const state = told ? `its agent was told: ${options.leave}` : (kept ?? away);
  await invocation.printer.object({ json, fields: [field('removed', host.id), field('agent', state)] });
};
