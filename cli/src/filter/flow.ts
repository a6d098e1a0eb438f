import type { FlowEndFilter, FlowFilter } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { usageError } from '../errors.js';
import { directionWords, eventKindWords, modeWords, reasonWords, verdictWords } from '../views/words.js';
import { checkAddresses } from './address.js';
import { parsePorts, parseProtocols } from './numbers.js';
import { parseSelector } from './selector.js';
import { parseTime } from './time.js';
import { parseWords } from './words.js';

/** Filter options of `flows tail` and `flows list` as commander gives them; repeatable ones are arrays. */
export interface FlowFilterOptions {
  label?: string[];
  srcLabel?: string[];
  dstLabel?: string[];
  workload?: string[];
  srcWorkload?: string[];
  dstWorkload?: string[];
  address?: string[];
  srcAddress?: string[];
  dstAddress?: string[];
  host?: string[];
  srcHost?: string[];
  dstHost?: string[];
  srcPort?: string[];
  port?: string[];
  protocol?: string[];
  verdict?: string[];
  denied?: boolean;
  reason?: string[];
  process?: string[];
  rule?: string[];
  mode?: string[];
  direction?: string[];
  kind?: string[];
  reporter?: string[];
  since?: string;
  until?: string;
}

/** The controller's filter for these options. `now` in Unix milliseconds. Throws a usage error. */
export function flowFilter(options: FlowFilterOptions, now: number): FlowFilter {
  const verdicts = parseWords(options.verdict ?? [], verdictWords, '--verdict');
  if (options.denied) verdicts.push(Verdict.VERDICT_BLOCKED, Verdict.VERDICT_WOULD_BLOCK);
  const sinceUs = options.since === undefined ? 0n : parseTime(options.since, '--since', now);
  const untilUs = options.until === undefined ? 0n : parseTime(options.until, '--until', now);
  if (sinceUs > 0n && untilUs > 0n && untilUs <= sinceUs) {
    throw usageError(
      'Cannot read the time range',
      `found --until ${options.until} at or before --since ${options.since}`,
      'a later --until',
    );
  }
  return {
    either: end('', options.label, options.workload, options.address, options.host),
    source: end('src-', options.srcLabel, options.srcWorkload, options.srcAddress, options.srcHost, options.srcPort),
    destination: end('dst-', options.dstLabel, options.dstWorkload, options.dstAddress, options.dstHost),
    protocols: parseProtocols(options.protocol ?? [], '--protocol'),
    ports: parsePorts(options.port ?? [], '--port'),
    verdicts: [...new Set(verdicts)],
    reasons: parseWords(options.reason ?? [], reasonWords, '--reason'),
    reporters: names(options.reporter, '--reporter'),
    rules: names(options.rule, '--rule').map((rule) => (rule === 'none' || rule === 'implicit' ? '0' : rule)),
    modes: parseWords(options.mode ?? [], modeWords, '--mode'),
    directions: parseWords(options.direction ?? [], directionWords, '--direction'),
    kinds: parseWords(options.kind ?? [], eventKindWords, '--kind'),
    processes: names(options.process, '--process'),
    sinceUs,
    untilUs,
  };
}

function end(
  prefix: string,
  labels: string[] = [],
  workloads: string[] = [],
  addresses: string[] = [],
  hosts: string[] = [],
  ports: string[] = [],
): FlowEndFilter | undefined {
  if (labels.length + workloads.length + addresses.length + hosts.length + ports.length === 0) return undefined;
  return {
    selector: parseSelector(labels, `--${prefix}label`),
    workloads: names(workloads, `--${prefix}workload`),
    addresses: checkAddresses(addresses, `--${prefix}address`),
    hosts: names(hosts, `--${prefix}host`),
    ports: parsePorts(ports, `--${prefix}port`),
  };
}

/** Names, several between commas. An empty one is more likely a variable that is not set than meant: a usage error. */
function names(texts: readonly string[] = [], option: string): string[] {
  const found = texts.flatMap((text) => text.split(',')).map((text) => text.trim());
  if (found.includes(''))
    throw usageError(`Cannot read ${option}`, 'found an empty name', 'a name, or several between commas');
  return found;
}
