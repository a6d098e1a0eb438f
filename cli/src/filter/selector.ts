import {
  type LabelRequirement,
  type LabelSelector,
  LabelRequirement_Operator as Operator,
} from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import type { Label } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type CliError, usageError } from '../errors.js';
import { selectorSyntax } from './selector-syntax.js';

const dimensionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Requirements of selector texts; several texts must all hold. Undefined when there is none. Throws a usage error. */
export function parseSelector(texts: readonly string[], option: string): LabelSelector | undefined {
  const parts = texts.flatMap((text) => text.split(',').map((part) => part.trim()));
  return parts.length === 0 ? undefined : { requirements: parts.map((part) => requirement(part, option)) };
}

function requirement(part: string, option: string): LabelRequirement {
  const compared = /^([^!=]+)(!?=)(.*)$/.exec(part);
  if (compared !== null) {
    const [, dimension = '', operator, list = ''] = compared;
    const values = list.split('|').map((value) => value.trim());
    if (values.includes('')) throw wrong(part, option);
    return {
      dimension: checked(dimension.trim(), part, option),
      operator: operator === '=' ? Operator.OPERATOR_IN : Operator.OPERATOR_NOT_IN,
      values,
    };
  }
  const absent = part.startsWith('!');
  return {
    dimension: checked(absent ? part.slice(1).trim() : part, part, option),
    operator: absent ? Operator.OPERATOR_NOT_EXISTS : Operator.OPERATOR_EXISTS,
    values: [],
  };
}

function checked(dimension: string, part: string, option: string): string {
  if (!dimensionPattern.test(dimension)) throw wrong(part, option);
  return dimension;
}

function wrong(part: string, option: string): CliError {
  return usageError('Cannot read label selector', `found ${JSON.stringify(part)}`, selectorSyntax, { where: option });
}

/** A label "dimension=value". Throws a usage error. */
export function parseLabel(text: string, where: string): Label {
  const at = text.indexOf('=');
  const dimension = text.slice(0, at).trim();
  const value = text.slice(at + 1).trim();
  if (at < 1 || value === '' || !dimensionPattern.test(dimension)) {
    throw usageError('Cannot read label', `found ${JSON.stringify(text)}`, 'dimension=value, for example role=web', {
      where,
    });
  }
  return { dimension, value };
}

/** Label changes as written: "role=web" sets, "role-" removes. Throws a usage error, also when one dimension comes twice. */
export function parseLabelChanges(texts: readonly string[], where: string): { set: Label[]; remove: string[] } {
  const set: Label[] = [];
  const remove: string[] = [];
  const seen = new Set<string>();
  for (const text of texts) {
    const removal = /^([^=]+)-$/.exec(text);
    const label = removal === null ? parseLabel(text, where) : undefined;
    const dimension = label?.dimension ?? removal?.[1] ?? '';
    if (!dimensionPattern.test(dimension) || seen.has(dimension)) {
      const found = seen.has(dimension) ? `${dimension} more than once` : JSON.stringify(text);
      throw usageError(
        'Cannot read label changes',
        `found ${found}`,
        'each dimension once: role=web sets, role- removes',
        { where },
      );
    }
    seen.add(dimension);
    if (label === undefined) remove.push(dimension);
    else set.push(label);
  }
  return { set, remove };
}
