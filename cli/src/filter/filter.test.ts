import { LabelRequirement_Operator as Operator } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { describe, expect, test } from 'vitest';
import { directions, modes, verdicts } from '../commands/flows.js';
import { CliError } from '../errors.js';
import { directionWords, modeWords, reasonWords, verdictWords } from '../views/words.js';
import { checkAddresses, parseSpaceAddress } from './address.js';
import { flowFilter } from './flow.js';
import { parsePorts, parseProtocols, parseService, parseWhole } from './numbers.js';
import { parseLabelChanges, parseSelector } from './selector.js';
import { parseDuration, parseTime } from './time.js';
import { parseWords } from './words.js';

const now = Date.parse('2026-03-01T12:00:00Z');

/** The failure of a call that must fail as a usage error. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof CliError && error.exit === 2) return error.message;
    throw error;
  }
  throw new Error('accepted, wanted a usage error');
}

describe('parseSelector', () => {
  test('reads every operator; comma and repetition both mean all of them', () => {
    expect(parseSelector(['role=web|api, env!=prod', 'app', '!loc'], '-l')?.requirements).toEqual([
      { dimension: 'role', operator: Operator.OPERATOR_IN, values: ['web', 'api'] },
      { dimension: 'env', operator: Operator.OPERATOR_NOT_IN, values: ['prod'] },
      { dimension: 'app', operator: Operator.OPERATOR_EXISTS, values: [] },
      { dimension: 'loc', operator: Operator.OPERATOR_NOT_EXISTS, values: [] },
    ]);
    expect(parseSelector([], '-l')).toBeUndefined();
  });

  test('keeps "=" inside values', () => {
    expect(parseSelector(['k=a=b'], '-l')?.requirements[0]?.values).toEqual(['a=b']);
  });

  test.each(['', 'role=', '=web', 'role=a||b', 'role=web,', '!', '!!a', 'ro le', '!role=web'])('refuses %j', (text) => {
    expect(refusal(() => parseSelector([text], '--label'))).toContain('Cannot read label selector');
  });
});

test('parseLabelChanges tells setting from removing and refuses a dimension that comes twice', () => {
  const { set, remove } = parseLabelChanges(['env=prod', 'role-', 'k=a-'], 'x');
  expect(set).toEqual([
    { dimension: 'env', value: 'prod' },
    { dimension: 'k', value: 'a-' },
  ]);
  expect(remove).toEqual(['role']);
  expect(refusal(() => parseLabelChanges(['role=a', 'role-'], 'x'))).toContain('role more than once');
  for (const text of ['role', '=x', 'role=', '-'])
    expect(refusal(() => parseLabelChanges([text], 'x'))).toContain('Cannot read label');
});

describe('numbers', () => {
  test('parsePorts reads ports and ranges between commas', () => {
    expect(parsePorts(['443,8000-8080', ' 0 '], '-p')).toEqual([
      { low: 443, high: 443 },
      { low: 8000, high: 8080 },
      { low: 0, high: 0 },
    ]);
    for (const text of ['', '70000', '10-5', '1-70000', 'http', '-1', '1-2-3', '443,']) {
      expect(refusal(() => parsePorts([text], '--port'))).toContain('--port');
    }
  });

  test('parseProtocols reads names and numbers', () => {
    expect(parseProtocols(['tcp,UDP', '47', '0', '255'], '--protocol')).toEqual([6, 17, 47, 0, 255]);
    for (const text of ['256', 'http', '-1', ''])
      expect(refusal(() => parseProtocols([text], '--protocol'))).toContain('tcp');
  });

  test.each([
    ['tcp/443', 6, 443],
    ['443/tcp', 6, 443],
    ['UDP/53', 17, 53],
    ['6/443', 6, 443],
    ['icmp/8', 1, 2048],
    ['icmp/3:4', 1, 772],
    ['icmpv6/128:0', 58, 32_768],
    ['8/icmp', 1, 2048],
    ['gre', 47, 0],
    ['protocol/47', 47, 0],
    ['protocol/gre', 47, 0],
    ['sctp/0', 132, 0],
    ['tcp/65535', 6, 65_535],
  ])('parseService(%s) is protocol %i, port %i', (text, protocol, port) => {
    expect(parseService(text)).toEqual({ protocol, port });
  });

  test.each([
    '',
    'tcp',
    'tcp/',
    'tcp/70000',
    'tcp/http',
    '443',
    'tcp/1/2',
    'icmp',
    'icmp/256',
    'icmp/8:256',
    'icmp/x',
    'gre/1',
    'protocol/6',
    'protocol',
    'protocol/999',
    '/443',
  ])('parseService refuses %j', (text) => {
    expect(refusal(() => parseService(text))).toContain('Cannot read the service');
  });

  test('parseWhole keeps its bounds', () => {
    expect(parseWhole('5', '-n', 1, 5)).toBe(5);
    for (const text of ['0', '6', '1.5', '', '1e3', '-1', ' 1'])
      expect(refusal(() => parseWhole(text, '-n', 1, 5))).toContain('from 1 to 5');
  });
});

describe('times', () => {
  test.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
  ])('parseDuration(%s) is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test('parseTime reads how long ago, instants, local dates and clock times', () => {
    expect(parseTime('15m', '--since', now)).toBe(BigInt(now - 900_000) * 1000n);
    expect(parseTime('now', '--since', now)).toBe(BigInt(now) * 1000n);
    expect(parseTime('2026-03-01T08:30Z', '--since', now)).toBe(BigInt(Date.parse('2026-03-01T08:30:00Z')) * 1000n);
    expect(parseTime('2026-03-01T08:30:00.5+02:00', '--since', now)).toBe(
      BigInt(Date.parse('2026-03-01T06:30:00.500Z')) * 1000n,
    );
    expect(parseTime('2026-03-01', '--since', now)).toBe(BigInt(new Date(2026, 2, 1).getTime()) * 1000n);
    expect(parseTime('08:30', '--since', now)).toBe(BigInt(new Date(now).setHours(8, 30, 0, 0)) * 1000n);
  });

  test.each(['', 'yesterday', '15', '2026-13-01', '2026-03-01T25:00Z', '24:00', '5x', '-5m'])(
    'parseTime refuses %j',
    (text) => {
      expect(refusal(() => parseTime(text, '--since', now))).toContain('--since');
    },
  );
});

test('addresses are checked before they are sent', () => {
  expect(checkAddresses(['10.0.0.0/8, 2001:db8::1'], '--address')).toEqual(['10.0.0.0/8', '2001:db8::1']);
  for (const text of ['10.0.0', '10.0.0.0/33', '10.0.0.1/8', 'web'])
    expect(refusal(() => checkAddresses([text], '--address'))).toContain('--address');
  expect(parseSpaceAddress('10.0.0.1@vpc-1', '-a')).toEqual({ ip: Buffer.from([10, 0, 0, 1]), space: 'vpc-1' });
  expect(refusal(() => parseSpaceAddress('host', '-a'))).toContain('-a');
});

test('parseWords lists the words when one is unknown, and never takes "unspecified"', () => {
  expect(parseWords(['would-block,BLOCKED', 'would_block'], verdictWords, '--verdict')).toEqual([3, 2, 3]);
  expect(refusal(() => parseWords(['dropped'], verdictWords, '--verdict'))).toContain('allowed, blocked, would-block');
  expect(refusal(() => parseWords(['unspecified'], reasonWords, '--reason'))).toContain('implicit-deny');
});

test('the words in help are those of the generated enums', () => {
  expect([verdicts, modes, directions]).toEqual([verdictWords.all, modeWords.all, directionWords.all]);
});

describe('flowFilter', () => {
  test('is empty without options', () => {
    const filter = flowFilter({}, now);
    expect([filter.either, filter.source, filter.destination]).toEqual([undefined, undefined, undefined]);
    expect([filter.sinceUs, filter.untilUs, filter.verdicts]).toEqual([0n, 0n, []]);
  });

  test('puts every option where it belongs', () => {
    const filter = flowFilter(
      {
        label: ['role=web'],
        srcWorkload: ['client'],
        srcPort: ['1024-65535'],
        dstAddress: ['10.0.0.0/8'],
        dstHost: ['b'],
        port: ['443'],
        protocol: ['tcp'],
        denied: true,
        verdict: ['blocked'],
        reason: ['implicit-deny'],
        process: ['curl,wget'],
        rule: ['none', 'web-to-db'],
        mode: ['test'],
        direction: ['inbound'],
        kind: ['deny'],
        reporter: ['a'],
        since: '1h',
      },
      now,
    );
    expect(filter.either?.selector?.requirements).toHaveLength(1);
    expect(filter.source).toMatchObject({ workloads: ['client'], ports: [{ low: 1024, high: 65_535 }] });
    expect(filter.destination).toMatchObject({ addresses: ['10.0.0.0/8'], hosts: ['b'] });
    expect(filter).toMatchObject({
      ports: [{ low: 443, high: 443 }],
      protocols: [6],
      verdicts: [2, 3],
      reasons: [3],
      processes: ['curl', 'wget'],
      rules: ['0', 'web-to-db'],
      modes: [1],
      directions: [1],
      kinds: [5],
      reporters: ['a'],
      sinceUs: BigInt(now - 3_600_000) * 1000n,
    });
  });

  test('refuses a time range that ends before it begins', () => {
    expect(refusal(() => flowFilter({ since: '5m', until: '10m' }, now))).toContain('time range');
  });

  test('a time before 1970 and an empty name are refused, not taken for "any"', () => {
    for (const text of ['99999999999d', '60000d', '1960-01-01'])
      expect(refusal(() => flowFilter({ until: text }, now))).toContain('--until');
    for (const options of [
      { workload: [''] },
      { srcHost: ['a,,b'] },
      { process: [' '] },
      { rule: [''] },
      { reporter: [''] },
    ])
      expect(refusal(() => flowFilter(options, now))).toContain('empty name');
  });
});
