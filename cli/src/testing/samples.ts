import type { LabelSelector } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { Host } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { SystemStatus } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { Workload } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import {
  Confidence,
  Direction,
  EventKind,
  Mode,
  Reason,
  Verdict,
  WorkloadKind,
} from '@ringfence/proto/gen/ringfence/v1/common.js';
import { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** 2026-03-01T08:15:02.123456Z in microseconds. */
export const sampleTimeUs = 1_772_352_902_123_456n;

/** A blocked connection: client to db by psql, no rule. */
export function sampleFlow(change: Parameters<typeof Flow.fromPartial>[0] = {}): Flow {
  return Flow.fromPartial({
    id: 1n,
    firstSeenUs: sampleTimeUs - 1000n,
    lastSeenUs: sampleTimeUs,
    source: {
      workloadId: 'a/container:1',
      workloadName: 'client',
      hostId: 'a',
      labels: [{ dimension: 'role', value: 'client' }],
      identity: 7,
      ip: Buffer.from([10, 0, 0, 1]),
      port: 40_312,
      process: 'psql',
      pid: 312,
    },
    destination: {
      workloadId: 'b/container:2',
      workloadName: 'db',
      hostId: 'b',
      labels: [
        { dimension: 'role', value: 'db' },
        { dimension: 'env', value: 'prod' },
      ],
      identity: 9,
      ip: Buffer.from('20010db8000000000000000000000002', 'hex'),
      port: 5432,
    },
    protocol: 6,
    servicePort: 5432,
    direction: Direction.DIRECTION_OUTBOUND,
    verdict: Verdict.VERDICT_BLOCKED,
    reason: Reason.REASON_IMPLICIT_DENY,
    mode: Mode.MODE_ENFORCE,
    kind: EventKind.EVENT_KIND_DENY,
    policyVersion: 7,
    bytesForward: 9_007_199_254_740_993n,
    packetsForward: 1n,
    attempts: 3,
    confidence: Confidence.CONFIDENCE_EXACT,
    reporterHostId: 'a',
    ...change,
  });
}

/** An allowed connection by rule web-to-db. */
export function allowedFlow(change: Parameters<typeof Flow.fromPartial>[0] = {}): Flow {
  return sampleFlow({
    verdict: Verdict.VERDICT_ALLOWED,
    reason: Reason.REASON_RULE_ALLOW,
    rule: 12,
    ruleId: 'web-to-db',
    kind: EventKind.EVENT_KIND_NEW,
    attempts: 1,
    ...change,
  });
}

export function sampleWorkload(change: Parameters<typeof Workload.fromPartial>[0] = {}): Workload {
  return Workload.fromPartial({
    id: 'a/container:1',
    name: 'web',
    kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
    hostId: 'a',
    source: 'docker:/var/run/docker.sock',
    image: 'nginx:1',
    addresses: [{ ip: Buffer.from([172, 17, 0, 2]), space: 'local:bridge' }],
    labels: [{ dimension: 'role', value: 'web' }],
    identity: 3,
    expectedMode: { inbound: Mode.MODE_ENFORCE, outbound: Mode.MODE_TEST },
    actualMode: { inbound: Mode.MODE_ENFORCE, outbound: Mode.MODE_TEST },
    inForce: true,
    present: true,
    version: 4n,
    metadata: { 'com.example': 'x' },
    ...change,
  });
}

export function sampleHost(change: Parameters<typeof Host.fromPartial>[0] = {}): Host {
  return Host.fromPartial({
    id: 'a',
    name: 'a.example',
    connected: true,
    lastSeenMs: sampleTimeUs / 1000n,
    enrolledMs: sampleTimeUs / 1000n,
    revisionWanted: 5n,
    revisionAcked: 5n,
    policyVersion: 2,
    workloads: 3,
    facts: { hostname: 'a.example', kernel: '6.18.0', os: 'Debian', cgroupMode: 'unified', agentVersion: '0.1.0' },
    ...change,
  });
}

export function sampleStatus(change: Parameters<typeof SystemStatus.fromPartial>[0] = {}): SystemStatus {
  return SystemStatus.fromPartial({
    controllerVersion: '0.1.0',
    startedMs: 1_772_352_000_000n,
    policyVersion: 2,
    rules: 5,
    hosts: 1,
    hostsConnected: 1,
    hostsCurrent: 1,
    workloads: 3,
    workloadsByModeIn: [2, 0, 1],
    flows: { kept: 10n, keptMax: 1000n, byVerdict: [0n, 9n, 1n] },
    store: { path: '/var/lib/ringfence', healthy: true, bytes: 2048n },
    caFingerprint: 'ab'.repeat(32),
    ...change,
  });
}

/** A selector as "role in web|api" words, to compare in tests. */
export function selectorText(selector: LabelSelector | undefined): string[] {
  return (selector?.requirements ?? []).map(
    ({ dimension, operator, values }) => `${dimension} ${operator} ${values.join('|')}`,
  );
}
