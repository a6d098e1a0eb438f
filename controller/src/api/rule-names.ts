// Ids of rules by their number. A number belongs to one id for ever, so this is also right for old records.
import type { StateStore } from '../store/state-store.js';

export class RuleNames {
  readonly #ids = new Map<number, string>();

  constructor(store: StateStore) {
    for (const [id, { number }] of store.table('rule')) this.#ids.set(number, id);
    store.onCommit((changes) => {
      for (const change of changes)
        if (change.kind === 'rule' && change.after) this.#ids.set(change.after.number, change.key);
    });
  }

  /** Empty when no rule ever had the number. */
  idOf(number: number): string {
    return this.#ids.get(number) ?? '';
  }
}
