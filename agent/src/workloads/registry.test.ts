import { LocalWorkload } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import type { FoundWorkload, OnFound, WorkloadSource } from './found-workload.js';
import { WORKLOADS_MAX, WorkloadRegistry } from './registry.js';

class ScriptedSource implements WorkloadSource {
  problem: string | undefined;
  report: OnFound = () => {};
  lookAgain?: (localIds: ReadonlySet<string>) => Promise<void>;
  constructor(readonly name: string) {}
  start(onFound: OnFound): void {
    this.report = onFound;
  }
  async stop(): Promise<void> {}
  found(id: string, more: { name?: string; ifindex?: number } = {}): FoundWorkload {
    return {
      inventory: LocalWorkload.create({ localId: id, source: this.name, name: more.name ?? id }),
      local: {
        localId: id,
        kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
        interfaces: [{ name: 'veth', ifindex: more.ifindex ?? 1 }],
        cgroup: undefined,
        addresses: [],
        netns: undefined,
      },
    };
  }
}

function rig(remembered: (a: ScriptedSource) => FoundWorkload[] = () => []) {
  const a = new ScriptedSource('a');
  const b = new ScriptedSource('b');
  const seen: string[] = [];
  const registry = new WorkloadRegistry([a, b], remembered(a), {
    onLocals: (locals) => seen.push(`locals ${locals.map((l) => l.localId)}`),
    onInventory: (d) => seen.push(`inventory +${d.workloads.map((w) => w.localId)} -${d.removed}`),
  });
  registry.start();
  return { a, b, registry, take: () => seen.splice(0) };
}

describe('WorkloadRegistry', () => {
  it('reports only what changed, and the kernel side only when it is concerned', () => {
    const { a, b, take, registry } = rig();
    a.report([a.found('x'), a.found('y')]);
    expect(take()).toEqual(['locals x,y', 'inventory +x,y -']);
    b.report([b.found('z')]);
    expect(take()).toEqual(['locals x,y,z', 'inventory +z -']);
    a.report([a.found('x'), a.found('y', { name: 'renamed' })]);
    expect(take()).toEqual(['inventory +y -']);
    a.report([a.found('x', { ifindex: 9 }), a.found('y', { name: 'renamed' })]);
    expect(take()).toEqual(['locals x,y,z']);
    a.report([a.found('x', { ifindex: 9 })]);
    expect(take()).toEqual(['locals x,z', 'inventory + -y']);
    a.report([a.found('x', { ifindex: 9 })]);
    expect(take()).toEqual([]);
    expect(registry.inventory()).toMatchObject({ full: true, workloads: [{ localId: 'x' }, { localId: 'z' }] });
  });

  it('keeps what the last run knew of a source until that source has looked', () => {
    const { a, b, take, registry } = rig((source) => [source.found('old')]);
    expect(registry.locals.map((l) => l.localId)).toEqual(['old']);
    b.report([b.found('z')]);
    expect(take()).toEqual(['locals old,z', 'inventory +z -']);
    a.report([]);
    expect(take()).toEqual(['locals z', 'inventory + -old']);
  });

  it('lets the earlier source name a workload that two find', () => {
    const { a, b, registry } = rig();
    b.report([b.found('x', { name: 'from b' })]);
    a.report([a.found('x', { name: 'from a' })]);
    expect(registry.found.map((f) => f.inventory.name)).toEqual(['from a']);
  });

  it('bounds a runaway and says by how much', () => {
    const { a, registry } = rig();
    a.report(Array.from({ length: WORKLOADS_MAX + 3 }, (_, i) => a.found(`w${i}`)));
    expect(registry.found).toHaveLength(WORKLOADS_MAX);
    expect(registry.overflow).toBe(3);
  });

  it('reports again what it is asked for, unchanged as it is, after its source has looked; what is gone is passed over', async () => {
    const { a, take, registry } = rig();
    a.report([a.found('x'), a.found('y')]);
    take();
    const asked: string[] = [];
    a.lookAgain = async (ids) => {
      asked.push(...ids);
    };
    await registry.reportAgain(['y', 'gone']);
    expect(asked).toEqual(['y', 'gone']);
    expect(take()).toEqual(['inventory +y -']);
    await registry.reportAgain(['gone']);
    expect(take()).toEqual([]);
  });
});
