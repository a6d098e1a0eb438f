import { type FlowGap, FlowsService } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { faultOf, isServiceError } from '../api/fault.js';
import { messages } from '../api/messages.js';
import type { Action } from '../app.js';
import { type FlowFilterOptions, flowFilter } from '../filter/flow.js';
import { listLimitDefault } from '../filter/list-limit.js';
import { parseWhole } from '../filter/numbers.js';
import { layoutFor } from '../flows/columns.js';
import { gapJson, gapText } from '../flows/gap.js';
import { flowLine } from '../flows/line.js';
import { noRoomText } from '../flows/writer.js';
import { inPieces } from '../text/pieces.js';
import { flowJson } from '../views/flow.js';

/** `flows list`: the newest kept flows that match, oldest first. What is missing among them is said on standard error. */
export const listFlows: Action<[], FlowFilterOptions & { limit: string }> = async (invocation, options) => {
  const { io, printer } = invocation;
  const request = { filter: flowFilter(options, io.now()), limit: parseWhole(options.limit, '--limit', 1, 1_000_000) };
  const connection = await invocation.connect();
  const flows: Flow[] = [];
  const gaps: FlowGap[] = [];
  let kept: { kept: bigint; historyDropped: bigint } | undefined;
  try {
    // Half a list must not look like a whole one: the interrupt is not asked for, it ends the program.
    for await (const { body } of messages(
      connection.stream(FlowsService.query, request),
      new AbortController().signal,
    )) {
      if (body?.$case === 'rows') flows.push(...body.value.flows);
      else if (body?.$case === 'gap') gaps.push(body.value);
      else if (body?.$case === 'synced') kept = body.value;
    }
  } catch (error) {
    throw isServiceError(error) ? faultOf(error, 'list flows', connection.address) : error;
  }
  const { columns, dropped } = layoutFor(printer.room, { now: io.now, dated: true });
  if (!printer.forPrograms) {
    for (const gap of gaps) await printer.note(printer.errorStyle('warn', `-- ${gapText(gap, io.now())} --`));
    if (options.limit === listLimitDefault && flows.length === request.limit) {
      await printer.note(
        `These are the newest ${request.limit}; older ones may match too. Next: --until, or a larger --limit.`,
      );
    }
    if (printer.format === 'table' && dropped.length > 0 && flows.length > 0) await printer.note(noRoomText(dropped));
  }
  if (printer.format === 'compact' && flows.length > 0) {
    const now = io.now();
    return printer.pieces(inPieces(flows, (some) => some.map((f) => `${flowLine(f, printer.style, now)}\n`).join('')));
  }
  await printer.list({
    name: 'flows',
    rows: flows,
    columns,
    json: flowJson,
    extra: { gaps: gaps.map(gapJson), kept: kept?.kept ?? null, historyDropped: kept?.historyDropped ?? null },
    empty: 'No flows match. Next: a wider filter, or ringfence flows tail to wait for one.',
  });
};
