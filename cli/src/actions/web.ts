import { WebService } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import { parseDurationOption } from '../filter/time.js';
import { field } from '../output/fields.js';
import { ago, isoFromMs } from '../text/time.js';
import { webSessionColumns, webSessionJson } from '../views/web.js';

/** `web`: the link goes to standard output alone on its line, what else is to say to standard error. */
export const createLink: Action<[], { ttl: string }> = async (invocation, options) => {
  const ttlMs = parseDurationOption(options.ttl, '--ttl', 1000, 3_600_000, 'from 1s to 1h');
  const connection = await invocation.connect();
  const made = await connection.call('make a link', WebService.createLink, { ttlSeconds: Math.ceil(ttlMs / 1000) });
  const { printer } = invocation;
  const json = { url: made.url, expires: isoFromMs(made.expiresMs), caFingerprint: made.caFingerprint || null };
  if (printer.forPrograms) return printer.object({ json, fields: [] });
  await printer.out(`${made.url}\n`);
  await printer.note(
    `Works once, ends ${ago(made.expiresMs, invocation.io.now())}. Whoever opens it is signed in as you.`,
  );
  if (made.caFingerprint !== '') {
    await printer.note(
      `The page's certificate is of the controller's own authority (SHA-256 ${made.caFingerprint}): give the browser ca.pem of your context first.`,
    );
  }
};

/** `web sessions`. */
export const listSessions: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const { sessions } = await connection.call('list sessions', WebService.listSessions, {});
  await invocation.printer.list({
    name: 'sessions',
    rows: sessions,
    columns: webSessionColumns(invocation.io.now()),
    json: webSessionJson,
    empty: 'Nobody is signed in. Next: ringfence web',
  });
};

/** `web end`: one session, or all of them. */
export const endSessions: Action<[string | undefined], { all?: boolean }> = async (invocation, { all = false }, id) => {
  if (all === (id !== undefined)) {
    const found = all ? `session ${id} and --all` : 'no session';
    throw usageError('Cannot end sessions', `found ${found}`, 'the id of one session, or --all', {
      next: 'ringfence web sessions',
    });
  }
  const connection = await invocation.connect();
  const { ended } = await connection.call('end sessions', WebService.endSessions, { id: id ?? '', all });
  await invocation.printer.object({ json: { ended }, fields: [field('ended', String(ended))] });
};
