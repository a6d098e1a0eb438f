import { type Host, HostsService, ListHostsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import type { Connection } from './connection.js';

/** All hosts, sorted by id. `doing` completes "Cannot …". */
export async function allHosts(connection: Connection, doing: string): Promise<Host[]> {
  const { hosts } = await connection.call(doing, HostsService.list, ListHostsRequest.create());
  return hosts;
}
