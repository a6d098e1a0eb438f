import type { Flow, FlowEnd, FlowView } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { isoFromUs } from '../text/time.js';
import { ipText, labelsJson } from './labels.js';
import { protocolText, serviceText } from './protocol.js';
import { confidenceWords, directionWords, eventKindWords, modeWords, reasonWords, verdictWords } from './words.js';

/** A flow record in JSON. */
export function flowJson(flow: Flow): object {
  return {
    id: flow.id,
    firstSeen: isoFromUs(flow.firstSeenUs),
    lastSeen: isoFromUs(flow.lastSeenUs),
    verdict: verdictWords.of(flow.verdict),
    reason: reasonWords.of(flow.reason),
    rule: flow.rule,
    ruleId: flow.ruleId || null,
    mode: modeWords.of(flow.mode),
    policyVersion: flow.policyVersion,
    direction: directionWords.of(flow.direction),
    confidence: confidenceWords.of(flow.confidence),
    kind: eventKindWords.of(flow.kind),
    reporterHostId: flow.reporterHostId,
    source: endJson(flow.source),
    destination: endJson(flow.destination),
    protocol: protocolText(flow.protocol),
    protocolNumber: flow.protocol,
    servicePort: flow.servicePort,
    service: serviceText(flow.protocol, flow.servicePort),
    bytesForward: flow.bytesForward,
    bytesBack: flow.bytesBack,
    packetsForward: flow.packetsForward,
    packetsBack: flow.packetsBack,
    attempts: flow.attempts,
    tcpFlags: flow.tcpFlags,
    replaces: flow.replaces === 0n ? null : flow.replaces,
    views: flow.views.map(viewJson),
  };
}

/** What one of two ends observed. */
function viewJson(view: FlowView): object {
  return {
    direction: directionWords.of(view.direction),
    reporterHostId: view.reporterHostId,
    workloadId: view.workloadId || null,
    localAddress: ipText(view.localIp),
    localPort: view.localPort,
    remoteAddress: ipText(view.remoteIp),
    remotePort: view.remotePort,
    confidence: confidenceWords.of(view.confidence),
    process: view.process || null,
    pid: view.pid || null,
    verdict: verdictWords.of(view.verdict),
    reason: reasonWords.of(view.reason),
    rule: view.rule,
    ruleId: view.ruleId || null,
    mode: modeWords.of(view.mode),
    policyVersion: view.policyVersion,
    firstSeen: isoFromUs(view.firstSeenUs),
    lastSeen: isoFromUs(view.lastSeenUs),
    bytesForward: view.bytesForward,
    bytesBack: view.bytesBack,
    packetsForward: view.packetsForward,
    packetsBack: view.packetsBack,
  };
}

function endJson(end: FlowEnd | undefined): object | null {
  if (end === undefined) return null;
  return {
    workloadId: end.workloadId || null,
    workload: end.workloadName || null,
    hostId: end.hostId || null,
    labels: labelsJson(end.labels),
    identity: end.identity,
    address: ipText(end.ip),
    port: end.port,
    process: end.process || null,
    pid: end.pid || null,
  };
}
