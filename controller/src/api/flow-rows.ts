// Records as rows: made only here, for those that a reader gets.
import { wireAddress } from '@ringfence/proto/address.js';
import type { Flow, FlowEnd } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { FlowRef } from '../flows/history.js';
import { labelsToWire } from './convert.js';
import { opener, other } from './flow-filter.js';

/** `ruleId` gives the id of a rule by its number. */
export function flowRow({ block, index }: FlowRef, ruleId: (number: number) => string): Flow {
  const from = opener(block, index);
  const outbound = from === 'local';
  const rule = block.rule[index] ?? 0;
  const [forward, back] = outbound ? (['Out', 'In'] as const) : (['In', 'Out'] as const);
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
    bytesForward: wide(block[`bytes${forward}`][index]),
    bytesBack: wide(block[`bytes${back}`][index]),
    packetsForward: wide(block[`packets${forward}`][index]),
    packetsBack: wide(block[`packets${back}`][index]),
    attempts: block.attempts[index] ?? 0,
    tcpFlags: block.tcpFlags[index] ?? 0,
    confidence: block.confidence[index] ?? 0,
    reporterHostId: block.strings[block.reporter[index] ?? 0] ?? '',
  };
}

function endOf({ block, index }: FlowRef, side: 'local' | 'remote'): FlowEnd {
  const local = side === 'local';
  const info = block.ends[(local ? block.local : block.remote)[index] ?? 0];
  const ip = (local ? block.localIp : block.remoteIp).subarray(16 * index, 16 * index + 16);
  return {
    workloadId: info?.workloadId ?? '',
    workloadName: info?.workloadName ?? '',
    hostId: info?.hostId ?? '',
    labels: labelsToWire(info?.labels ?? {}),
    identity: info?.identity ?? 0,
    ip: Buffer.from(wireAddress(ip)),
    port: (local ? block.localPort : block.remotePort)[index] ?? 0,
    process: local ? (block.strings[block.process[index] ?? 0] ?? '') : '',
    pid: local ? (block.pid[index] ?? 0) : 0,
  };
}

function wide(value: number | undefined): bigint {
  return BigInt(value ?? 0);
}
