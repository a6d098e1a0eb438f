import { Direction, Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { policySet } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import {
  applyUpdate,
  emptyInstructions,
  type Instructions,
  openedInstructions,
  type StagedRevision,
  snapshotOf,
} from './instructions.js';
import { address, Dice, randomSet, randomState, split, updateBetween } from './testing/random-state.js';
import type { InstructionUpdate } from './update.js';
import { updateFromWire } from './update.js';

const set = policySet([{ anyone: true, identities: [], classes: [], ports: [] }]);
const nothing: InstructionUpdate = updateBetween(
  undefined,
  { policyVersion: 1, sets: [], assignments: [], bindings: [], cidrs: [], nats: [] },
  1,
);
const assignment = {
  localId: 'host',
  workloadId: 'w',
  identity: 5,
  modeIn: Mode.MODE_ENFORCE,
  modeOut: Mode.MODE_ENFORCE,
  setIn: set.hash,
  setOut: '',
  isolated: false,
  space: '',
  reject: true,
  labels: {},
};

function next(base: Instructions, update: InstructionUpdate, staged?: StagedRevision): Instructions {
  const result = applyUpdate(base, staged, update);
  if (result.kind !== 'complete') throw new Error(JSON.stringify(result));
  return result.next;
}

function refusal(base: Instructions, update: InstructionUpdate, staged?: StagedRevision): string {
  const result = applyUpdate(base, staged, update);
  return result.kind === 'refused' ? `${result.code} ${result.message}` : result.kind;
}

describe('applyUpdate', () => {
  const first = next(emptyInstructions(), { ...nothing, sets: [set], assignments: [assignment] });

  it('chunks of one revision, show nothing until the last', () => {
    const dice = new Dice(3);
    const state = randomState(dice, 4, [randomSet(dice), randomSet(dice)]);
    let staged: StagedRevision | undefined;
    const chunks = split(updateBetween(undefined, state, 9));
    for (const chunk of chunks.slice(0, -1)) {
      const result = applyUpdate(first, staged, chunk);
      expect(result.kind).toBe('staged');
      if (result.kind === 'staged') staged = result.staged;
    }
    expect(first.bindings.size).toBe(0);
    const done = next(first, chunks.at(-1) as InstructionUpdate, staged);
    expect(done.bindings.size).toBe(state.bindings.length);
    expect(done.revision).toBe(9);
  });

  it('a delta not after the revision in force, or of another revision than what is staged, is out of order', () => {
    expect(refusal(first, { ...nothing, full: false })).toContain(
      'RF_UPDATE_ORDER Cannot apply update: found revision 1',
    );
    const staged = applyUpdate(first, undefined, { ...nothing, full: false, revision: 2, more: true });
    if (staged.kind !== 'staged') throw new Error('not staged');
    expect(refusal(first, { ...nothing, full: false, revision: 3 }, staged.staged)).toContain(
      'wanted the next chunk of 2',
    );
  });

  it('a full state, may come at any revision and drops what is staged', () => {
    const staged = applyUpdate(first, undefined, { ...nothing, full: false, revision: 7, more: true });
    if (staged.kind !== 'staged') throw new Error('not staged');
    expect(next(first, { ...nothing, revision: 1 }, staged.staged).assignments.size).toBe(0);
  });

  it('a set that an assignment uses, cannot be missing or removed', () => {
    const lacking = refusal(emptyInstructions(), { ...nothing, assignments: [assignment] });
    expect(lacking).toContain(`RF_UPDATE_INVALID Cannot accept assignment of host: found no policy set ${set.hash}`);
    expect(refusal(first, { ...nothing, full: false, revision: 2, removedSets: [set.hash] })).toContain(
      'RF_UPDATE_INVALID',
    );
    expect(first.sets.size).toBe(1);
  });

  it.each([
    ['no default group', { sets: [policySet([])] }, 'found 0 default groups'],
    [
      'ports that descend',
      {
        sets: [
          policySet([
            {
              anyone: true,
              identities: [],
              classes: [],
              ports: [{ protocol: 6, portLow: 9, portHigh: 8, rule: 1, allow: true, constraints: 0 }],
            },
          ]),
        ],
      },
      'found protocol 6 ports 9 to 8',
    ],
    ['identity 0', { assignments: [{ ...assignment, identity: 0 }] }, 'found identity 0'],
    [
      'too many identities behind an address',
      {
        bindings: [
          {
            space: '',
            address: address('10.0.0.1'),
            identity: 1,
            shared: Array.from({ length: 65 }, (_, i) => i + 1),
            unmanaged: false,
          },
        ],
      },
      'found 65 identities, wanted at most 64',
    ],
    [
      'a failsafe port of 70000',
      {
        failsafes: [
          {
            direction: Direction.DIRECTION_INBOUND,
            protocol: 6,
            port: 70_000,
            remote: { address: address('10.0.0.1'), length: 128 },
          },
        ],
      },
      'port 70000',
    ],
  ])('%s, is refused with its place', (_, part, message) => {
    expect(refusal(first, { ...nothing, full: false, revision: 2, ...part })).toContain(message);
  });

  it('the same content again, is the same tables', () => {
    const again = next(first, { ...nothing, full: false, revision: 2, sets: [set], assignments: [{ ...assignment }] });
    expect(again.assignments).toBe(first.assignments);
  });

  it('a snapshot, gives the state back', () => {
    const dice = new Dice(8);
    const state = next(
      emptyInstructions(),
      updateBetween(undefined, randomState(dice, 2, [randomSet(dice), randomSet(dice)]), 5),
    );
    const again = next(emptyInstructions(), snapshotOf(state));
    expect(snapshotOf(again)).toEqual(snapshotOf(state));
  });
});

describe('updateFromWire', () => {
  it('content that its hash does not name, is refused', () => {
    const wire = {
      revision: 1n,
      full: true,
      more: false,
      policyVersion: 1,
      sets: [{ hash: Buffer.alloc(16), groups: [] }],
      removedSets: [],
      assignments: [],
      removedAssignments: [],
      bindings: [],
      removedBindings: [],
      cidrs: [],
      removedCidrs: [],
      nats: [],
      removedNats: [],
      failsafes: [],
      failsafesSet: false,
      confirmWithinMs: 0,
      confirmedPolicyVersion: 0,
      unpaired: 0,
    };
    expect(() => updateFromWire(wire)).toThrow(/Cannot accept policy set 0{32}/);
    expect(() => updateFromWire({ ...wire, sets: [], revision: 1n << 60n })).toThrow(/found revision/);
  });
});

describe('openedInstructions', () => {
  it('blocks nothing and keeps everything else; the snapshot of it says so too', () => {
    const isolated = { ...assignment, localId: 'container:a', isolated: true };
    const update = { ...nothing, unpaired: 'isolate' as const, sets: [set], assignments: [assignment, isolated] };
    const state = next(emptyInstructions(), update);
    const opened = openedInstructions(state);
    expect(opened.unpaired).toBe('visibility');
    for (const { modeIn, modeOut, isolated: cut } of opened.assignments.values())
      expect([modeIn, modeOut, cut]).toEqual([Mode.MODE_VISIBILITY, Mode.MODE_VISIBILITY, false]);
    expect([...opened.sets.keys()]).toEqual([set.hash]);
    expect(state.assignments.get('host')?.modeIn).toBe(Mode.MODE_ENFORCE);
    expect(next(emptyInstructions(), snapshotOf(opened)).unpaired).toBe('visibility');
  });

  it('a state file of an agent that knew nothing of it is as configured', () => {
    const { unpaired: _unknown, ...before } = { ...nothing, sets: [set], assignments: [assignment] };
    expect(next(emptyInstructions(), before as unknown as InstructionUpdate).unpaired).toBeUndefined();
  });
});
