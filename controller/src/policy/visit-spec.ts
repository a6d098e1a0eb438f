// The dimensions that a selector or end as written names itself, groups not expanded.
import type { EndSpec } from './model.js';

/** Calls back for each dimension. */
export function visitSpec(spec: EndSpec, visit: (dimension: string) => void): void {
  if (typeof spec === 'string') {
    const equals = spec.indexOf('=');
    if (equals > 0) visit(spec.slice(0, equals));
  } else if ('label' in spec) visit(spec.label);
  else if ('all' in spec) for (const part of spec.all) visitSpec(part, visit);
  else if ('any' in spec) for (const part of spec.any) visitSpec(part, visit);
  else if ('not' in spec) visitSpec(spec.not, visit);
}
