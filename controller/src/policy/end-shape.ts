// The shape of selectors and rule ends as written: exactly one form each, lists never empty, any/all/not stated. Whether the
// names exist is resolve-end.ts's question. Hand-written since a union's error says nothing a person can act on.
// Every check returns true when the shape is right, and reports what is not.
import { ID_PATTERN, ID_WANTED, NAME_PATTERN, NAME_WANTED, VALUE_PATTERN, VALUE_WANTED } from './names.js';

export type Path = readonly (string | number)[];

/** Receives each thing that is wrong: where (below the value checked), a code, what was wanted. */
export type ShapeReport = (path: Path, code: string, wanted: string) => void;

export const SELECTOR_WANTED =
  'dimension=value, workloads, or one of {label: …}, {workload: …}, {all: […]}, {any: […]}, {not: …}';
export const END_WANTED = `anyone, {ipList: …}, or a selector (${SELECTOR_WANTED})`;

/** Checks a selector's shape. */
export function checkSelectorShape(value: unknown, report: ShapeReport, path: Path = []): boolean {
  if (typeof value === 'string') return checkText(value, report, path);
  if (!isRecord(value)) return refuse(report, path, 'RF_POLICY_SHAPE', SELECTOR_WANTED);
  const keys = Object.keys(value);
  if (keys.includes('label')) return checkCondition(value, report, path);
  const key = keys[0];
  if (keys.length !== 1 || key === undefined) return refuse(report, path, 'RF_POLICY_SHAPE', SELECTOR_WANTED);
  const at = [...path, key];
  if (key === 'all' || key === 'any') {
    return checkList(value[key], report, at, (item, where) => checkSelectorShape(item, report, where));
  }
  if (key === 'not') return checkSelectorShape(value[key], report, at);
  if (key === 'workload') return checkPattern(value[key], ID_PATTERN, ID_WANTED, report, at);
  return refuse(report, path, key === 'ipList' ? 'RF_POLICY_END' : 'RF_POLICY_SHAPE', SELECTOR_WANTED);
}

/** Checks the shape of a rule's end: anyone and IP lists stand alone or directly inside one any. */
export function checkEndShape(value: unknown, report: ShapeReport, path: Path = []): boolean {
  if (isAlternative(value)) return checkAlternative(value, report, path);
  if (isRecord(value) && Object.keys(value).length === 1 && 'any' in value) {
    return checkList(value.any, report, [...path, 'any'], (item, at) =>
      isAlternative(item) ? checkAlternative(item, report, at) : checkSelectorShape(item, report, at),
    );
  }
  if (value === undefined || value === null) return refuse(report, path, 'RF_POLICY_SHAPE', END_WANTED);
  return checkSelectorShape(value, report, path);
}

function isAlternative(value: unknown): boolean {
  return value === 'anyone' || (isRecord(value) && 'ipList' in value);
}

function checkAlternative(value: unknown, report: ShapeReport, path: Path): boolean {
  if (!isRecord(value)) return true;
  if (Object.keys(value).length !== 1) return refuse(report, path, 'RF_POLICY_SHAPE', '{ipList: NAME} alone');
  return checkPattern(value.ipList, NAME_PATTERN, NAME_WANTED, report, [...path, 'ipList']);
}

function checkText(text: string, report: ShapeReport, path: Path): boolean {
  if (text === 'workloads') return true;
  const equals = text.indexOf('=');
  const [dimension, label] = [text.slice(0, equals), text.slice(equals + 1)];
  if (text === 'anyone') {
    return refuse(report, path, 'RF_POLICY_END', 'a selector of known workloads; every one of them is `workloads`');
  }
  if (equals < 0) return refuse(report, path, 'RF_POLICY_SHAPE', 'dimension=value or workloads');
  if (!NAME_PATTERN.test(dimension)) {
    return refuse(report, path, 'RF_POLICY_NAME', `a dimension before the =: ${NAME_WANTED}`);
  }
  if (label === '') return refuse(report, path, 'RF_POLICY_EMPTY', 'a value after the =');
  return VALUE_PATTERN.test(label) || refuse(report, path, 'RF_POLICY_VALUE', VALUE_WANTED);
}

function checkCondition(value: Record<string, unknown>, report: ShapeReport, path: Path): boolean {
  const named = checkPattern(value.label, NAME_PATTERN, NAME_WANTED, report, [...path, 'label']);
  const wanted = 'label with exactly one of is, in, group, exists';
  const others = Object.keys(value).filter((key) => key !== 'label');
  const unknown = others.find((key) => !['is', 'in', 'group', 'exists'].includes(key));
  if (unknown !== undefined) return refuse(report, path, 'RF_POLICY_SHAPE', wanted);
  const key = others[0];
  if (others.length !== 1 || key === undefined) return refuse(report, path, 'RF_POLICY_SHAPE', wanted);
  return checkOperand(key, value[key], report, [...path, key]) && named;
}

function checkOperand(key: string, operand: unknown, report: ShapeReport, path: Path): boolean {
  if (key === 'is') return checkPattern(operand, VALUE_PATTERN, VALUE_WANTED, report, path);
  if (key === 'group') return checkPattern(operand, NAME_PATTERN, NAME_WANTED, report, path);
  if (key === 'exists') {
    return typeof operand === 'boolean' || refuse(report, path, 'RF_POLICY_SHAPE', 'true or false');
  }
  return checkList(operand, report, path, (item, at) => checkPattern(item, VALUE_PATTERN, VALUE_WANTED, report, at));
}

function checkList(
  value: unknown,
  report: ShapeReport,
  path: Path,
  each: (item: unknown, path: Path) => boolean,
): boolean {
  if (!Array.isArray(value)) return refuse(report, path, 'RF_POLICY_SHAPE', 'a list');
  if (value.length === 0) {
    return refuse(report, path, 'RF_POLICY_EMPTY', 'at least one entry: an empty list never means everything');
  }
  return value.map((item, index) => each(item, [...path, index])).every(Boolean);
}

function checkPattern(value: unknown, pattern: RegExp, wanted: string, report: ShapeReport, path: Path): boolean {
  if (typeof value !== 'string') return refuse(report, path, 'RF_POLICY_SHAPE', `text (quote it): ${wanted}`);
  return pattern.test(value) || refuse(report, path, 'RF_POLICY_NAME', wanted);
}

function refuse(report: ShapeReport, path: Path, code: string, wanted: string): false {
  report(path, code, wanted);
  return false;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
