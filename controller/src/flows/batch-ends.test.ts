import { Confidence, Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import { flowColumns } from '../testing/flow-columns.js';
import { BatchEndNamer } from './batch-ends.js';
import type { FlowEndInfo } from './block.js';
import { EndResolver, type EndSource } from './ends.js';

/** Names ends by what was asked, and counts the questions. */
class Resolver extends EndResolver {
  asked = 0;
  epoch = 1;

  constructor() {
    const nobody: EndSource = {
      workload: () => undefined,
      at: () => [],
      ofHost: () => [],
      identityOf: () => 0,
      workloadsOf: () => [],
      version: () => this.epoch,
    };
    super(nobody);
  }

  override local(workloadId: string, hostId: string): FlowEndInfo {
    return named(`${hostId}/${workloadId}`);
  }

  override remote(...[ip, identity, hostId, mapped]: Parameters<EndResolver['remote']>): FlowEndInfo {
    this.asked += 1;
    const service = mapped === undefined ? '' : `:${mapped.protocol}/${mapped.port}`;
    return named(`${hostId} sees ${[...ip].join('.')} as ${identity}${service} in ${this.epoch}`);
  }
}

function named(workloadId: string): FlowEndInfo {
  return { workloadId, workloadName: '', hostId: '', labels: {}, identity: 0 };
}

const rows = Array.from({ length: 3000 }, (_, i) => ({
  workload: `w${i % 7}`,
  local: '10.0.0.1',
  remote: i % 3 === 0 ? 'fd00::9' : `10.1.${i % 5}.${i % 11}`,
  remotePort: i % 2 === 0 ? 80 : 443,
  remoteIdentity: i % 4,
  protocol: i % 6 === 0 ? 17 : 6,
}));

function columns() {
  const made = flowColumns(rows);
  made.confidence.fill(Confidence.CONFIDENCE_MAPPED, 1000, 2000);
  made.confidence.fill(Confidence.CONFIDENCE_SHARED, 2000);
  made.reason.fill(Reason.REASON_IMPLICIT_DENY, 2500);
  made.reason.fill(Reason.REASON_REVOKED, 2600);
  made.reason.fill(Reason.REASON_RULE_DENY, 2700);
  made.reason.fill(Reason.REASON_CONSTRAINT_UNMET, 2800);
  made.reason.fill(Reason.REASON_READMITTED, 2900);
  return made;
}

// Of a shared address one identity is named for whom a connection was let through, and nobody when it was refused.
test('every record gets the ends that the resolver gives for it alone; each is asked for once while nothing changes', () => {
  const resolver = new Resolver();
  const namer = new BatchEndNamer(resolver);
  const batch = columns();
  const check = (hostId: string) => {
    const { ends, local, remote } = namer.name(hostId, batch);
    rows.forEach((row, i) => {
      const mapped = i >= 1000 && i < 2000 ? { protocol: row.protocol, port: row.remotePort } : undefined;
      const ip = batch.remoteIp.subarray(16 * i, 16 * i + 16);
      const identity = i >= 2500 && i < 2900 ? 0 : row.remoteIdentity;
      const asked = resolver.asked;
      expect(ends[remote[i] ?? -1]).toEqual(resolver.remote(ip, identity, hostId, mapped));
      resolver.asked = asked;
      expect(ends[local[i] ?? -1]?.workloadId).toBe(`${hostId}/${row.workload}`);
    });
  };
  check('a');
  const distinct = resolver.asked;
  expect(distinct).toBeLessThan(rows.length / 2);
  check('a');
  expect(resolver.asked).toBe(distinct);
  check('b');
  expect(resolver.asked).toBe(2 * distinct);
  resolver.epoch = 2;
  check('a');
  expect(resolver.asked).toBe(3 * distinct);
});

test('more ends than are remembered are still named rightly', () => {
  const namer = new BatchEndNamer(new Resolver());
  for (let round = 0; round < 5; round += 1) {
    const many = Array.from({ length: 40_000 }, (_, i) => ({
      workload: 'w',
      local: '10.0.0.1',
      remote: `10.${round}.${i >> 8}.${i & 255}`,
    }));
    const { ends, remote } = namer.name('h', flowColumns(many));
    for (const i of [0, 1, 20_000, 39_999]) {
      const at = `255.255.10.${round}.${i >> 8}.${i & 255}`;
      expect(ends[remote[i] ?? -1]?.workloadId).toContain(`${at} as 0`);
    }
  }
});
