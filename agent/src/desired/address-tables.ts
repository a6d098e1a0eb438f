// CIDR classes, NAT bindings and failsafes → rf_cidrs, rf_nat, rf_failsafe: one entry each, nothing numbered.
import type { CidrState } from '@ringfence/proto/instructions.js';
import type { Table } from './desired.js';
import { Edits } from './edits.js';
import { cidrKey, cidrValue, failsafeKey, natMapKey, natValue, packU32 } from './pack.js';
import type { SpaceNumbers } from './spaces.js';
import type { FailsafeState, NatState } from './update.js';
import { type Change, VersionedMap } from './versioned-map.js';

export class AddressTables {
  cidrs: Table = VersionedMap.of();
  nat: Table = VersionedMap.of();
  failsafe: Table = VersionedMap.of();
  readonly #spaces: SpaceNumbers;

  constructor(spaces: SpaceNumbers) {
    this.#spaces = spaces;
  }

  updateCidrs(changes: readonly Change<string, CidrState>[]): void {
    const edits = new Edits();
    for (const { before, after } of changes) {
      if (after !== undefined) edits.put(cidrKey(after.prefix), cidrValue(after.classId));
      else if (before !== undefined) edits.remove(cidrKey(before.prefix));
    }
    this.cidrs = edits.appliedTo(this.cidrs);
  }

  updateNats(changes: readonly Change<string, NatState>[]): void {
    const edits = new Edits();
    for (const { before, after } of changes) {
      const at = after ?? before;
      if (at === undefined) continue;
      const space = this.#spaces.numberOf(at.space);
      const key = natMapKey({ space, port: at.port, proto: at.protocol, addr: at.address });
      if (after === undefined) edits.remove(key);
      else edits.put(key, natValue(after.identity, after.targetPort));
    }
    this.nat = edits.appliedTo(this.nat);
  }

  /** The whole list: it is short. */
  updateFailsafes(entries: readonly FailsafeState[]): void {
    const edits = new Edits();
    for (const key of this.failsafe.keys()) edits.remove(key);
    for (const { direction, protocol, port, remote } of entries) {
      edits.put(failsafeKey({ direction, proto: protocol, port }, remote), ALLOWED);
    }
    this.failsafe = edits.appliedTo(this.failsafe);
  }
}

const ALLOWED = packU32(1);
