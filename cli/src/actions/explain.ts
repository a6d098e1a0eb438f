import { type ExplainEnd, PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import { ExitCode } from '../errors.js';
import { isAddress } from '../filter/address.js';
import { parseService } from '../filter/numbers.js';
import { parseLabel } from '../filter/selector.js';
import { explainJson, explainText } from '../views/explain.js';
import { serviceText } from '../views/protocol.js';
import { verdictWords } from '../views/words.js';

interface Options {
  draft?: boolean;
  expect?: string;
}

/** `explain`: the verdict, and with --expect whether it is the wanted one. */
export const explain: Action<[string, string, string], Options> = async (invocation, options, from, to, service) => {
  const { protocol, port } = parseService(service);
  const request = {
    source: explainEnd(from, 'source'),
    destination: explainEnd(to, 'destination'),
    protocol,
    port,
    draft: options.draft ?? false,
  };
  const connection = await invocation.connect();
  const doing = `explain ${from} to ${to}`;
  const answer = await connection.call(doing, PolicyService.explain, request);
  const { printer } = invocation;
  const name = serviceText(protocol, port);
  const verdict = verdictWords.of(answer.verdict);
  await printer.report(
    explainJson(answer, name),
    printer.format === 'compact' ? `${verdict}\t${name}\n` : explainText(answer, name, printer.style),
  );
  if (options.expect === undefined || options.expect === verdict) return ExitCode.ok;
  if (!printer.forPrograms) await printer.note(`Expected ${options.expect}, found ${verdict}.`);
  return ExitCode.refused;
};

/** Labels where there is "=" (in braces or not), an address where it is one, else a workload. */
export function explainEnd(text: string, where: string): ExplainEnd {
  const bare = /^\{(.*)\}$/.exec(text)?.[1] ?? text;
  if (bare.includes('=')) {
    const labels = bare.split(',').map((part) => parseLabel(part.trim(), where));
    return { end: { $case: 'labels', value: { labels } } };
  }
  if (isAddress(text)) return { end: { $case: 'address', value: text } };
  return { end: { $case: 'workload', value: text } };
}
