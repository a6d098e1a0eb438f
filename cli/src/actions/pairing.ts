import { PairingService } from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import type { Action } from '../app.js';
import { pairingColumns, pairingJson } from '../views/pairing.js';

interface ListOptions {
  keyId?: string;
  host?: string;
  denied?: boolean;
}

/** `pairing list`. */
export const listPairings: Action<[], ListOptions> = async (invocation, options) => {
  const connection = await invocation.connect();
  const request = { keyId: options.keyId ?? '', hostId: options.host ?? '', deniedOnly: options.denied ?? false };
  const { pairings } = await connection.call('list pairings', PairingService.listPairings, request);
  await invocation.printer.list({
    name: 'pairings',
    rows: pairings,
    columns: pairingColumns(invocation.io.now()),
    json: pairingJson,
    empty: options.denied ? 'Nothing was denied.' : 'Nothing was paired.',
  });
};
