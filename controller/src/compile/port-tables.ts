// Port tables by the rules they come from: most groups of most sets repeat a few combinations of rules.
import type { PortEntry } from '@ringfence/proto/policy-set.js';
import { resolvePorts } from './resolve-ports.js';
import type { ActiveRule } from './rule-index.js';

/** Combinations kept; when reached, the memory is emptied and refills with those in use. */
const TABLES_MAX = 50_000;

export class PortTables {
  readonly #tables = new Map<string, readonly PortEntry[]>();

  table(rules: readonly ActiveRule[]): readonly PortEntry[] {
    const key = rules.map(({ serial }) => serial).join(',');
    const known = this.#tables.get(key);
    if (known !== undefined) return known;
    if (this.#tables.size >= TABLES_MAX) this.#tables.clear();
    const table = resolvePorts(rules.map(({ rule }) => rule));
    this.#tables.set(key, table);
    return table;
  }
}
