import { expect, test } from 'vitest';
import { abiProblem } from './node-abi.js';

test('the Node that it was built with is right, another one is told before its modules are loaded', () => {
  expect(abiProblem('v24.21.0', '137', '137')).toBeUndefined();
  expect(abiProblem('v24.21.0', '137', undefined)).toBeUndefined();
  expect(abiProblem('v20.20.2', '115', '137')).toMatch(
    /^RF_NODE: Cannot start: found Node v20\.20\.2, which loads modules of ABI 115, wanted one of ABI 137.* Next: PATH=/,
  );
});
