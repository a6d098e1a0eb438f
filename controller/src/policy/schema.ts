// The shape of a policy file, section by section. One item is checked at a time, so that one bad rule hides no other error.
// json-schema.ts publishes the same shape as docs/policy.schema.json.
import { z } from 'zod';
import { checkEndShape, checkSelectorShape, type ShapeReport } from './end-shape.js';
import {
  ACCOUNT_PATTERN,
  ACCOUNT_WANTED,
  ID_PATTERN,
  ID_WANTED,
  NAME_PATTERN,
  NAME_WANTED,
  VALUE_PATTERN,
  VALUE_WANTED,
} from './names.js';

/** What a custom issue carries beside its message. */
export interface ShapeParams {
  readonly code: string;
  readonly wanted: string;
}

const matching = (pattern: RegExp, wanted: string) => z.string().regex(pattern, { error: () => wanted });
const name = matching(NAME_PATTERN, NAME_WANTED).describe(NAME_WANTED);
const id = matching(ID_PATTERN, ID_WANTED).describe(ID_WANTED);
const value = matching(VALUE_PATTERN, VALUE_WANTED).describe(VALUE_WANTED);
const account = matching(ACCOUNT_PATTERN, ACCOUNT_WANTED).describe(ACCOUNT_WANTED);
const priority = z.int().min(-1000).max(1000).optional();
const note = z.string().optional();
const listOf = <T extends z.ZodType>(item: T) => z.array(item).min(1);
/** One text, or a list of at least one; read as a list. */
const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.preprocess((given) => (typeof given === 'string' ? [given] : given), listOf(item)).meta({ oneOrMore: true });
const shaped = (kind: 'selector' | 'end', check: (value: unknown, report: ShapeReport) => void) =>
  z
    .unknown()
    .superRefine((given, context) => {
      check(given, (path, code, wanted) => {
        context.addIssue({
          code: 'custom',
          path: [...path],
          message: wanted,
          params: { code, wanted } satisfies ShapeParams,
        });
      });
    })
    .meta({ shaped: kind });
const selector = shaped('selector', checkSelectorShape);
const end = shaped('end', checkEndShape);
const direction = z.enum(['inbound', 'outbound', 'both']).optional();
const labels = z.record(name, value);

/** One rule, on its own or inside a rule set. */
export const RULE_SCHEMA = z.strictObject({
  id,
  name: z.string().optional(),
  action: z.enum(['allow', 'deny']).optional(),
  service: oneOrMore(z.string()),
  providedBy: end,
  usedBy: end,
  direction,
  same: oneOrMore(name).optional(),
  differs: oneOrMore(name).optional(),
  constraints: oneOrMore(z.enum(['encrypted', 'authenticated'])).optional(),
  note,
  owner: z.string().optional(),
  enabled: z.boolean().optional(),
  expires: z.string().optional(),
});

const testEnd = z
  .unknown()
  .superRefine((given, context) => {
    const forms = z.union([
      z.strictObject({ labels }),
      z.strictObject({ workload: id }),
      z.strictObject({ address: z.string() }),
    ]);
    if (forms.safeParse(given).success) return;
    const wanted = 'one of {labels: {…}}, {workload: ID}, {address: IP}';
    context.addIssue({
      code: 'custom',
      message: wanted,
      params: { code: 'RF_POLICY_SHAPE', wanted } satisfies ShapeParams,
    });
  })
  .meta({ shaped: 'testEnd' });

/** One item of each section. */
export const SECTION_SCHEMAS = {
  dimensions: z.strictObject({ name, values: listOf(value).optional(), note }),
  labelGroups: z.strictObject({
    name,
    dimension: name,
    values: listOf(value).optional(),
    groups: listOf(name).optional(),
    note,
  }),
  ipLists: z.strictObject({ name, include: listOf(z.string()), exclude: listOf(z.string()).optional(), note }),
  services: z.strictObject({ name, ports: oneOrMore(z.string()), note }),
  ruleSets: z.strictObject({
    id,
    name: z.string().optional(),
    scope: oneOrMore(z.string()).optional(),
    note,
    owner: z.string().optional(),
    enabled: z.boolean().optional(),
    // Each is checked on its own with RULE_SCHEMA.
    rules: listOf(z.unknown()).meta({ shaped: 'rules' }),
  }),
  rules: RULE_SCHEMA,
  modes: z.strictObject({
    id,
    match: selector,
    direction,
    mode: z.enum(['visibility', 'test', 'enforce']),
    priority,
    note,
  }),
  userGroups: z.strictObject({
    id,
    value,
    users: oneOrMore(account).optional(),
    groups: oneOrMore(account).optional(),
    priority,
    note,
  }),
  tests: z.strictObject({
    name: z.string().min(1),
    from: testEnd,
    to: testEnd,
    service: z.string(),
    expect: z.enum(['allowed', 'blocked']),
  }),
} as const;

export type Section = keyof typeof SECTION_SCHEMAS;
export const SECTIONS = Object.keys(SECTION_SCHEMAS) as readonly Section[];
