import { expect, test } from 'vitest';
import { sampleFlow } from '../testing/samples.js';
import { flowJson } from '../views/flow.js';
import { fieldNames, fieldsLine, parseFields, pickFields } from './fields.js';

test('every name gives what JSON output has under it', () => {
  const flow = sampleFlow();
  const json = flowJson(flow) as Record<string, Record<string, unknown>>;
  expect(fieldNames().length).toBeGreaterThan(30);
  for (const name of fieldNames()) {
    const [first = '', second] = name.split('.');
    const wanted = second === undefined ? { [first]: json[first] } : { [first]: { [second]: json[first]?.[second] } };
    expect(pickFields(flow, parseFields([name])), name).toEqual(wanted);
  }
});

test('fields come in the order in which they are asked for, ends together, and in one line between tabs', () => {
  const flow = sampleFlow();
  const paths = parseFields(['verdict,source.workload', 'destination.address', 'source.port']);
  const json = flowJson(flow) as { source: { workload: string; port: number }; destination: { address: string } };
  expect(Object.keys(pickFields(flow, paths))).toEqual(['verdict', 'source', 'destination']);
  expect(pickFields(flow, paths)).toMatchObject({ source: { workload: json.source.workload, port: json.source.port } });
  expect(fieldsLine(flow, paths).split('\t')).toHaveLength(4);
  expect(fieldsLine(flow, paths)).toContain(json.destination.address);
});

test('a name that flows do not have is refused with those that they have', () => {
  expect(() => parseFields(['verdict', 'colour'])).toThrow(expect.objectContaining({ code: 'RF_CLI_FIELD' }));
  expect(() => parseFields(['source'])).toThrow(expect.objectContaining({ code: 'RF_CLI_FIELD' }));
});
