import { expect, it } from 'vitest';
import { EndpointDirectory } from './endpoint-directory.js';

const endpoint = (number: number, workloadId: string, identity = 1) => ({
  number,
  workloadId,
  identity,
  localId: `local${number}`,
});

it('EndpointDirectory resolves live endpoints by their newest name, and gone ones by their last', () => {
  const directory = new EndpointDirectory();
  directory.set([endpoint(1, ''), endpoint(2, 'w2')]);
  expect(directory.resolve(1)).toEqual({ workloadId: 'local1', identity: 1 });
  directory.set([endpoint(1, 'w1', 9), endpoint(2, 'w2')]);
  expect(directory.resolve(1)).toEqual({ workloadId: 'w1', identity: 9 });
  directory.set([endpoint(2, 'w2')]);
  expect(directory.resolve(1)).toEqual({ workloadId: 'w1', identity: 9 });
  expect(directory.resolve(3)).toBeUndefined();
});

it('EndpointDirectory forgets the oldest of too many', () => {
  const directory = new EndpointDirectory();
  for (let n = 1; n <= 16_400; n++) directory.set([endpoint(n, `w${n}`)]);
  expect(directory.resolve(1)).toBeUndefined();
  expect(directory.resolve(16_399)?.workloadId).toBe('w16399');
});
