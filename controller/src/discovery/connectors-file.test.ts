import { expect, test } from 'vitest';
import { readConnectors } from './connectors-file.js';

test('a file gives its connectors with defaults', () => {
  const { connectors } = readConnectors(
    'c.yaml',
    'connectors:\n  - ec2: { name: prod, region: eu-central-1, labels: { role: Role } }\n',
  );
  expect(connectors?.[0]?.ec2).toMatchObject({
    name: 'prod',
    intervalSeconds: 60,
    unmanaged: true,
    labels: { role: 'Role' },
  });
});

test('every problem is told with its place; credentials are no key of it', () => {
  const { problems } = readConnectors(
    'c.yaml',
    'connectors:\n  - ec2: { name: Prod, region: nowhere }\n  - ec2: { name: a, region: us-east-1, secretAccessKey: x }\n',
  );
  expect(problems.map((each) => each.slice(0, 30))).toHaveLength(3);
  expect(problems.join('\n')).toMatch(
    /c\.yaml:2:\d+ RF_CONNECTORS_SHAPE .*name.*\n.*c?\.yaml:2:\d+ .*region.*\n.*c\.yaml:3:\d+ .*secretAccessKey/s,
  );
});

test('a name is used once', () => {
  const twice = 'connectors: [{ ec2: { name: a, region: us-east-1 } }, { ec2: { name: a, region: us-east-2 } }]';
  expect(readConnectors('c.yaml', twice).problems.join()).toMatch(/Cannot use connector a: found it twice/);
});
