// Whether what a host shall have fits its kernel tables and its messages; updates are held back while it does not.
import type { CapacityNeed } from '../compile/types.js';
import { capacityProblems, type HostRuntime } from './host-runtime.js';
import type { CellKey, HostState } from './host-state.js';
import { SET_BYTES_MAX, setBytes } from './wire.js';

export class CapacityWatch {
  readonly #tooLarge = new Map<CellKey, number>();

  /** Notes sets of a state that no message can carry. */
  noteSets(state: HostState | undefined, keys: Iterable<CellKey>): void {
    for (const key of keys) {
      const cell = state?.cell(key);
      if (cell?.table !== 'set') continue;
      const bytes = cell.value === undefined ? 0 : setBytes(cell.value);
      if (bytes > SET_BYTES_MAX) this.#tooLarge.set(key, bytes);
      else this.#tooLarge.delete(key);
    }
  }

  /** Why updates must wait, shown as the host's alarm; undefined: they need not. */
  check(host: HostRuntime, need: CapacityNeed | undefined, nowMs: number): string | undefined {
    const problems = need === undefined ? [] : capacityProblems(need, host.tables);
    for (const bytes of this.#tooLarge.values()) {
      problems.push(`a policy set takes ${bytes} bytes, wanted at most ${SET_BYTES_MAX}`);
    }
    if (problems.length === 0) {
      host.own.delete('RF_CAPACITY');
      return undefined;
    }
    const found = problems.join('; ');
    host.own.set('RF_CAPACITY', {
      code: 'RF_CAPACITY',
      severity: 'alarm',
      title: `Policy does not fit the kernel tables of ${host.hostId}`,
      text: `${found}. The last good state stays in force. Raise mapSizes in the agent's config, or shrink the policy.`,
      sinceMs: BigInt(host.own.get('RF_CAPACITY')?.sinceMs ?? nowMs),
    });
    return found;
  }
}
