import type { Flow, FlowEnd } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { type Column, fitWidths } from '../text/table.js';
import { clockFromUs } from '../text/time.js';
import { ipText, labelsText } from '../views/labels.js';
import { serviceText } from '../views/protocol.js';
import { verdictTone } from '../views/verdict.js';
import { confidenceWords, directionWords, modeWords, reasonWords, verdictWords } from '../views/words.js';

/** A column of a table that streams: its width is fixed before the first row is known. */
export interface FlowColumn extends Column<Flow> {
  /** Width where there is room. */
  width: number;
  /** Goes first when the terminal is too narrow even for the least widths: the highest goes first; 0 never goes. */
  dropOrder: number;
}

/** One end: who, under which labels, at which address. */
export function endText(end: FlowEnd | undefined): string {
  if (end === undefined) return '?';
  const labels = end.labels.length === 0 ? '' : `{${labelsText(end.labels)}}`;
  const address = ipText(end.ip) ?? '';
  return [(end.workloadName || end.workloadId) + labels, address].filter(Boolean).join(' ') || '?';
}

/** Why the verdict came out as it did: the rule by name, "implicit-deny", or the reason. */
export function whyText(flow: Flow): string {
  const reason = reasonWords.of(flow.reason);
  const [source, destination] = flow.views;
  // Of two ends that decided differently, it was the called one.
  const where =
    source !== undefined && destination?.verdict === flow.verdict && source.verdict !== flow.verdict
      ? ' at destination'
      : '';
  if (flow.rule === 0) return reason + where;
  const rule = flow.ruleId || `no ${flow.rule}`;
  const short = reason === 'rule-allow' || reason === 'rule-deny' ? reason.slice(5) : reason;
  return `${short} by ${rule}${where}`;
}

/** Which ends reported; + when the line takes the place of an earlier one. */
export function seenText(flow: Flow): string {
  return (flow.views.length > 1 ? 'both' : directionWords.of(flow.direction)) + (flow.replaces === 0n ? '' : '+');
}

/** The process at the reporting end; the other end's where only that is known. */
export function processText(flow: Flow): string {
  const own = directionWords.of(flow.direction) === 'inbound' ? flow.destination : flow.source;
  const other = own === flow.source ? flow.destination : flow.source;
  return own?.process || other?.process || '-';
}

/** What the time of a line depends on. */
export interface Clock {
  /** Unix milliseconds, asked for each line: times of another day have their date. */
  now(): number;
  /** Lines of other days are to be expected. */
  dated: boolean;
}

function timeColumn({ now, dated }: Clock): FlowColumn {
  const cell = (f: Flow) => clockFromUs(f.lastSeenUs, now());
  return { title: 'TIME', width: dated ? 14 : 12, dropOrder: 0, cell, tone: () => 'dim' };
}

/** Columns of `flows tail` and `flows list` behind the time: one line answers why a connection was let through or not. */
export const flowColumns: readonly FlowColumn[] = [
  {
    title: 'VERDICT',
    width: 11,
    dropOrder: 0,
    cell: (f) => verdictWords.of(f.verdict),
    tone: (f) => verdictTone(f.verdict),
  },
  { title: 'SOURCE', width: 34, shrinkTo: 15, dropOrder: 0, cell: (f) => endText(f.source) },
  { title: 'DESTINATION', width: 34, shrinkTo: 15, dropOrder: 0, cell: (f) => endText(f.destination) },
  { title: 'SERVICE', width: 10, dropOrder: 0, cell: (f) => serviceText(f.protocol, f.servicePort) },
  { title: 'WHY', width: 24, shrinkTo: 13, dropOrder: 0, cell: whyText },
  { title: 'MODE', width: 10, dropOrder: 2, cell: (f) => modeWords.of(f.mode) },
  { title: 'SEEN', width: 9, dropOrder: 4, cell: seenText, tone: () => 'dim' },
  { title: 'POLICY', width: 6, dropOrder: 3, cell: (f) => (f.policyVersion === 0 ? '-' : `v${f.policyVersion}`) },
  { title: 'PROCESS', width: 15, shrinkTo: 8, dropOrder: 1, cell: processText },
  { title: 'PEER', width: 7, dropOrder: 5, cell: (f) => confidenceWords.of(f.confidence), tone: () => 'dim' },
];

/** Columns with their widths for a terminal, and the titles of those that had no room. */
export interface Layout {
  columns: readonly FlowColumn[];
  widths: readonly number[];
  dropped: readonly string[];
}

/** Chooses columns and widths for `room` columns; Infinity: everything at its full width. */
export function layoutFor(room: number, clock: Clock): Layout {
  const least = (columns: readonly FlowColumn[]) =>
    columns.reduce((sum, { width, shrinkTo }) => sum + (shrinkTo ?? width) + 2, -2);
  let columns: readonly FlowColumn[] = [timeColumn(clock), ...flowColumns];
  const dropped: string[] = [];
  while (least(columns) > room) {
    const next = columns.reduce((worst, column) => (column.dropOrder > worst.dropOrder ? column : worst));
    if (next.dropOrder === 0) break;
    columns = columns.filter((column) => column !== next);
    dropped.push(next.title);
  }
  const natural = columns.map(({ width }) => width);
  const shrinkTo = columns.map((column) => column.shrinkTo);
  const widths = room === Number.POSITIVE_INFINITY ? natural : fitWidths(natural, shrinkTo, room);
  const spare = room === Number.POSITIVE_INFINITY ? 0 : room - widths.reduce((sum, width) => sum + width + 2, -2);
  if (spare > 1) {
    for (const title of ['SOURCE', 'DESTINATION']) {
      const index = columns.findIndex((column) => column.title === title);
      widths[index] = (widths[index] ?? 0) + Math.floor(spare / 2);
    }
  }
  return { columns, widths, dropped };
}
