import { StatusService } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import type { Action } from '../app.js';
import { ExitCode } from '../errors.js';
import { statusFields, statusJson } from '../views/status.js';

/** `status`: one look at the whole. With --check the exit code says whether anything needs attention. */
export const status: Action<[], { check?: boolean }> = async (invocation, options) => {
  const connection = await invocation.connect();
  const now = await connection.call('read the status', StatusService.get, {});
  await invocation.printer.object({
    json: statusJson(now),
    fields: statusFields(now, connection.address, invocation.io.now()),
  });
  const troubled = now.conditions.some(({ severity }) => severity !== 'info') || now.workloadsNotInForce > 0;
  return options.check && troubled ? ExitCode.refused : ExitCode.ok;
};
