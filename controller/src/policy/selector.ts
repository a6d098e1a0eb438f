// What a resolved selector says about one workload. The compiler has its own, index-based way; tests hold both together.
import type { Labels, PolicyWorkload, Selector } from './model.js';

/** The value of a dimension, undefined when there is none. Names such as `constructor` are dimensions like any other. */
export function labelOf(labels: Labels, dimension: string): string | undefined {
  return Object.hasOwn(labels, dimension) ? labels[dimension] : undefined;
}

/** True when the selector matches this known workload. A missing dimension has no value: `not` of a value matches it. */
export function selectorMatches(selector: Selector, workload: PolicyWorkload): boolean {
  switch (selector.kind) {
    case 'every':
      return true;
    case 'label': {
      const value = labelOf(workload.labels, selector.dimension);
      return value !== undefined && selector.values.includes(value);
    }
    case 'exists':
      return Object.hasOwn(workload.labels, selector.dimension);
    case 'workload':
      return selector.ids.includes(workload.id);
    case 'all':
      return selector.of.every((part) => selectorMatches(part, workload));
    case 'any':
      return selector.of.some((part) => selectorMatches(part, workload));
    case 'not':
      return !selectorMatches(selector.of, workload);
  }
}

/** Calls back for every dimension and every workload id that a selector mentions. */
export function visitSelector(
  selector: Selector,
  visit: { dimension(name: string): void; workload(id: string): void },
): void {
  switch (selector.kind) {
    case 'every':
      return;
    case 'label':
    case 'exists':
      visit.dimension(selector.dimension);
      return;
    case 'workload':
      for (const id of selector.ids) visit.workload(id);
      return;
    case 'all':
    case 'any':
      for (const part of selector.of) visitSelector(part, visit);
      return;
    case 'not':
      visitSelector(selector.of, visit);
  }
}

/** A selector in words, as explain and diff print it. */
export function formatSelector(selector: Selector): string {
  switch (selector.kind) {
    case 'every':
      return 'every workload';
    case 'label':
      return selector.values.length === 1
        ? `${selector.dimension}=${selector.values[0]}`
        : `${selector.dimension} in (${selector.values.join(', ')})`;
    case 'exists':
      return `has ${selector.dimension}`;
    case 'workload':
      return selector.ids.length === 1 ? `workload ${selector.ids[0]}` : `workload in (${selector.ids.join(', ')})`;
    case 'all':
      return selector.of.map((part) => nested(part)).join(' and ');
    case 'any':
      return selector.of.map((part) => nested(part)).join(' or ');
    case 'not':
      return `not ${nested(selector.of)}`;
  }
}

function nested(selector: Selector): string {
  const text = formatSelector(selector);
  return selector.kind === 'all' || selector.kind === 'any' ? `(${text})` : text;
}
