// The tree is an ordinary directory here: what is watched and walked are directories, and inotify works on both.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ManualTimers } from '../testing/manual-timers.js';
import { systemTimers, type Timers } from '../timers.js';
import { CgroupSource, configuredCgroups, systemdUnits } from './cgroup-source.js';
import { findCgroupMount, findUnits } from './cgroup-tree.js';

const base = mkdtempSync(join(tmpdir(), 'rfag-cgroup-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let made = 0;
function newRoot(...paths: string[]): string {
  const root = join(base, String(++made));
  for (const path of ['', ...paths]) mkdirSync(join(root, path), { recursive: true });
  return root;
}

function rig(root: string, name: 'config' | 'systemd', wanted: ReturnType<typeof configuredCgroups>, timers: Timers) {
  let ids: string[] = [];
  const source = new CgroupSource({ name, root, wanted, pollMs: 2000, timers });
  source.start((found) => {
    ids = found.map((f) => f.inventory.localId).sort();
  });
  return { source, ids: () => ids };
}

const web = { name: 'web', path: 'services/web', metadata: { role: 'web' } };

describe('CgroupSource', () => {
  it('sees a configured cgroup come and go by poll alone', async () => {
    const timers = new ManualTimers();
    const root = newRoot('services');
    const { source, ids } = rig(root, 'config', configuredCgroups([web]), timers);
    expect(ids()).toEqual([]);
    mkdirSync(join(root, 'services/web'));
    await timers.advance(2000);
    expect(ids()).toEqual(['cgroup:services/web']);
    rmSync(join(root, 'services/web'), { recursive: true });
    await timers.advance(2000);
    expect(ids()).toEqual([]);
    await source.stop();
  });

  it('sees it at once by inotify, also when its parent is made with it', async () => {
    const root = newRoot();
    const slow: Timers = {
      now: systemTimers.now,
      steady: systemTimers.steady,
      after: (ms, fn) => systemTimers.after(ms === 2000 ? 600_000 : ms, fn),
    };
    const { source, ids } = rig(root, 'config', configuredCgroups([web]), slow);
    mkdirSync(join(root, 'services'));
    mkdirSync(join(root, 'services/web'));
    await vi.waitFor(() => expect(ids()).toEqual(['cgroup:services/web']), { timeout: 10_000 });
    rmSync(join(root, 'services'), { recursive: true });
    await vi.waitFor(() => expect(ids()).toEqual([]), { timeout: 10_000 });
    await source.stop();
  });

  it('finds units of systemd: services and slices, not scopes nor what a user manager runs', async () => {
    const root = newRoot(
      'system.slice/ssh.service',
      'system.slice/system-getty.slice/getty@tty1.service',
      'system.slice/docker-abc.scope',
      'user.slice/user-1000.slice/user@1000.service/app.slice/app.service',
      'init.scope',
      'plain',
    );
    expect(findUnits(root).sort()).toEqual([
      'system.slice',
      'system.slice/ssh.service',
      'system.slice/system-getty.slice',
      'system.slice/system-getty.slice/getty@tty1.service',
      'user.slice',
      'user.slice/user-1000.slice',
      'user.slice/user-1000.slice/user@1000.service',
    ]);
    const { source, ids } = rig(root, 'systemd', systemdUnits(root), new ManualTimers());
    expect(ids()).toContain('cgroup:system.slice/ssh.service');
    await source.stop();
  });
});

describe('findCgroupMount', () => {
  it('tells unified from hybrid, and refuses version 1 alone', () => {
    const v1 = 'cgroup /sys/fs/cgroup/cpu cgroup rw 0 0';
    const v2 = 'cgroup2 /sys/fs/cgroup/my\\040tree cgroup2 rw 0 0';
    expect(findCgroupMount(v2)).toEqual({ path: '/sys/fs/cgroup/my tree', mode: 'unified' });
    expect(findCgroupMount(`${v1}\n${v2}`).mode).toBe('hybrid');
    expect(() => findCgroupMount(v1)).toThrow(/no cgroup2/);
  });
});
