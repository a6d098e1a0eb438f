import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inventory, LocalWorkload } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { WorkloadIndex } from '../store/workload-index.js';
import { stickyKey, takeInventory, WORKLOADS_PER_HOST_MAX } from './inventory.js';

let dir: string;
let store: StateStore;
let index: WorkloadIndex;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-inventory-'));
  store = new StateStore(openSqlite(join(dir, 'db')));
  index = new WorkloadIndex(store);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

function local(localId: string, more: Partial<LocalWorkload> = {}): LocalWorkload {
  const ip = Buffer.from([10, 0, 0, 1]);
  return LocalWorkload.fromPartial({
    localId,
    name: localId.split(':')[1] ?? localId,
    kind: WorkloadKind.WORKLOAD_KIND_CONTAINER,
    addresses: [{ ip, space: '' }],
    ...more,
  });
}

function take(workloads: LocalWorkload[], full = true, removed: string[] = [], nowMs = 1000) {
  return store.update((tx) =>
    takeInventory(tx, 'h', index.ofHost('h'), Inventory.fromPartial({ full, workloads, removed }), nowMs),
  );
}

const present = () =>
  index
    .ofHost('h')
    .filter((record) => record.present)
    .map(({ id }) => id)
    .sort();

function label(id: string, labels: Record<string, string>) {
  return store.update((tx) => {
    const record = tx.get('workload', id);
    if (record !== undefined) tx.set('workload', id, { ...record, labels });
  });
}

test('full inventories replace, deltas add and remove', async () => {
  await take([local('container:a'), local('container:b')]);
  expect(present()).toEqual(['h/container:a', 'h/container:b']);
  await take([local('container:c')], false, ['container:a', 'container:unknown']);
  expect(present()).toEqual(['h/container:b', 'h/container:c']);
  await take([local('container:c')]);
  expect(present()).toEqual(['h/container:c']);
  expect(index.at('00000000000000000000ffff0a000001', 'other').map(({ id }) => id)).toEqual(['h/container:c']);
});

test('an equal inventory writes nothing; a changed address raises the version', async () => {
  await take([local('container:a')]);
  const before = store.driver().status().revision;
  await take([local('container:a')]);
  expect(store.driver().status().revision).toBe(before);
  const ip = Buffer.from([10, 0, 0, 2]);
  await take([local('container:a', { addresses: [{ ip, space: 'local:net' }] })]);
  expect(store.get('workload', 'h/container:a')).toMatchObject({ version: 2, addresses: [{ space: 'local:net' }] });
  expect(index.at('00000000000000000000ffff0a000002', 'h')).toHaveLength(1);
  expect(index.at('00000000000000000000ffff0a000002', 'other')).toEqual([]);
});

test('labelled workloads are remembered when they go, others are not', async () => {
  await take([local('container:a'), local('container:b')]);
  await label('h/container:a', { role: 'web' });
  await take([]);
  expect(index.ofHost('h').map(({ id, goneMs }) => [id, goneMs])).toEqual([['h/container:a', 1000]]);
  await take([local('container:a')]);
  expect(store.get('workload', 'h/container:a')).toMatchObject({ labels: { role: 'web' }, present: true, goneMs: 0 });
});

test('sticky labels go to a new workload of the same host, kind and name only', async () => {
  const key = stickyKey({ hostId: 'h', kind: WorkloadKind.WORKLOAD_KIND_CONTAINER, name: 'web' });
  await store.update((tx) => tx.set('sticky', key, { labels: { role: 'web' } }));
  await take([
    local('container:1', { name: 'web' }),
    local('container:2', { name: 'other' }),
    local('cgroup:web', { name: 'web', kind: WorkloadKind.WORKLOAD_KIND_CGROUP }),
  ]);
  const labels = ['container:1', 'container:2', 'cgroup:web'].map((id) => store.get('workload', `h/${id}`)?.labels);
  expect(labels).toEqual([{ role: 'web' }, {}, {}]);
});

test('invalid workloads are left out and named, the rest counts; pairing keys are not kept', async () => {
  const { problems } = await take([
    local(''),
    local('container:k', { kind: WorkloadKind.WORKLOAD_KIND_UNMANAGED }),
    local('container:ip', { addresses: [{ ip: Buffer.alloc(5), space: '' }] }),
    local('container:many', { addresses: Array.from({ length: 65 }, () => ({ ip: Buffer.alloc(4), space: '' })) }),
    local('container:good', { pairingKey: 'secret', metadata: { big: 'x'.repeat(5000) } }),
  ]);
  expect(problems).toHaveLength(4);
  expect(problems.join('\n')).toMatch(
    /found kind 4, wanted host, container or cgroup\n.*address of 5 bytes, wanted 4 or 16\n.*65 addresses, wanted at most 64/,
  );
  expect(present()).toEqual(['h/container:good']);
  expect(JSON.stringify(store.get('workload', 'h/container:good'))).not.toContain('secret');
  expect(store.get('workload', 'h/container:good')?.metadata.big).toHaveLength(1024);
});

test('a host cannot have more workloads than the bound, full or by deltas', async () => {
  const many = Array.from({ length: WORKLOADS_PER_HOST_MAX + 2 }, (_, i) => local(`container:${i}`));
  expect((await take(many)).problems).toHaveLength(2);
  expect((await take([local('container:more')], false)).problems).toHaveLength(1);
  await take([], false, ['container:0']);
  expect((await take([local('container:more')], false)).problems).toEqual([]);
  expect(index.presentCount).toBe(WORKLOADS_PER_HOST_MAX);
});
