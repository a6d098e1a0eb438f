import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { AssignmentState } from '@ringfence/proto/instructions.js';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { DesiredState } from '../desired/desired.js';
import { emptyInstructions, type Instructions } from '../desired/instructions.js';
import { type Applied, Enforcement } from '../enforcement.js';
import { StateFile } from '../store/state-file.js';
import { ManualTimers } from '../testing/manual-timers.js';
import { LastGoodFile } from './last-good.js';
import { PolicyKeeper } from './policy-keeper.js';

const directory = mkdtempSync(join(tmpdir(), 'rfag-keeper-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;

const at = (revision: number, policyVersion: number): Instructions => ({
  ...emptyInstructions(),
  revision,
  policyVersion,
});
const plain = { confirmWithinMs: 0, confirmedPolicyVersion: 0 };

function rig(path = join(directory, `${++files}.cbor`)) {
  const timers = new ManualTimers();
  const kernel: number[] = [];
  const notes: string[] = [];
  const refuse = new Set<number>();
  const enforcement = new Enforcement({
    // The desired state stands for its instructions here: what the kernel was given last is what is in force.
    render: (instructions) => ({ revision: instructions.revision }) as unknown as DesiredState,
    datapath: {
      apply: async (desired) => {
        const { revision } = desired as unknown as { revision: number };
        if (refuse.has(revision)) {
          return { kind: 'refused', code: 'RF_MAP_FULL', table: 'rf_peers', message: 'full', restored: true };
        }
        kernel.push(revision);
        return { kind: 'ok', written: 0, deleted: 0, sweep: undefined };
      },
    },
    onApplied: () => {},
  });
  const keeper = new PolicyKeeper<string>({
    enforcement,
    file: new LastGoodFile(path),
    timers,
    bootId: 'boot',
    workloads: () => ['w'],
    onUnreadable: (code) => notes.push(`unreadable ${code}`),
    onSaved: (problem) => notes.push(problem ? 'unsaved' : 'saved'),
    onReturned: (rollout: { policyVersion: number }, outcome: Applied) =>
      notes.push(`returned from ${rollout.policyVersion} ${outcome.kind}`),
  });
  /** The disk takes its time. */
  const noted = (...wanted: string[]) => vi.waitFor(() => expect(notes.slice(-wanted.length)).toEqual(wanted), 20_000);
  return { timers, kernel, keeper, enforcement, refuse, path, noted, take: () => notes.splice(0) };
}

describe('PolicyKeeper', () => {
  it('saves what took force, and a new process takes it up', async () => {
    const first = rig();
    await first.keeper.apply(at(3, 2), 'e1', plain);
    expect(first.take()).toEqual(['saved']); // before the caller can ack: a power cut after the ack loses no policy
    await first.keeper.apply(at(4, 2), 'e1', plain);
    expect(first.take()).toEqual([]);
    await first.timers.advance(100);
    await first.noted('saved');
    const second = rig(first.path);
    expect(second.keeper.load()?.workloads).toEqual(['w']);
    expect(second.keeper.epoch).toBe('e1');
    expect(second.keeper.inForce.revision).toBe(4);
  });

  it('saves what decides nothing less often the more there is, and a stop saves what waits', async () => {
    const many = Array.from({ length: 40_000 }, (_, i) => [`a${i}`, { shared: [] }] as never);
    const { timers, keeper, path, take } = rig();
    const big = { ...at(1, 1), bindings: emptyInstructions().bindings.with(many) };
    await keeper.apply(big, 'e', plain);
    take();
    for (const revision of [2, 3]) {
      await keeper.apply({ ...big, revision }, 'e', plain);
      expect(timers.nextIn).toBe(2000);
    }
    await keeper.stop();
    expect(take()).toEqual(['saved']);
    expect(timers.pending).toBe(0);
    expect(new StateFile(path, 1).read()).toMatchObject({ update: { revision: 3 } });
  });

  it('keeps and saves the last good state when the kernel refuses a revision', async () => {
    const { keeper, kernel, refuse } = rig();
    await keeper.apply(at(3, 2), 'e1', plain);
    refuse.add(4);
    expect(await keeper.apply(at(4, 3), 'e2', plain)).toMatchObject({ kind: 'refused', code: 'RF_MAP_FULL' });
    expect(keeper.inForce.revision).toBe(3);
    expect(keeper.epoch).toBe('e1');
    expect(kernel).toEqual([3, 3]);
  });

  it('returns to the confirmed state when the controller stays lost, and remembers that on disk', async () => {
    const { keeper, timers, kernel, noted, path } = rig();
    keeper.onConnected();
    await keeper.apply(at(1, 1), 'e', plain);
    await keeper.apply(at(2, 2), 'e', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    await timers.advance(1000);
    keeper.onLost();
    await timers.advance(1999);
    expect(kernel).toEqual([1, 2]);
    await timers.advance(1);
    expect(kernel).toEqual([1, 2, 1]);
    await noted('returned from 2 ok');
    const next = rig(path);
    next.keeper.load();
    expect(next.keeper.inForce.revision).toBe(1);
    expect(next.keeper.epoch).toBe('e');
  });

  it('returns also when the agent was restarted in between, when what is left of the window has passed', async () => {
    const first = rig();
    first.keeper.onConnected();
    await first.keeper.apply(at(1, 1), 'e', plain);
    await first.keeper.apply(at(2, 2), 'e', { confirmWithinMs: 60_000, confirmedPolicyVersion: 0 });
    const second = rig(first.path);
    await second.timers.advance(40_000);
    second.keeper.load();
    expect(second.keeper.inForce.revision).toBe(2);
    await second.timers.advance(19_999);
    expect(second.kernel).toEqual([]);
    await second.timers.advance(1);
    expect(second.kernel).toEqual([1]);
    await second.noted('saved', 'returned from 2 ok');
  });

  it('what was done to single workloads during the window does not come undone by the return', async () => {
    const { keeper, timers, enforcement, noted, path } = rig();
    const assigned = (localId: string, change: Partial<AssignmentState> = {}): [string, AssignmentState] => [
      localId,
      {
        localId,
        workloadId: `h/${localId}`,
        identity: 7,
        modeIn: Mode.MODE_ENFORCE,
        modeOut: Mode.MODE_TEST,
        setIn: 'old',
        setOut: 'old',
        isolated: false,
        space: '',
        reject: true,
        labels: {},
        ...change,
      },
    ];
    const everyone = { anyone: true, identities: [], classes: [], ports: [] };
    const sets = emptyInstructions().sets.with(
      ['old', 'new'].map((hash) => [hash, { hash, groups: [everyone] }] as const),
    );
    const before = {
      ...at(1, 1),
      sets,
      assignments: emptyInstructions().assignments.with([assigned('stays'), assigned('cut'), assigned('gone')]),
    };
    const after: Instructions = {
      ...at(2, 2),
      sets,
      unpaired: 'isolate',
      assignments: before.assignments.with([
        assigned('stays', { setIn: 'new' }),
        assigned('cut', { isolated: true, setIn: 'new' }),
        ['gone', undefined],
        assigned('came', { setIn: 'new', setOut: 'new' }),
      ]),
    };
    keeper.onConnected();
    await keeper.apply(before, 'e', plain);
    await keeper.apply(after, 'e', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    keeper.onLost();
    await timers.advance(3000);
    const { assignments, unpaired, policyVersion } = enforcement.instructions;
    expect({ policyVersion, unpaired }).toEqual({ policyVersion: 1, unpaired: 'isolate' });
    expect([...assignments.values()].map(({ localId, setIn, setOut, isolated }) => [localId, setIn, setOut, isolated]))
      // The one that came has its modes and no set that allows anything.
      .toEqual([
        ['stays', 'old', 'old', false],
        ['cut', 'old', 'old', true],
        ['came', '', '', false],
      ]);
    expect(assignments.get('came')).toMatchObject({ modeIn: Mode.MODE_ENFORCE, modeOut: Mode.MODE_TEST, identity: 7 });
    // No controller told this state: it must be sent everything, also after a restart.
    expect(keeper.epoch).toBe('');
    await noted('returned from 2 ok');
    const next = rig(path);
    next.keeper.load();
    expect(next.keeper.epoch).toBe('');
    expect(next.enforcement.instructions.assignments.get('came')).toMatchObject({ setIn: '' });
  });

  it('has the way back on disk before the rollout is acknowledged, and gone once it is confirmed', async () => {
    const { keeper, path } = rig();
    keeper.onConnected();
    await keeper.apply(at(1, 1), 'e', plain);
    await keeper.apply(at(2, 2), 'e', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    expect(rig(path).keeper.load()?.pending).toMatchObject({ policyVersion: 2, before: { epoch: 'e' } });
    await keeper.apply(at(3, 2), 'e', { confirmWithinMs: 0, confirmedPolicyVersion: 2 });
    expect(rig(path).keeper.load()?.pending).toBeUndefined();
  });

  it('speaks of the returned state in the epoch that it belongs to', async () => {
    const { keeper, timers } = rig();
    keeper.onConnected();
    await keeper.apply(at(7, 1), 'old', plain);
    await keeper.apply(at(2, 2), 'new', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    expect(keeper.epoch).toBe('new');
    keeper.onLost();
    await timers.advance(3000);
    expect([keeper.inForce.revision, keeper.epoch]).toEqual([7, 'old']);
  });

  it('tries a return that the kernel refused again, and keeps the new version until then', async () => {
    const { keeper, timers, refuse, noted } = rig();
    keeper.onConnected();
    await keeper.apply(at(1, 1), 'e', plain);
    await keeper.apply(at(2, 2), 'e', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    keeper.onLost();
    refuse.add(1);
    await timers.advance(3000);
    await noted('returned from 2 refused');
    expect(keeper.inForce.revision).toBe(2);
    refuse.clear();
    await timers.advance(5000);
    await noted('returned from 2 ok');
    expect(keeper.inForce.revision).toBe(1);
  });

  it('a controller that is back in the very moment of the return decides: nothing is taken back', async () => {
    const { keeper, timers, kernel } = rig();
    keeper.onConnected();
    await keeper.apply(at(1, 1), 'e', plain);
    await keeper.apply(at(2, 2), 'e', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    keeper.onLost();
    await timers.advance(2999);
    keeper.onConnected();
    await timers.advance(10_000);
    expect(kernel).toEqual([1, 2]);
    keeper.onLost(); // the window is over and nobody confirmed
    await timers.advance(0);
    expect(kernel).toEqual([1, 2, 1]);
  });

  it('does not return after a confirmation', async () => {
    const { keeper, timers, kernel } = rig();
    keeper.onConnected();
    await keeper.apply(at(1, 1), 'e', plain);
    await keeper.apply(at(2, 2), 'e', { confirmWithinMs: 3000, confirmedPolicyVersion: 0 });
    await keeper.apply(at(3, 2), 'e', { confirmWithinMs: 0, confirmedPolicyVersion: 2 });
    keeper.onLost();
    await timers.advance(60_000);
    expect(kernel).toEqual([1, 2, 3]);
  });

  it('says that a state cannot be used and goes on without', () => {
    const { keeper, path, take } = rig();
    writeFileSync(path, 'RFSTATE\nhalf');
    expect(keeper.load()).toBeUndefined();
    expect(take()).toEqual(['unreadable RF_STATE_CORRUPT']);
    expect(keeper.inForce.revision).toBe(0);
  });

  it('holds an unknown policy in the kernel until instructions come', async () => {
    const { keeper, enforcement, kernel, refuse, timers } = rig();
    enforcement.hold();
    await enforcement.setLocals([]);
    refuse.add(5);
    await keeper.apply(at(5, 1), 'e', plain);
    expect(kernel).toEqual([]);
    await timers.advance(1000);
    await keeper.apply(at(6, 1), 'e', plain);
    await enforcement.setLocals([]);
    expect(kernel).toEqual([6, 6]);
  });
});
