// Labels as one types them, as a selector of the API: words separated by blanks, all of which must hold.
//
//   role=web  env!=prod  loc=*  loc!=*
//
// label=* : has some value; label!=* : has none. "app=a b" or app="a b": a value with blanks. Several wanted values of one dimension: one of them.
import { LabelRequirement_Operator as Operator } from '../gen/ringfence/v1/admin_common_pb.js';

const LABEL = /^([A-Za-z0-9][\w./-]*)(!?=)(.+)$/;

export interface Requirement {
  readonly dimension: string;
  readonly operator: Operator;
  readonly values: string[];
}

/** The requirements of a text, and its words that are none. */
export function readSelector(text: string): { requirements: Requirement[]; others: string[] } {
  const requirements: Requirement[] = [];
  const others: string[] = [];
  for (const word of splitWords(text)) {
    const [, dimension, sign, value] = LABEL.exec(word) ?? [];
    if (dimension === undefined || value === undefined) others.push(word);
    else add(requirements, dimension, sign === '!=', value);
  }
  return { requirements, others };
}

/** Words separated by blanks; quotes hold blanks together and are left out. One that is not closed yet holds to the end. */
export function splitWords(text: string): string[] {
  const words = text.match(/(?:"[^"]*"?|[^\s"])+/g) ?? [];
  return words.map((word) => word.replaceAll('"', '')).filter((word) => word !== '');
}

function add(all: Requirement[], dimension: string, not: boolean, value: string): void {
  if (value === '*') {
    all.push({ dimension, operator: not ? Operator.NOT_EXISTS : Operator.EXISTS, values: [] });
    return;
  }
  const operator = not ? Operator.NOT_IN : Operator.IN;
  const known = all.find((each) => each.dimension === dimension && each.operator === operator);
  if (known === undefined) all.push({ dimension, operator, values: [value] });
  else known.values.push(value);
}
