import type { AddressInfo } from 'node:net';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { describe, expect, it } from 'vitest';
import type { DatapathStatus } from '../datapath/types.js';
import type { DesiredEndpoint } from '../desired/desired.js';
import { emptyInstructions } from '../desired/instructions.js';
import { ConditionBoard } from './conditions.js';
import { serveMetrics } from './metrics.js';
import { judge, statusMessage } from './status.js';

function board() {
  const changes: string[] = [];
  let now = 1000;
  const conditions = new ConditionBoard(
    () => now,
    (c, holds) => changes.push(`${holds ? '+' : '-'}${c.code}`),
  );
  return { conditions, changes, tick: (ms: number) => (now += ms) };
}

const TALLY = {
  written: 5n,
  noRoom: 0n,
  noKey: 0n,
  valid: 4n,
  absent: 3n,
  invalid: 2n,
  expired: 0n,
  unknownEpoch: 1n,
  replayed: 0n,
  notBehind: 0n,
  foreign: 0n,
};
const lanes = { produced: 0n, delivered: 0n, dropped: 0n };
const status = (more: Partial<DatapathStatus>): DatapathStatus => ({
  endpoints: [],
  tables: [],
  lanes: { flows: lanes, denies: lanes },
  helperErrors: {},
  reattached: 0,
  missing: {},
  tags: { canWrite: true, writes: true, tally: TALLY },
  start: 'fresh',
  ...more,
});

describe('ConditionBoard', () => {
  it('tells of beginning and end once, keeps since when, and lists alarms first', () => {
    const { conditions, changes, tick } = board();
    conditions.set('RF_SPOOL_IN_USE', '5 bytes');
    tick(10);
    conditions.set('RF_APPLY_FAILED', 'RF_MAP_FULL');
    conditions.set('RF_SPOOL_IN_USE', '6 bytes');
    conditions.set('RF_CONTROLLER_AWAY', '');
    expect(changes).toEqual(['+RF_SPOOL_IN_USE', '+RF_APPLY_FAILED']);
    expect(conditions.list().map((c) => [c.code, c.severity, Number(c.sinceMs)])).toEqual([
      ['RF_APPLY_FAILED', 'alarm', 1010],
      ['RF_SPOOL_IN_USE', 'info', 1000],
    ]);
    expect(conditions.list()[1]?.text).toMatch(/^6 bytes\. /);
    conditions.set('RF_SPOOL_IN_USE', undefined);
    expect(changes.at(-1)).toBe('-RF_SPOOL_IN_USE');
    expect(conditions.holds('RF_SPOOL_IN_USE')).toBe(false);
  });
});

describe('judge and statusMessage', () => {
  const endpoint = (localId: string, mode: Mode): DesiredEndpoint => ({
    localId,
    number: 1,
    workloadId: 'w',
    identity: 1,
    modeIn: mode,
    modeOut: Mode.MODE_VISIBILITY,
    isolated: false,
    assigned: true,
    keys: [],
    netns: undefined,
  });
  const is = (localId: string, inForce: boolean) => ({
    localId,
    number: 1,
    attachments: ['tcx/ingress veth1'],
    modeIn: Mode.MODE_ENFORCE,
    modeOut: Mode.MODE_VISIBILITY,
    isolated: false,
    inForce,
    why: inForce ? '' : 'tc_1_ingress is not attached',
  });

  it('raises an alarm for enforcement that is expected and not in force, not for visibility', () => {
    const { conditions } = board();
    const inputs = {
      instructions: { ...emptyInstructions(), revision: 4, policyVersion: 2 },
      datapath: status({ endpoints: [is('a', false), is('b', false)] }),
      endpoints: [endpoint('a', Mode.MODE_ENFORCE), endpoint('b', Mode.MODE_VISIBILITY)],
    };
    judge(inputs, conditions);
    expect(conditions.list()[0]?.text).toMatch(/^a: tc_1_ingress is not attached\. /);
    const message = statusMessage(inputs, conditions);
    expect(message).toMatchObject({
      revision: 4n,
      policyVersion: 2,
      workloads: [
        { localId: 'a', inForce: false, modeIn: 2, why: 'tc_1_ingress is not attached' },
        { localId: 'b', inForce: false },
      ],
      conditions: [{ code: 'RF_NOT_IN_FORCE', severity: 'alarm' }],
    });
    judge({ ...inputs, datapath: status({ endpoints: [is('a', true)] }) }, conditions);
    expect(conditions.list()).toEqual([]);
  });

  it('warns of a table that is more than 80 % full, of refused programs and of helper failures', () => {
    const { conditions } = board();
    const datapath = status({
      tables: [
        { table: 'rf_peers', entries: 81, entriesMax: 100 },
        { table: 'rf_ports', entries: 80, entriesMax: 100 },
      ],
      missing: { rf_iter_files: 'EPERM' },
      helperErrors: { ring: 3n, state: 0n },
    });
    judge({ instructions: emptyInstructions(), datapath, endpoints: [] }, conditions);
    const texts = Object.fromEntries(conditions.list().map((c) => [c.code, c.text.split('. ')[0]]));
    expect(texts).toEqual({
      RF_TABLE_FILL: 'rf_peers 81 of 100',
      RF_FEATURE_MISSING: 'rf_iter_files: EPERM',
      RF_HELPER_ERRORS: 'ring 3',
    });
  });
});

it('serveMetrics shows verdicts by reason, loss by hop, fill and conditions, and nothing else', async () => {
  const { conditions } = board();
  conditions.set('RF_CONTROLLER_AWAY', 'refused');
  let told: (seconds: number) => void = () => {};
  const server = await serveMetrics('127.0.0.1:0', {
    onApplied: (listener) => {
      told = listener;
    },
    counters: () => [{ verdict: 2, reason: 3, direction: 1, packets: 7n, bytes: 420n }],
    tables: () => [{ table: 'rf_peers', entries: 5, entriesMax: 10 }],
    helperErrors: () => ({ ring: 1n }),
    tags: () => TALLY,
    loss: () => LossCounters.create({ ringDropped: 11n }),
    connections: () => 3,
    baselineUnknown: () => 4,
    spoolBytes: () => 0,
    translations: () => ({ open: 1 }),
    workloads: () => 2,
    revision: () => 9,
    connected: () => false,
    board: conditions,
  });
  told(0.02);
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const text = await (await fetch(`${base}/metrics`)).text();
  expect(text).toContain('ringfence_agent_packets_total{verdict="blocked",reason="implicit_deny",direction="in"} 7');
  expect(text).toContain('ringfence_agent_flow_hop_total{hop="ring_dropped"} 11');
  expect(text).toContain('ringfence_agent_tags_total{result="unknown_epoch"} 1');
  expect(text).toContain('ringfence_agent_table_entries{table="rf_peers"} 5');
  expect(text).toContain('ringfence_agent_condition{code="RF_CONTROLLER_AWAY",severity="warning"} 1');
  expect(text).toContain('ringfence_agent_baseline_unknown_total 4');
  expect(text).toContain('ringfence_agent_apply_seconds_bucket{le="0.01"} 0');
  expect(text).toContain('ringfence_agent_apply_seconds_bucket{le="0.025"} 1');
  expect(text).toMatch(/ringfence_agent_resident_bytes \d{7,}/);
  expect((await fetch(`${base}/`)).status).toBe(404);
  server.close();
});
