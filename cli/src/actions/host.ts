import { HostsService } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { allHosts } from '../api/hosts.js';
import type { Action } from '../app.js';
import { confirm } from '../output/confirm.js';
import { field } from '../output/fields.js';
import { hostColumns, hostFields, hostJson } from '../views/host.js';

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

/** `host remove`: by id or unique name; asks first. */
export const removeHost: Action<[string], FinalOptions> = async (invocation, options, name) => {
  const connection = await invocation.connect();
  const host = await connection.call(`find host ${name}`, HostsService.get, { host: name });
  await confirm(
    invocation,
    options.yes,
    `Forget host ${host.id} and its ${host.workloads} workloads with their labels?`,
  );
  const request = { hostId: host.id, reason: options.reason ?? '' };
  await connection.call(`remove host ${host.id}`, HostsService.remove, request);
  await invocation.printer.object({ json: { removed: host.id }, fields: [field('removed', host.id)] });
};
