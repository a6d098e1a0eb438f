import { type NatMapping, NatMappingsService } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import type { Action } from '../app.js';
import { parseSpaceAddress } from '../filter/address.js';
import { parseProtocols, parseWhole } from '../filter/numbers.js';
import { textOf, YamlInput } from '../input/yaml-input.js';
import { field } from '../output/fields.js';
import { natColumns, natJson } from '../views/nat.js';

/** `nat list`. */
export const listNat: Action<[], { source?: string }> = async (invocation, options) => {
  const connection = await invocation.connect();
  const request = { source: options.source ?? '' };
  const { mappings } = await connection.call('list NAT mappings', NatMappingsService.list, request);
  await invocation.printer.list({
    name: 'mappings',
    rows: mappings,
    columns: natColumns,
    json: natJson,
    empty: 'No mappings. Next: ringfence nat push FILE',
  });
};

/** `nat push`: a file with `source` and `mappings`, each with address, protocol, port, workload, workloadPort. */
export const pushNat: Action<[string], { source?: string; prune?: boolean }> = async (invocation, options, file) => {
  const root = (await YamlInput.read(invocation.io, file)).map(['source', 'mappings']);
  const source = options.source ?? root.optional('source', textOf) ?? root.missing('source');
  const mappings = root.list('mappings', (entry): NatMapping => {
    const item = entry.map(['address', 'protocol', 'port', 'workload', 'workloadPort']);
    const portOf = (name: string) => (node: YamlInput) => node.check((text) => parseWhole(text, name, 1, 65_535));
    const port = item.required('port', portOf('port'));
    return {
      address: item.required('address', (node) => node.check((text) => parseSpaceAddress(text, 'address'))),
      protocol: item.optional('protocol', (node) => node.check((text) => parseProtocols([text], 'protocol')[0])) ?? 6,
      port,
      workloadId: item.required('workload', textOf),
      workloadPort: item.optional('workloadPort', portOf('workloadPort')) ?? port,
      source: '',
      effective: false,
    };
  });
  const request = { source, mappings, prune: options.prune ?? false };
  const connection = await invocation.connect();
  const done = await connection.call(`push NAT mappings of ${source}`, NatMappingsService.push, request);
  const { created, updated, removed } = done;
  await invocation.printer.object({
    json: { source, created, updated, removed },
    fields: [field(source, `${created} created, ${updated} updated, ${removed} removed`)],
  });
};
