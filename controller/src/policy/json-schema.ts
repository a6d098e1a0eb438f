// The published JSON Schema of a policy file, made from the same zod schemas that read it. Editors check with it while people
// type; what needs more than one object (unknown names, cycles) only the controller checks.
import { z } from 'zod';
import { ACCOUNT_PATTERN, ID_PATTERN, NAME_PATTERN, VALUE_PATTERN } from './names.js';
import { RULE_SCHEMA, SECTION_SCHEMAS, SECTIONS } from './schema.js';

type Json = Record<string, unknown>;

const ref = (name: string) => ({ $ref: `#/$defs/${name}` });
/** Without property escapes, which validators that compile patterns without the u flag misread. */
const PORTABLE = {
  [VALUE_PATTERN.source]: '^[^\\u0000-\\u001f\\u007f-\\u009f]{0,253}$',
  [ACCOUNT_PATTERN.source]: '^[^\\u0000-\\u001f\\u007f-\\u009f:,]{1,256}$',
};
const portable = (pattern: string) => PORTABLE[pattern] ?? pattern;
const text = (pattern: RegExp) => ({ type: 'string', pattern: portable(pattern.source) });
const only = (properties: Json, required = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const oneOrMore = (items: Json) => ({ type: 'array', items, minItems: 1 });

/** Selectors, ends and test ends, which end-shape.ts checks by hand. */
const DEFINITIONS: Json = {
  selector: {
    description: 'Known workloads by label. Text form: dimension=value, or workloads for every one of them.',
    anyOf: [
      { type: 'string', pattern: '^(workloads|[A-Za-z0-9][A-Za-z0-9._/-]{0,199}=.+)$' },
      only({ label: text(NAME_PATTERN), is: text(VALUE_PATTERN) }),
      only({ label: text(NAME_PATTERN), in: oneOrMore(text(VALUE_PATTERN)) }),
      only({ label: text(NAME_PATTERN), group: text(NAME_PATTERN) }),
      only({ label: text(NAME_PATTERN), exists: { type: 'boolean' } }),
      only({ workload: text(ID_PATTERN) }),
      only({ all: oneOrMore(ref('selector')) }),
      only({ any: oneOrMore(ref('selector')) }),
      only({ not: ref('selector') }),
    ],
  },
  alternative: { anyOf: [{ const: 'anyone' }, only({ ipList: text(NAME_PATTERN) })] },
  end: {
    description: 'One end of a rule: anyone, an IP list, a selector, or any of these.',
    anyOf: [
      ref('alternative'),
      only({ any: oneOrMore({ anyOf: [ref('alternative'), ref('selector')] }) }),
      ref('selector'),
    ],
  },
  testEnd: {
    anyOf: [
      only({ labels: { type: 'object', additionalProperties: text(VALUE_PATTERN) } }),
      only({ workload: text(ID_PATTERN) }),
      only({ address: { type: 'string' } }),
    ],
  },
};

/** The schema, as docs/policy.schema.json holds it. */
export function policyJsonSchema(): Json {
  const properties = Object.fromEntries(
    SECTIONS.map((section) => [section, { type: 'array', items: convert(SECTION_SCHEMAS[section]) }]),
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Ringfence policy file',
    type: 'object',
    properties,
    additionalProperties: false,
    $defs: { ...DEFINITIONS, rule: convert(RULE_SCHEMA) },
  };
}

function convert(schema: z.ZodType): Json {
  const { $schema: _draft, ...converted } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override({ jsonSchema }) {
      const { shaped, oneOrMore: several } = jsonSchema as { shaped?: string; oneOrMore?: boolean };
      const json = jsonSchema as Json;
      delete json.shaped;
      delete json.oneOrMore;
      if (typeof json.pattern === 'string') json.pattern = portable(json.pattern);
      if (shaped === 'rules') json.items = ref('rule');
      else if (shaped !== undefined) Object.assign(json, ref(shaped));
      if (several) {
        const { type, items, minItems, ...rest } = json;
        for (const key of Object.keys(json)) delete json[key];
        Object.assign(json, rest, {
          anyOf: [
            items ?? { type: 'string' },
            { type: type ?? 'array', items: items ?? { type: 'string' }, minItems: minItems ?? 1 },
          ],
        });
      }
    },
  }) as Json;
  return converted;
}
