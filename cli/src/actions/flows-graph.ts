import { FlowsService } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Action } from '../app.js';
import { type FlowFilterOptions, flowFilter } from '../filter/flow.js';
import { parseWhole } from '../filter/numbers.js';
import { gapText } from '../flows/gap.js';
import { field } from '../output/fields.js';
import { jsonLine, jsonText } from '../text/json.js';
import { plural } from '../text/plural.js';
import { renderCompact, renderTable } from '../text/table.js';
import { graphColumns, graphJson } from '../views/flow-graph.js';

interface GraphOptions extends FlowFilterOptions {
  groupBy?: string[];
  minBytes: string;
  minCount: string;
  minDuration: string;
  limit: string;
}

/** `flows graph`: who talks to whom, by groups of workloads. */
export const graphFlows: Action<[], GraphOptions> = async (invocation, options) => {
  const { io, printer } = invocation;
  const whole = (text: string, name: string) => BigInt(parseWhole(text, name, 0, Number.MAX_SAFE_INTEGER));
  const request = {
    filter: flowFilter(options, io.now()),
    groupBy: (options.groupBy ?? ['role', 'app']).flatMap((text) => text.split(',')).map((text) => text.trim()),
    minBytes: whole(options.minBytes, '--min-bytes'),
    minCount: whole(options.minCount, '--min-count'),
    minDurationUs: whole(options.minDuration, '--min-duration') * 1_000_000n,
    limit: parseWhole(options.limit, '--limit', 1, 20_000),
    judge: undefined,
  };
  const connection = await invocation.connect();
  const graph = await connection.call('draw the graph', FlowsService.graph, request);
  if (printer.format === 'json') return printer.out(`${jsonText(graphJson(graph))}\n`);
  if (printer.format === 'jsonl') return printer.out(`${jsonLine(graphJson(graph))}\n`);
  for (const gap of graph.gaps) await printer.note(printer.errorStyle('warn', `-- ${gapText(gap, io.now())} --`));
  if (graph.edgesLeftOut > 0) {
    const edges = `${plural(graph.edgesLeftOut, 'edge')} ${graph.edgesLeftOut === 1 ? 'is' : 'are'}`;
    await printer.note(`${edges} left out: below a threshold, or beyond --limit.`);
  }
  const present = new Set(graph.nodes.flatMap(({ labels }) => labels.map(({ dimension }) => dimension)));
  const absent = options.groupBy === undefined ? [] : request.groupBy.filter((dimension) => !present.has(dimension));
  if (absent.length > 0 && graph.edges.length > 0) {
    await printer.note(`No end of these flows has ${absent.join(', ')}. Next: ringfence dimension list.`);
  }
  if (graph.edges.length === 0)
    return printer.note('No traffic matches. Next: a wider filter, or ringfence flows tail to wait for some.');
  const columns = graphColumns(graph);
  if (printer.format === 'compact') return printer.out(renderCompact(columns, graph.edges));
  return printer.out(renderTable(columns, graph.edges, printer.style, printer.room));
};

/** `flows backup`: a copy of the flow store, on the controller's machine. */
export const backupFlows: Action<[string], object> = async (invocation, _options, file) => {
  const connection = await invocation.connect();
  const { bytes } = await connection.call('back up flows', FlowsService.backup, { file });
  await invocation.printer.object({
    json: { file, bytes },
    fields: [field('File', file), field('Bytes', String(bytes))],
  });
};
