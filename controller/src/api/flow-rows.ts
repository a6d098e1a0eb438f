// Records as rows: made only here, for those that a reader gets.
import { wireAddress } from '@ringfence/proto/address.js';
import type { FlowGap } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow, FlowEnd, FlowView } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { FlowBlock } from '../flows/block.js';
import type { Gap } from '../flows/gaps.js';
import type { FlowRef } from '../flows/history.js';
import { trafficOf } from '../flows/traffic.js';
import { labelsToWire } from './convert.js';
import { ofBothEnds, opener, other } from './flow-filter.js';

type RuleId = (number: number) => string;

/** `ruleId` gives the id of a rule by its number. */
export function flowRow({ block, index }: FlowRef, ruleId: RuleId): Flow {
  const from = opener(block, index);
  const rule = block.rule[index] ?? 0;
  const { bytesForward, bytesBack, packetsForward, packetsBack } = trafficOf(block, index);
  return {
    id: BigInt(block.idAt(index)),
    firstSeenUs: wide(block.firstSeenUs[index]),
    lastSeenUs: wide(block.lastSeenUs[index]),
    source: endOf({ block, index }, from),
    destination: endOf({ block, index }, other(from)),
    protocol: block.protocol[index] ?? 0,
    servicePort: block.servicePort[index] ?? 0,
    direction: block.direction[index] ?? 0,
    verdict: block.verdict[index] ?? 0,
    reason: block.reason[index] ?? 0,
    mode: block.mode[index] ?? 0,
    kind: block.kind[index] ?? 0,
    rule,
    ruleId: rule === 0 ? '' : ruleId(rule),
    policyVersion: block.policyVersion[index] ?? 0,
    bytesForward: wide(bytesForward),
    bytesBack: wide(bytesBack),
    packetsForward: wide(packetsForward),
    packetsBack: wide(packetsBack),
    attempts: block.attempts[index] ?? 0,
    tcpFlags: block.tcpFlags[index] ?? 0,
    confidence: block.confidence[index] ?? 0,
    reporterHostId: block.strings[block.reporter[index] ?? 0] ?? '',
    replaces: wide(block.replaces[index]),
    views: ofBothEnds(block, index) ? [nearView(block, index, ruleId), farView(block, index, ruleId)] : [],
  };
}

function endOf({ block, index }: FlowRef, side: 'local' | 'remote'): FlowEnd {
  const local = side === 'local';
  const far = !local && ofBothEnds(block, index);
  const info = block.ends[(local ? block.local : block.remote)[index] ?? 0];
  const ip = (local ? block.localIp : block.remoteIp).subarray(16 * index, 16 * index + 16);
  const process = block.strings[(far ? block.farProcess : block.process)[index] ?? 0] ?? '';
  const pid = (far ? block.farPid : block.pid)[index] ?? 0;
  return {
    workloadId: info?.workloadId ?? '',
    workloadName: info?.workloadName ?? '',
    hostId: info?.hostId ?? '',
    labels: labelsToWire(info?.labels ?? {}),
    identity: info?.identity ?? 0,
    ip: Buffer.from(wireAddress(ip)),
    port: (local ? block.localPort : block.remotePort)[index] ?? 0,
    process: local || far ? process : '',
    pid: local || far ? pid : 0,
  };
}

function nearView(block: FlowBlock, index: number, ruleId: RuleId): FlowView {
  const at = (column: ArrayLike<number>) => column[index] ?? 0;
  return {
    direction: Direction.DIRECTION_OUTBOUND,
    reporterHostId: block.strings[at(block.reporter)] ?? '',
    workloadId: block.ends[at(block.local)]?.workloadId ?? '',
    localIp: address(block.localIp, index),
    localPort: at(block.localPort),
    remoteIp: address(block.remoteIp, index),
    remotePort: at(block.remotePort),
    confidence: at(block.nearConfidence),
    process: block.strings[at(block.process)] ?? '',
    pid: at(block.pid),
    ...decision(block, index, Direction.DIRECTION_OUTBOUND, ruleId),
    firstSeenUs: wide(at(block.firstSeenUs)),
    lastSeenUs: wide(at(block.lastSeenUs)),
    bytesForward: wide(at(block.bytesOut)),
    bytesBack: wide(at(block.bytesIn)),
    packetsForward: wide(at(block.packetsOut)),
    packetsBack: wide(at(block.packetsIn)),
  };
}

function farView(block: FlowBlock, index: number, ruleId: RuleId): FlowView {
  const at = (column: ArrayLike<number>) => column[index] ?? 0;
  return {
    direction: Direction.DIRECTION_INBOUND,
    reporterHostId: block.strings[at(block.farReporter)] ?? '',
    workloadId: block.ends[at(block.farEnd)]?.workloadId ?? '',
    localIp: address(block.farLocalIp, index),
    localPort: at(block.farLocalPort),
    remoteIp: address(block.farRemoteIp, index),
    remotePort: at(block.farRemotePort),
    confidence: at(block.farConfidence),
    process: block.strings[at(block.farProcess)] ?? '',
    pid: at(block.farPid),
    ...decision(block, index, Direction.DIRECTION_INBOUND, ruleId),
    firstSeenUs: wide(at(block.farFirstSeenUs)),
    lastSeenUs: wide(at(block.farLastSeenUs)),
    bytesForward: wide(at(block.farBytesIn)),
    bytesBack: wide(at(block.farBytesOut)),
    packetsForward: wide(at(block.farPacketsIn)),
    packetsBack: wide(at(block.farPacketsOut)),
  };
}

type Decision = Pick<FlowView, 'verdict' | 'reason' | 'mode' | 'rule' | 'ruleId' | 'policyVersion'>;

/** What one of the two ends decided. */
function decision(block: FlowBlock, index: number, direction: Direction, ruleId: RuleId): Decision {
  const own = block.decider[index] === direction;
  const at = (mine: ArrayLike<number>, others: ArrayLike<number>) => (own ? mine : others)[index] ?? 0;
  const rule = at(block.rule, block.otherRule);
  return {
    verdict: at(block.verdict, block.otherVerdict),
    reason: at(block.reason, block.otherReason),
    mode: at(block.mode, block.otherMode),
    rule,
    ruleId: rule === 0 ? '' : ruleId(rule),
    policyVersion: at(block.policyVersion, block.otherPolicyVersion),
  };
}

function address(bytes: Uint8Array, index: number): Buffer {
  return Buffer.from(wireAddress(bytes.subarray(16 * index, 16 * index + 16)));
}

/** What is missing; only a reader's own slowness is counted after the filter. */
export function gapToWire({ hop, hostId, count, fromUs, untilUs }: Gap): FlowGap {
  const beforeFilter = hop !== 'subscriber';
  return { hop, hostId, count: BigInt(count), beforeFilter, fromUs: whole(fromUs), untilUs: whole(untilUs) };
}

function whole(us: number): bigint {
  return BigInt(Math.round(us));
}

function wide(value: number | undefined): bigint {
  return BigInt(value ?? 0);
}
