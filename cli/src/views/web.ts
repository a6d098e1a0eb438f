import type { WebSession } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import type { Column } from '../text/table.js';
import { ago, isoFromMs } from '../text/time.js';

/** A session of the web page in JSON. */
export function webSessionJson(session: WebSession): object {
  return {
    id: session.id,
    operator: session.operator,
    address: session.address,
    userAgent: session.userAgent,
    created: isoFromMs(session.createdMs),
    expires: isoFromMs(session.expiresMs),
  };
}

/** Columns of `web sessions`. */
export function webSessionColumns(now: number): readonly Column<WebSession>[] {
  return [
    { title: 'SESSION', cell: ({ id }) => id },
    { title: 'OPERATOR', cell: ({ operator }) => operator },
    { title: 'FROM', cell: ({ address }) => address },
    { title: 'SIGNED IN', cell: ({ createdMs }) => ago(createdMs, now) },
    { title: 'ENDS', cell: ({ expiresMs }) => ago(expiresMs, now) },
    { title: 'BROWSER', cell: ({ userAgent }) => userAgent, shrinkTo: 20 },
  ];
}
