import type { Action } from '../app.js';
import { usageError } from '../errors.js';
import { type FlowFilterOptions, flowFilter } from '../filter/flow.js';
import { parseWhole } from '../filter/numbers.js';
import { parseFields } from '../flows/fields.js';
import { follow } from '../flows/follow.js';
import { TailSummary } from '../flows/summary.js';
import { TailWriter } from '../flows/writer.js';
import { readerGone } from '../io.js';
import { jsonLine } from '../text/json.js';

interface TailOptions extends FlowFilterOptions {
  last?: string;
  limit?: string;
  sample?: string;
  buffer?: string;
  fields?: string[];
  reconnect: boolean;
  quiet?: boolean;
}

/** `flows tail`: until Ctrl-C, --limit, or a reader that closed its pipe. Kept flows come first with --since or --last. */
export const tailFlows: Action<[], TailOptions> = async (invocation, options) => {
  const { io, printer } = invocation;
  const whole = (text: string | undefined, option: string, max: number) =>
    text === undefined ? 0 : parseWhole(text, option, 1, max);
  const request = {
    filter: flowFilter(options, io.now()),
    history: options.since !== undefined || options.last !== undefined,
    historyLimit: whole(options.last, '--last', 0xffff_ffff),
    sample: whole(options.sample, '--sample', 0xffff_ffff),
    buffer: whole(options.buffer, '--buffer', 65_536),
  };
  const { untilUs } = request.filter;
  if (untilUs > 0n && untilUs <= BigInt(io.now()) * 1000n) {
    throw usageError('Cannot follow flows', `found --until ${options.until}, which is over`, 'a time to come', {
      next: 'ringfence flows list, for what was',
    });
  }
  const limit = whole(options.limit, '--limit', Number.MAX_SAFE_INTEGER) || Number.POSITIVE_INFINITY;
  const fields = options.fields === undefined ? undefined : parseFields(options.fields);
  const signal = io.interruption();
  const connection = await invocation.connect();
  const writer = new TailWriter(printer, { now: io.now, dated: request.history }, options.quiet ?? false, fields);
  const summary = new TailSummary(performance.now());
  const surroundings = { signal, now: io.now, random: Math.random, reconnect: options.reconnect };
  let begun = false;
  for await (const event of follow(connection, request, surroundings)) {
    if (!begun) await writer.begin();
    begun = true;
    await writer.write(event);
    if (event.type === 'flow') summary.count(event.flow);
    if (event.type === 'gap') summary.missing += event.gap.count;
    if (event.type === 'back') summary.reconnects += 1;
    if (summary.flows >= limit || signal.aborted) break;
  }
  if (options.quiet || printer.closed || signal.reason === readerGone) return;
  const now = performance.now();
  if (printer.forPrograms) await printer.out(`${jsonLine({ type: 'summary', ...summary.json(now) })}\n`);
  else await printer.note(summary.text(now));
};
