// Short ways to say a policy in tests: identities are numbers, sets are lists of "identity may use these ports".

import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { AssignmentState } from '@ringfence/proto/instructions.js';
import { type PolicySet, type PortEntry, policySet } from '@ringfence/proto/policy-set.js';
import type { InstructionUpdate } from '../../desired/update.js';
import { bytes } from './bed.js';

/** An allow of one port of one protocol by rule number. */
export function allow(rule: number, protocol: number, port: number, high = port): PortEntry {
  return { protocol, portLow: port, portHigh: high, rule, allow: true, constraints: 0 };
}

export function deny(rule: number, protocol: number, port: number, high = port): PortEntry {
  return { ...allow(rule, protocol, port, high), allow: false };
}

/** A set by identity; 0 is anyone. */
export function setOf(groups: Readonly<Record<number, readonly PortEntry[]>>): PolicySet {
  return policySet([
    { anyone: true, identities: [], classes: [], ports: groups[0] ?? [] },
    ...Object.entries(groups)
      .filter(([identity]) => identity !== '0')
      .map(([identity, ports]) => ({ anyone: false, identities: [Number(identity)], classes: [], ports })),
  ]);
}

export interface Wanted {
  readonly localId: string;
  readonly identity: number;
  readonly setIn?: PolicySet;
  readonly setOut?: PolicySet;
  readonly mode?: Mode;
  readonly isolated?: boolean;
  readonly reject?: boolean;
}

/** A full state of assignments and who is behind which address. */
export function fullUpdate(
  revision: number,
  wanted: readonly Wanted[],
  identities: Readonly<Record<string, number>>,
): InstructionUpdate {
  const sets = wanted.flatMap(({ setIn, setOut }) => [setIn, setOut].filter((set) => set !== undefined));
  return {
    revision,
    full: true,
    more: false,
    policyVersion: revision,
    unpaired: undefined,
    sets,
    removedSets: [],
    assignments: wanted.map(
      (w): AssignmentState => ({
        localId: w.localId,
        workloadId: `w-${w.localId}`,
        identity: w.identity,
        modeIn: w.mode ?? Mode.MODE_ENFORCE,
        modeOut: w.mode ?? Mode.MODE_ENFORCE,
        setIn: w.setIn?.hash ?? '',
        setOut: w.setOut?.hash ?? '',
        isolated: w.isolated ?? false,
        space: '',
        reject: w.reject ?? true,
        labels: {},
      }),
    ),
    removedAssignments: [],
    bindings: Object.entries(identities).map(([text, identity]) => ({
      space: '',
      address: bytes(text),
      identity,
      shared: [],
      unmanaged: false,
    })),
    removedBindings: [],
    cidrs: [],
    removedCidrs: [],
    nats: [],
    removedNats: [],
    failsafes: undefined,
  };
}
