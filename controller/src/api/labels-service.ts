// The Labels service: dimensions and identities.
import type { LabelsServer } from '@ringfence/proto/gen/ringfence/v1/admin_labels.js';
import type { Logger } from 'pino';
import type { End, Policy, Selector } from '../policy/model.js';
import { visitSelector } from '../policy/selector.js';
import type { Distributor } from '../session/distributor.js';
import type { PersistentNumbers } from '../store/numbers.js';
import type { StateStore } from '../store/state-store.js';
import { type KnownDimensions, labelsToWire } from './convert.js';
import { unary } from './errors.js';
import type { PolicyBook } from './policy-book.js';

export interface LabelsOptions {
  readonly store: StateStore;
  readonly distributor: Distributor;
  readonly identities: PersistentNumbers;
  readonly policy: PolicyBook;
  readonly dimensions: () => KnownDimensions;
  readonly log: Logger;
}

const IDENTITIES_MAX = 10_000;

export function labelsService(options: LabelsOptions): LabelsServer {
  const { store, distributor, policy, dimensions, log } = options;
  return {
    listDimensions: unary(log, () => {
      const used = new Map<string, Map<string, number>>();
      for (const { labels, present } of store.table('workload').values()) {
        if (!present) continue;
        for (const [dimension, value] of Object.entries(labels)) {
          const values = used.get(dimension) ?? new Map<string, number>();
          values.set(value, (values.get(value) ?? 0) + 1);
          used.set(dimension, values);
        }
      }
      const known = dimensions();
      const mentioned = mentionedDimensions(policy.decided);
      const names = [...new Set([...known.keys(), ...used.keys()])].sort();
      return {
        dimensions: names.map((name) => ({
          name,
          permitted: [...(known.get(name) ?? [])].sort(),
          used: [...(used.get(name) ?? [])].sort(byFirst).map(([value, workloads]) => ({ value, workloads })),
          inPolicy: mentioned.has(name),
        })),
      };
    }),
    listIdentities: unary(log, () => {
      const mentioned = mentionedDimensions(policy.decided);
      const identities = [...options.identities.entries()]
        .map(([, identity]) => ({ identity, ids: distributor.workloadsOf(identity) }))
        .filter(({ ids }) => ids.length > 0)
        .sort((a, b) => a.identity - b.identity);
      return {
        total: identities.length,
        identities: identities.slice(0, IDENTITIES_MAX).map(({ identity, ids }) => {
          const labels = store.get('workload', ids[0] ?? '')?.labels ?? {};
          const relevant = Object.fromEntries(Object.entries(labels).filter(([dimension]) => mentioned.has(dimension)));
          return { identity, labels: labelsToWire(relevant), workloads: ids.length };
        }),
      };
    }),
  };
}

/** Dimensions that some rule or mode names: only these take part in identities. */
export function mentionedDimensions(policy: Policy): Set<string> {
  const names = new Set<string>();
  const note = (selector: Selector | undefined) => {
    if (selector === undefined) return;
    visitSelector(selector, { dimension: (name) => names.add(name), workload: () => {} });
  };
  const noteEnd = (end: End) => note(end.selector);
  for (const rule of policy.rules) {
    noteEnd(rule.providedBy);
    noteEnd(rule.usedBy);
    for (const dimension of [...rule.same, ...rule.differs]) names.add(dimension);
  }
  for (const mode of policy.modes) note(mode.selector);
  return names;
}

function byFirst([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : 1;
}
