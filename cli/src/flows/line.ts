import type { Flow, FlowEnd } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { sanitize } from '../text/sanitize.js';
import type { Style } from '../text/style.js';
import { clockFromUs } from '../text/time.js';
import { ipText } from '../views/labels.js';
import { serviceText } from '../views/protocol.js';
import { verdictTone } from '../views/verdict.js';
import { confidenceWords, modeWords, verdictWords } from '../views/words.js';
import { processText, seenText, whyText } from './columns.js';

/** A flow in one dense line that cuts nothing: `-o compact`. `now` in Unix milliseconds. */
export function flowLine(flow: Flow, style: Style, now: number): string {
  const verdict = verdictWords.of(flow.verdict);
  const attempts = flow.attempts > 1 ? ` x${flow.attempts}` : '';
  const parts = [
    clockFromUs(flow.lastSeenUs, now),
    style(verdictTone(flow.verdict), verdict),
    sanitize(end(flow.source)),
    '->',
    sanitize(end(flow.destination)),
    serviceText(flow.protocol, flow.servicePort),
    sanitize(`process=${processText(flow)}`),
    sanitize(`why=${whyText(flow).replaceAll(' ', '_')}`),
    `mode=${modeWords.of(flow.mode)}/${seenText(flow)}`,
    `policy=${flow.policyVersion === 0 ? '-' : `v${flow.policyVersion}`}`,
    `peer=${confidenceWords.of(flow.confidence)}`,
    sanitize(`host=${flow.reporterHostId || '-'}`),
  ];
  return `${parts.join(' ')}${attempts}`;
}

function end(end: FlowEnd | undefined): string {
  if (end === undefined) return '?';
  const ip = ipText(end.ip) ?? '?';
  const at = ip.includes(':') ? `[${ip}]:${end.port}` : `${ip}:${end.port}`;
  const labels = end.labels.map(({ dimension, value }) => `${dimension}=${value}`).join(',');
  return `${end.workloadName || end.workloadId || '?'}{${labels}}@${at}`;
}
