import { ExplainResponse } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { describe, expect, test } from 'vitest';
import { renderFields } from '../output/fields.js';
import { sampleHost, sampleStatus, sampleTimeUs, sampleWorkload } from '../testing/samples.js';
import { plain } from '../text/style.js';
import { renderTable } from '../text/table.js';
import { explainJson, explainText } from './explain.js';
import { hostColumns, hostFields, hostJson, stateText } from './host.js';
import { serviceText } from './protocol.js';
import { statusFields } from './status.js';
import { workloadColumns, workloadFields } from './workload.js';

const now = Number(sampleTimeUs / 1000n) + 65_000;
const wide = Number.POSITIVE_INFINITY;

test('workload list and show', () => {
  const wrong = sampleWorkload({ id: 'b/host', name: 'b', inForce: false, why: 'no tcx', identity: 0 });
  const unmanaged = sampleWorkload({ id: 'printer', hostId: '', inForce: false });
  expect(renderTable(workloadColumns, [sampleWorkload(), wrong, unmanaged], plain, wide)).toMatchInlineSnapshot(`
    "WORKLOAD       NAME  KIND       LABELS    ADDRESSES                  IDENTITY  MODE          STATE
    a/container:1  web   container  role=web  172.17.0.2 (local:bridge)         3  enforce/test  in force
    b/host         b     container  role=web  172.17.0.2 (local:bridge)         -  enforce/test  NOT IN FORCE
    printer        web   container  role=web  172.17.0.2 (local:bridge)         3  enforce/test  unmanaged
    "
  `);
  expect(renderFields(workloadFields(wrong, now), plain, wide)).toMatchInlineSnapshot(`
    "id             b/host
    name           b
    kind           container
    host           a
    source         docker:/var/run/docker.sock
    image          nginx:1
    labels         role=web
    addresses      172.17.0.2 (local:bridge)
    identity       (none yet)
    mode expected  enforce/test
    mode actual    enforce/test
    state          NOT IN FORCE
      because      no tcx
    metadata       com.example=x
    first seen     never
    version        4
    "
  `);
});

describe('hosts', () => {
  const refused = sampleHost({
    id: 'b',
    nack: { revision: 6n, code: 'RF_MAP_FULL', message: 'rf_ports is full', table: 'rf_ports' },
  });

  test('list and show', () => {
    expect(renderTable(hostColumns(now), [sampleHost(), refused], plain, wide)).toMatchInlineSnapshot(`
      "HOST  NAME       STATE    SEEN      WORKLOADS  POLICY  REVISION  KERNEL  AGENT  CONDITIONS
      a     a.example  current  1m5s ago          3      v2       5/5  6.18.0  0.1.0  -
      b     a.example  refused  1m5s ago          3      v2       5/5  6.18.0  0.1.0  -
      "
    `);
    expect(renderFields(hostFields(refused, now), plain, wide)).toMatchInlineSnapshot(`
      "id              b
      name            a.example
      state           refused
      last seen       1m5s ago
      enrolled        1m5s ago
      certificate     ends never, serial
      revision        5 of 5
      policy version  2
      refused         revision 6: rf_ports is full [RF_MAP_FULL]
      workloads       3
      unpaired        unspecified (by )
      hostname        a.example
      system          Debian, kernel 6.18.0, cgroup unified
      agent           0.1.0
      "
    `);
    expect(hostJson(refused)).toMatchObject({
      state: 'refused',
      refusal: { code: 'RF_MAP_FULL' },
      lastSeen: '2026-03-01T08:15:02.123Z',
    });
  });

  test.each([
    ['current', {}],
    ['behind', { revisionAcked: 4n }],
    ['away', { connected: false }],
    ['revoked', { connected: false, revoked: true }],
  ])('%s', (state, change) => {
    expect(stateText(sampleHost(change))).toBe(state);
  });
});

test('status names what is wrong', () => {
  const status = sampleStatus({
    hosts: 3,
    hostsConnected: 2,
    hostsCurrent: 1,
    draftDiffers: true,
    workloadsNotInForce: 2,
  });
  expect(renderFields(statusFields(status, '127.0.0.1:7444', now), plain, wide)).toMatchInlineSnapshot(`
    "controller  127.0.0.1:7444, version 0.1.0, up for 16m7s
    policy      version 2, 5 rules; the draft differs
    hosts       3, 1 away, 1 behind
    workloads   3, 0 without an agent, 0 identities
      inbound   2 visibility, 1 enforce
      alarm     2 expected to enforce and do not
    flows       10 of 1000 kept in memory, 0 tails open
      taken     9 allowed, 1 blocked
    store       /var/lib/ringfence, 2.0 KiB, revision 0
    authority   ends never, SHA-256 abababababababab…
    "
  `);
});

test('explain shows both ends, each decision with the rules in order, and escapes what comes from outside', () => {
  const answer = ExplainResponse.fromPartial({
    verdict: 3,
    policyVersion: 7,
    source: {
      workload: sampleWorkload({ name: 'evil\u001b[31m' }),
      labels: [{ dimension: 'role', value: 'web' }],
      address: '10.0.0.1',
    },
    destination: { address: '192.0.2.9', ipLists: ['internet'] },
    outbound: {
      verdict: 3,
      enforcedVerdict: 2,
      reason: 3,
      mode: 1,
      hostId: 'a',
      hostPolicyVersion: 7,
      considered: [
        {
          rule: {
            number: 4,
            id: 'web-to-db',
            allow: true,
            service: 'tcp/5432',
            providedBy: 'role=db',
            usedBy: 'role=web',
            enabled: true,
          },
          why: 'the destination is not role=db',
        },
      ],
    },
    notes: ['no agent at the destination'],
  });
  const text = explainText(answer, 'tcp/443', plain);
  expect(text).not.toContain('\u001b');
  expect(text).toMatchInlineSnapshot(`
    "WOULD-BLOCK  tcp/443  under policy version 7
      from  evil\\x1b[31m {role=web} 10.0.0.1
      to    no known workload 192.0.2.9 in IP lists internet

    outbound, at the source: would-block by implicit-deny, mode test
      host a: nothing known in force; not connected
      under enforce: blocked
      - web-to-db: allow tcp/5432 provided by role=db used by role=web
          the destination is not role=db

    inbound, at the destination: no agent decides here

    note: no agent at the destination
    "
  `);
  expect(explainJson(answer, 'tcp/443')).toMatchObject({
    verdict: 'would-block',
    destination: { workloadId: null, ipLists: ['internet'] },
    outbound: {
      verdict: 'would-block',
      enforcedVerdict: 'blocked',
      considered: [{ matched: false, rule: { id: 'web-to-db', action: 'allow' } }],
    },
    inbound: null,
  });
});

test.each([
  [6, 443, 'tcp/443'],
  [1, 2048, 'icmp/8:0'],
  [58, 34_305, 'icmpv6/134:1'],
  [47, 0, 'gre'],
  [200, 7, '200'],
])('serviceText(%i, %i) is %s', (protocol, port, text) => {
  expect(serviceText(protocol, port)).toBe(text);
});
