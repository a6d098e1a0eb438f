import { expect, test } from 'vitest';
import { LabelRequirement_Operator as Operator } from '../../gen/ringfence/v1/admin_common_pb.js';
import { WorkloadKind } from '../../gen/ringfence/v1/common_pb.js';
import { filterOf } from './filter.js';

const read = (query: string) => filterOf(new URLSearchParams(query));

test('labels become requirements, several values of one dimension one of them', () => {
  const q = encodeURIComponent('role=web role=api env!=prod loc=* app!=*');
  expect(read(`q=${q}`).selector).toEqual({
    requirements: [
      { dimension: 'role', operator: Operator.IN, values: ['web', 'api'] },
      { dimension: 'env', operator: Operator.NOT_IN, values: ['prod'] },
      { dimension: 'loc', operator: Operator.EXISTS, values: [] },
      { dimension: 'app', operator: Operator.NOT_EXISTS, values: [] },
    ],
  });
});

test('hosts, words, kind and gone', () => {
  expect(read('q=host:h1+shop++db&kind=container&gone=1')).toEqual({
    selector: { requirements: [] },
    hosts: ['h1'],
    text: 'shop db',
    kinds: [WorkloadKind.CONTAINER],
    includeGone: true,
  });
});

test('what is no kind is none, a word that only looks like a label is a word', () => {
  expect(read('kind=planet&q=%3Dweb+host:')).toMatchObject({ kinds: [], text: '=web host:', hosts: [] });
});
