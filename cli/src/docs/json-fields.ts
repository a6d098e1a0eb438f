// Field names of JSON output, taken from the views by giving them a message with one of everything: what is documented is what
// is written.

import { AuditEntry } from '@ringfence/proto/gen/ringfence/v1/admin_audit.js';
import { FlowGap, FlowGraph } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Host } from '@ringfence/proto/gen/ringfence/v1/admin_hosts.js';
import { Dimension, Dimension_ValueCount, IdentityInfo } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import { NatMapping } from '@ringfence/proto/gen/ringfence/v1/admin_nat.js';
import {
  PairingInfo,
  PairingKey,
  PairingProfile,
  QuarantineResponse,
} from '@ringfence/proto/gen/ringfence/v1/admin_pairing.js';
import {
  DiffPolicyResponse,
  ExplainResponse,
  LintPolicyResponse_Finding,
  PolicyRollout,
  PolicyVersion,
  RuleInfo,
  SimulatePolicyResponse_Group,
  TestPolicyResponse_Result,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { SpaceInfo, SpacePathResponse } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { SystemStatus } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { HostTags, TagsState } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { WebSession } from '@ringfence/proto/gen/ringfence/v1/admin_web.js';
import { Workload, WorkloadMemberships } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { Problem } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { gapJson } from '../flows/gap.js';
import { TailSummary } from '../flows/summary.js';
import { eventJson } from '../flows/writer.js';
import { auditJson } from '../views/audit.js';
import { explainJson } from '../views/explain.js';
import { flowJson } from '../views/flow.js';
import { graphJson } from '../views/flow-graph.js';
import { hostJson } from '../views/host.js';
import { dimensionJson, identityJson } from '../views/label-space.js';
import { membershipsJson } from '../views/memberships.js';
import { natJson } from '../views/nat.js';
import { keyJson, pairingJson, profileJson, quarantineJson } from '../views/pairing.js';
import {
  diffJson,
  findingJson,
  problemJson,
  rolloutJson,
  ruleJson,
  simulatedJson,
  testJson,
  versionJson,
} from '../views/policy.js';
import { pathJson, spaceJson } from '../views/space.js';
import { statusJson } from '../views/status.js';
import { tagsJson } from '../views/tag.js';
import { webSessionJson } from '../views/web.js';
import { workloadJson } from '../views/workload.js';

const label = { dimension: 'dimension', value: 'value' };
const address = { ip: Buffer.from([10, 0, 0, 1]) };
const end = { labels: [label], ip: address.ip };
const rule = RuleInfo.fromPartial({});
const decision = { considered: [{ rule }] };
const summary = new TailSummary(0);
summary.count(Flow.fromPartial({ verdict: 1 }));
const explained = { labels: [label], ipLists: ['list'] };

/** What each kind of thing looks like in JSON, by its name in the documentation. */
const samples: Readonly<Record<string, object>> = {
  status: statusJson(
    SystemStatus.fromPartial({
      flows: { loss: {}, stitching: {}, byVerdict: [0n, 1n], byReason: [0n, 1n] },
      store: {},
      conditions: [{}],
      workloadsByModeIn: [1],
      workloadsByModeOut: [1],
    }),
  ),
  'host (`hosts`)': hostJson(
    Host.fromPartial({
      nack: {},
      conditions: [{}],
      tables: [{}],
      loss: {},
      facts: { addresses: [address], runtimes: ['x'], features: ['x'], missingFeatures: ['x'] },
      logins: { users: [{ groups: ['x'] }] },
    }),
  ),
  'workload (`workloads`)': workloadJson(
    Workload.fromPartial({
      labels: [label],
      addresses: [address],
      published: [{ hostAddress: address }],
      expectedMode: {},
      actualMode: {},
      memberships: ['x'],
      attachments: ['x'],
      metadata: { key: 'x' },
      labelReasons: [{}],
      pairing: { labels: [label], requested: [label] },
    }),
  ),
  'memberships of `workload groups`': membershipsJson(
    WorkloadMemberships.fromPartial({
      groups: [{ via: ['x'] }],
      ipLists: [{ address }],
      rules: [{}],
      modes: [{}],
    }),
  ),
  'pairing profile (`profiles`)': profileJson(
    PairingProfile.fromPartial({ dimensions: [{ permitted: ['x'] }], sources: ['x'] }),
  ),
  'pairing key (`keys`)': keyJson(PairingKey.fromPartial({})),
  'pairing (`pairings`)': pairingJson(PairingInfo.fromPartial({ labels: [label], requested: [label] })),
  quarantine: quarantineJson(QuarantineResponse.fromPartial({ quarantine: {}, workloads: [{}] })),
  'audit entry (`entries`)': auditJson(AuditEntry.fromPartial({ detailJson: '{}' })),
  'session (`sessions`)': webSessionJson(WebSession.fromPartial({})),
  'identity (`identities`)': identityJson(IdentityInfo.fromPartial({ labels: [label] })),
  'dimension (`dimensions`)': dimensionJson(
    Dimension.fromPartial({ permitted: ['x'], used: [Dimension_ValueCount.fromPartial({})] }),
  ),
  'flow (`flows`, `type: flow`)': flowJson(Flow.fromPartial({ source: end, destination: end, views: [{}] })),
  'gap (`gaps`, `type: gap`)': gapJson(FlowGap.fromPartial({})),
  '`flows list`, beside its `flows`': { gaps: ['x'], kept: 0, historyDropped: 0 },
  '`type: synced`': eventJson({ type: 'synced', kept: 0n, historyDropped: 0n }),
  '`type: lost`': eventJson({ type: 'lost', why: '', waitMs: 0 }),
  '`type: back`': eventJson({ type: 'back', complete: true }),
  '`type: summary`': { type: 'summary', ...summary.json(0) },
  '`flows graph`': graphJson(
    FlowGraph.fromPartial({
      nodes: [{ labels: [label] }],
      edges: [{ services: [{ processes: ['x'], decisions: [{}] }] }],
      gaps: [{}],
    }),
  ),
  'rule (`rules`)': ruleJson(rule),
  'version (`versions`)': versionJson(PolicyVersion.fromPartial({})),
  'space (`spaces`)': spaceJson(SpaceInfo.fromPartial({})),
  '`tag`': tagsJson(TagsState.fromPartial({ hosts: [HostTags.fromPartial({})] })),
  'path of `space path`': pathJson(SpacePathResponse.fromPartial({ hops: [{}], services: [{}] })),
  'problem (`problems`)': problemJson(Problem.fromPartial({})),
  'rollout (`rollout`)': rolloutJson(PolicyRollout.fromPartial({})) ?? {},
  difference: diffJson(
    DiffPolicyResponse.fromPartial({
      rules: [{ after: rule }],
      files: [{}],
      objects: [{ fields: [{}] }],
      reach: [{}],
    }),
  ),
  'finding (`findings`)': findingJson(LintPolicyResponse_Finding.fromPartial({})),
  'policy test (`results`)': testJson(TestPolicyResponse_Result.fromPartial({})),
  'group (`groups`)': simulatedJson(SimulatePolicyResponse_Group.fromPartial({})),
  explanation: explainJson(
    ExplainResponse.fromPartial({
      source: explained,
      destination: explained,
      outbound: decision,
      inbound: decision,
      notes: ['x'],
    }),
    'tcp/1',
  ),
  'NAT mapping (`mappings`)': natJson(NatMapping.fromPartial({ address })),
};

/** Names of a kind's fields: "source.labels.<dimension>", "conditions[].code". */
function paths(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((entry) => paths(entry, `${path}[]`));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [path];
  return Object.entries(value).flatMap(([name, entry]) => paths(entry, path === '' ? name : `${path}.${name}`));
}

/** One paragraph for each kind. */
export function jsonFieldSections(): string[] {
  return Object.entries(samples).map(
    ([kind, sample]) =>
      `**${kind}**: ${paths(sample, '')
        .map((path) => `\`${path}\``)
        .join(', ')}`,
  );
}
