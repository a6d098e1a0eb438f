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
    views: ofBothEnds(block, index)
      ? [
          viewOf(block, index, Direction.DIRECTION_OUTBOUND, ruleId),
          viewOf(block, index, Direction.DIRECTION_INBOUND, ruleId),
        ]
      : [],
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

/** The columns of a block that hold what one end reported. */
function nearColumns(block: FlowBlock) {
  return {
    reporter: block.reporter,
    workload: block.local,
    localIp: block.localIp,
    localPort: block.localPort,
    remoteIp: block.remoteIp,
    remotePort: block.remotePort,
    confidence: block.nearConfidence,
    process: block.process,
    pid: block.pid,
    firstSeenUs: block.firstSeenUs,
    lastSeenUs: block.lastSeenUs,
    bytesForward: block.bytesOut,
    bytesBack: block.bytesIn,
    packetsForward: block.packetsOut,
    packetsBack: block.packetsIn,
  };
}

/** The same of the end that was called. */
function farColumns(block: FlowBlock): ReturnType<typeof nearColumns> {
  return {
    reporter: block.farReporter,
    localIp: block.farLocalIp,
    localPort: block.farLocalPort,
    remoteIp: block.farRemoteIp,
    remotePort: block.farRemotePort,
    process: block.farProcess,
    pid: block.farPid,
    firstSeenUs: block.farFirstSeenUs,
    lastSeenUs: block.farLastSeenUs,
    workload: block.farEnd,
    confidence: block.farConfidence,
    bytesForward: block.farBytesIn,
    bytesBack: block.farBytesOut,
    packetsForward: block.farPacketsIn,
    packetsBack: block.farPacketsOut,
  };
}

function viewOf(block: FlowBlock, index: number, direction: Direction, ruleId: RuleId): FlowView {
  const own = direction === Direction.DIRECTION_OUTBOUND ? nearColumns(block) : farColumns(block);
  const at = (column: ArrayLike<number>) => column[index] ?? 0;
  return {
    direction,
    reporterHostId: block.strings[at(own.reporter)] ?? '',
    workloadId: block.ends[at(own.workload)]?.workloadId ?? '',
    localIp: address(own.localIp, index),
    localPort: at(own.localPort),
    remoteIp: address(own.remoteIp, index),
    remotePort: at(own.remotePort),
    confidence: at(own.confidence),
    process: block.strings[at(own.process)] ?? '',
    pid: at(own.pid),
    ...decision(block, index, direction, ruleId),
    firstSeenUs: wide(at(own.firstSeenUs)),
    lastSeenUs: wide(at(own.lastSeenUs)),
    bytesForward: wide(at(own.bytesForward)),
    bytesBack: wide(at(own.bytesBack)),
    packetsForward: wide(at(own.packetsForward)),
    packetsBack: wide(at(own.packetsBack)),
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
