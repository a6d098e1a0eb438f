// Selectors and ends from names to what they mean: label groups expanded, every name known. Takes the shape for granted.
import type { Path } from './end-shape.js';
import type { End, EndSpec, LabelCondition, Selector, SelectorSpec } from './model.js';
import { someOf } from './names.js';

/** Receives each thing that is wrong: where below the document, a code, what was wanted. */
export type Report = (path: Path, code: string, wanted: string) => void;

/** The names a document declares. */
export interface Names {
  /** Permitted values by dimension; undefined: any value. */
  readonly dimensions: ReadonlyMap<string, ReadonlySet<string> | undefined>;
  /** Expanded values by group. */
  readonly groups: ReadonlyMap<string, { readonly dimension: string; readonly values: readonly string[] }>;
  readonly ipLists: ReadonlySet<string>;
}

/** The meaning of a selector. Reports unknown names, and then stands for nothing that may be used. */
export function resolveSelector(spec: SelectorSpec, names: Names, report: Report, path: Path): Selector {
  if (typeof spec === 'string') {
    if (spec === 'workloads') return { kind: 'every' };
    const equals = spec.indexOf('=');
    const [dimension, value] = [spec.slice(0, equals), spec.slice(equals + 1)];
    if (checkDimension(dimension, names, report, path)) checkValue(dimension, value, names, report, path);
    return { kind: 'label', dimension, values: [value] };
  }
  if ('label' in spec) return resolveCondition(spec, names, report, path);
  if ('workload' in spec) return { kind: 'workload', ids: [spec.workload] };
  if ('not' in spec) return { kind: 'not', of: resolveSelector(spec.not, names, report, [...path, 'not']) };
  const [kind, list] = 'all' in spec ? (['all', spec.all] as const) : (['any', spec.any] as const);
  const of = list.map((item, index) => resolveSelector(item, names, report, [...path, kind, index]));
  const [only] = of;
  return of.length === 1 && only !== undefined ? only : { kind, of };
}

/** The meaning of a rule's end. */
export function resolveEnd(spec: EndSpec, names: Names, report: Report, path: Path): End {
  const isAny = typeof spec === 'object' && 'any' in spec;
  const parts: readonly EndSpec[] = isAny ? spec.any : [spec];
  const selectors: Selector[] = [];
  const ipLists = new Set<string>();
  let anyone = false;
  parts.forEach((part, index) => {
    const at = isAny ? [...path, 'any', index] : path;
    if (part === 'anyone') anyone = true;
    else if (typeof part === 'object' && 'ipList' in part) {
      if (!names.ipLists.has(part.ipList)) {
        report([...at, 'ipList'], 'RF_POLICY_UNKNOWN', `a declared IP list (${someOf(names.ipLists)})`);
      }
      ipLists.add(part.ipList);
    } else selectors.push(resolveSelector(part as SelectorSpec, names, report, at));
  });
  const selector = selectors.length > 1 ? ({ kind: 'any', of: selectors } as const) : selectors[0];
  return { anyone, selector, ipLists: [...ipLists].sort() };
}

/** True when the dimension exists; reports otherwise. */
export function checkDimension(dimension: string, names: Names, report: Report, path: Path): boolean {
  if (names.dimensions.has(dimension)) return true;
  report(path, 'RF_POLICY_UNKNOWN', `a declared dimension (${someOf(names.dimensions.keys())})`);
  return false;
}

/** True when the dimension permits the value; reports otherwise. */
export function checkValue(dimension: string, value: string, names: Names, report: Report, path: Path): boolean {
  const permitted = names.dimensions.get(dimension);
  if (permitted === undefined || permitted.has(value)) return true;
  report(path, 'RF_POLICY_VALUE', `a value that dimension ${dimension} permits (${someOf(permitted)})`);
  return false;
}

function resolveCondition(spec: LabelCondition, names: Names, report: Report, path: Path): Selector {
  const dimension = spec.label;
  const known = checkDimension(dimension, names, report, [...path, 'label']);
  if (spec.exists !== undefined) {
    const exists: Selector = { kind: 'exists', dimension };
    return spec.exists ? exists : { kind: 'not', of: exists };
  }
  if (spec.group !== undefined) {
    const group = names.groups.get(spec.group);
    if (group === undefined) {
      report([...path, 'group'], 'RF_POLICY_UNKNOWN', `a declared label group (${someOf(names.groups.keys())})`);
    } else if (group.dimension !== dimension) {
      report(
        [...path, 'group'],
        'RF_POLICY_UNKNOWN',
        `a label group of dimension ${dimension}, not of ${group.dimension}`,
      );
    }
    return { kind: 'label', dimension, values: group?.values ?? [] };
  }
  const values = spec.in ?? (spec.is === undefined ? [] : [spec.is]);
  values.forEach((value, index) => {
    const at = spec.in === undefined ? [...path, 'is'] : [...path, 'in', index];
    if (known) checkValue(dimension, value, names, report, at);
  });
  return { kind: 'label', dimension, values: [...new Set(values)].sort() };
}
