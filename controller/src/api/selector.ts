// Label selectors of the API as predicates.
import {
  type LabelSelector,
  LabelRequirement_Operator as Operator,
} from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { invalid } from './errors.js';

export type LabelPredicate = (labels: Readonly<Record<string, string>>) => boolean;

const REQUIREMENTS_MAX = 64;
const VALUES_MAX = 256;

/** What a selector selects; undefined selects everything. Throws ApiError RF_SELECTOR. */
export function labelPredicate(selector: LabelSelector | undefined): LabelPredicate {
  const requirements = selector?.requirements ?? [];
  if (requirements.length > REQUIREMENTS_MAX)
    throw bad(`${requirements.length} requirements`, `at most ${REQUIREMENTS_MAX}`);
  const parts = requirements.map(({ dimension, operator, values }): LabelPredicate => {
    if (dimension === '') throw bad('a requirement without a dimension', 'one');
    if (values.length > VALUES_MAX) throw bad(`${values.length} values of ${dimension}`, `at most ${VALUES_MAX}`);
    const listed = operator === Operator.OPERATOR_IN || operator === Operator.OPERATOR_NOT_IN;
    if (listed && values.length === 0) throw bad(`no value of ${dimension}`, 'at least one');
    if (!listed && values.length > 0) throw bad(`${values.length} values of ${dimension} with exists`, 'none');
    const wanted = new Set(values);
    switch (operator) {
      case Operator.OPERATOR_IN:
        return (labels) => wanted.has(labels[dimension] ?? '');
      case Operator.OPERATOR_NOT_IN:
        return (labels) => !wanted.has(labels[dimension] ?? '');
      case Operator.OPERATOR_EXISTS:
        return (labels) => labels[dimension] !== undefined;
      case Operator.OPERATOR_NOT_EXISTS:
        return (labels) => labels[dimension] === undefined;
      default:
        throw bad(`operator ${operator} on ${dimension}`, 'in, not in, exists or not exists');
    }
  });
  return (labels) => parts.every((part) => part(labels));
}

function bad(found: string, wanted: string): Error {
  return invalid('RF_SELECTOR', `Cannot read selector: found ${found}, wanted ${wanted}`);
}
