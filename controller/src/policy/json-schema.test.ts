import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { policyJsonSchema } from './json-schema.js';

const published = new URL('../../../docs/policy.schema.json', import.meta.url);
const bad = new URL('./fixtures/bad/', import.meta.url);
const read = (url: URL) => readFileSync(url, 'utf8');

describe('docs/policy.schema.json', () => {
  const schema = z.fromJSONSchema(JSON.parse(read(published)));

  it('is what the sources generate (else: make gen)', () => {
    expect(JSON.parse(read(published))).toEqual(JSON.parse(JSON.stringify(policyJsonSchema())));
  });

  it('accepts a file with every kind of object', () => {
    const text = read(new URL('./fixtures/good/everything.yaml', import.meta.url));
    expect(schema.safeParse(parse(text)).error).toBeUndefined();
  });

  // What needs no second object must already be refused while typing: every fixture with a wrong shape.
  const shapes = readdirSync(bad).filter((file) => /^# RF_POLICY_SHAPE/.test(read(new URL(file, bad))));
  it.each(shapes)('refuses the shape of %s', (file) => {
    expect(schema.safeParse(parse(read(new URL(file, bad)))).success).toBe(false);
  });
});
