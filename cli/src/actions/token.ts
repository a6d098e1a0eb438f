import { HostsService } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import type { Action } from '../app.js';
import { parseDurationOption } from '../filter/time.js';
import { field } from '../output/fields.js';
import { createPrivately } from '../output/private-file.js';
import { ago, isoFromMs } from '../text/time.js';
import { tokenColumns, tokenJson } from '../views/host.js';

interface CreateOptions {
  ttl: string;
  hostId?: string;
  note?: string;
  out?: string;
}

/**
 * `host token create`. The token goes to standard output alone on its line, so that it can be piped to where it is used, or to a new
 * file that only the caller can read; what else is to say goes to standard error.
 */
export const createToken: Action<[], CreateOptions> = async (invocation, options) => {
  const ttlMs = parseDurationOption(options.ttl, '--ttl', 1000, 30 * 86_400_000, 'from 1s to 30d');
  const { printer } = invocation;
  const connection = await invocation.connect();
  // The file is made first: a token that cannot be kept should not be made.
  const file = options.out === undefined ? undefined : await createPrivately(options.out, 'the token');
  try {
    const request = { ttlSeconds: Math.ceil(ttlMs / 1000), hostId: options.hostId ?? '', note: options.note ?? '' };
    const made = await connection.call('make a token', HostsService.createToken, request);
    await file?.writeFile(`${made.token}\n`);
    const place = options.out ?? null;
    const json = {
      tokenId: made.tokenId,
      ...(place === null ? { token: made.token } : { tokenFile: place }),
      expires: isoFromMs(made.expiresMs),
      enrollAddress: made.enrollAddress,
    };
    const next = `ringfence enroll --controller ${made.enrollAddress} --token-file ${place ?? 'FILE'}`;
    if (printer.forPrograms) return printer.object({ json, fields: [] });
    if (place === null) await printer.out(`${made.token}\n`);
    else await printer.object({ json, fields: [field('token', made.tokenId), field('file', place)] });
    await printer.note(`Ends ${ago(made.expiresMs, invocation.io.now())}. Next, on the host: ${next}`);
  } finally {
    await file?.close();
  }
};

/** `host token list`. */
export const listTokens: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const { tokens } = await connection.call('list tokens', HostsService.listTokens, {});
  await invocation.printer.list({
    name: 'tokens',
    rows: tokens,
    columns: tokenColumns(invocation.io.now()),
    json: tokenJson,
    empty: 'No tokens that could be used. Next: ringfence host token',
  });
};

/** `host token revoke`. */
export const revokeToken: Action<[string], object> = async (invocation, _options, tokenId) => {
  const connection = await invocation.connect();
  await connection.call(`revoke token ${tokenId}`, HostsService.revokeToken, { tokenId });
  await invocation.printer.object({ json: { revoked: tokenId }, fields: [field('revoked', tokenId)] });
};
