// Containers that have not been found yet: what holds them, and when it lets go.
import { ENDPOINT, EndpointFlag } from '@ringfence/bpf';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { expect, test } from 'vitest';
import { type RenderConfig, TABLES } from '../desired/desired.js';
import { emptyInstructions } from '../desired/instructions.js';
import type { LocalWorkload } from '../desired/local.js';
import { cgroupKey, ifindexKey, memberOf } from '../desired/pack.js';
import { Renderer } from '../desired/renderer.js';
import { VersionedMap } from '../desired/versioned-map.js';
import { planFlush, type Tables } from './plan.js';

const PARENT = { path: '/sys/fs/cgroup/docker', id: 7n };
const config: RenderConfig = {
  unassigned: 'isolate',
  rejectMode: 'reject',
  failsafes: [],
  containerCgroups: () => [PARENT],
};
const EMPTY = Object.fromEntries(TABLES.map((t) => [t, VersionedMap.of<string, string>()])) as unknown as Tables;

const container = (interfaces: LocalWorkload['interfaces']): LocalWorkload => ({
  localId: 'container:c1',
  kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
  interfaces,
  cgroup: { path: '/sys/fs/cgroup/docker/c1', id: 8n },
  addresses: [],
  netns: '/proc/1/ns/net',
});

const flagsOf = (table: Tables['rf_endpoints'], key: string) => {
  const value = table.get(key);
  return value === undefined ? undefined : memberOf(ENDPOINT, 'flags', value);
};

test('a host that isolates holds the cgroup that containers start below, silently; another does not', () => {
  const held = new Renderer(config).render(emptyInstructions(), []);
  expect(flagsOf(held.tables.rf_endpoints, cgroupKey(PARENT.id))).toBe(EndpointFlag.ISOLATED | EndpointFlag.CONTAINERS);
  expect(held.cgroupHooks).toBe(true);
  const free = new Renderer({ ...config, unassigned: 'visibility' }).render(emptyInstructions(), []);
  expect([...free.tables.rf_endpoints.keys()]).toEqual([]);
  expect(free.cgroupHooks).toBe(false);
});

test('a container is passed at its cgroup only once it has an interface, and after that is attached', () => {
  const renderer = new Renderer(config);
  const before = renderer.render(emptyInstructions(), [container([])]);
  expect(flagsOf(before.tables.rf_endpoints, cgroupKey(8n))).toBeUndefined();
  const after = renderer.render(emptyInstructions(), [container([{ name: 'veth1', ifindex: 3 }])]);
  expect(flagsOf(after.tables.rf_endpoints, cgroupKey(8n))).toBe(EndpointFlag.SKIP);
  // Cut off at its interface too, until it is assigned; and without an answer, though the host refuses otherwise.
  expect(flagsOf(after.tables.rf_endpoints, ifindexKey(3))).toBe(EndpointFlag.ISOLATED);
  const plan = planFlush(before.tables, after.tables, 0);
  const keys = (steps: typeof plan.puts) => steps.flatMap(({ changes }) => changes.map(({ key }) => key));
  expect(keys(plan.puts)).toEqual([ifindexKey(3)]);
  expect(keys(plan.passes)).toEqual([cgroupKey(8n)]);
  // A second flush has nothing to pass again.
  expect(planFlush(after.tables, after.tables, plan.generation).passes).toEqual([]);
  expect(keys(planFlush(EMPTY, after.tables, 0).passes)).toEqual([cgroupKey(8n)]);
});
