import { expect, it } from 'vitest';
import { EMPTY_DOCUMENT, type RuleSpec } from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import { address } from '../policy/testing/generate.js';
import { identityNumbers, ruleNumbers } from '../policy/testing/numbers.js';
import { createCompiler } from './graph.js';
import { SHARED_MAX } from './relevance.js';
import { HostMirror } from './testing/host-mirror.js';
import type { CompilerWorkload } from './types.js';

const workload = (hostId: string, localId: string, app: string, addresses: CompilerWorkload['addresses']) => ({
  id: `${hostId}/${localId}`,
  labels: { app },
  hostId,
  localId,
  addresses,
  isolated: false,
  reject: true,
});

const rule = (id: string, app: string): RuleSpec => ({
  id,
  service: ['tcp/80'],
  providedBy: 'app=server',
  usedBy: `app=${app}`,
});

it('more identities behind an address than a kernel holds: those that a host names stay, one stands for the rest', () => {
  const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
  const numbers = ruleNumbers();
  const many = Array.from({ length: 100 }, (_, index) => `a${index}`);
  compiler.setHost('b');
  compiler.setWorkload(workload('b', 'host', 'server', [{ space: '', address: address('192.0.2.2') }]));
  compiler.setWorkload(workload('a', 'host', 'machine', [{ space: '', address: address('192.0.2.1') }]));
  many.forEach((app, index) => {
    const inside = [{ space: 'local:bridge', address: address(`172.17.0.${index + 2}`) }];
    compiler.setWorkload(workload('a', `container:${index}`, app, inside));
  });
  const mirror = new HostMirror();
  const told = (rules: RuleSpec[], version: number) => {
    compiler.setPolicy(resolvePolicy({ ...EMPTY_DOCUMENT, rules }, numbers), version);
    for (const delta of compiler.flush()) mirror.apply(delta);
    return mirror.candidates(address('192.0.2.1'));
  };
  const identity = (index: number) => compiler.identityOf(`a/container:${index}`);
  const one = told([rule('one', 'a90')], 1);
  expect(one).toHaveLength(2);
  expect(one).toContain(identity(90));
  // What the host names changes, who is behind the address does not.
  const two = told([rule('one', 'a90'), rule('two', 'a91')], 2);
  expect(two).toHaveLength(3);
  expect(two).toEqual(expect.arrayContaining([identity(90), identity(91)]));
  const all = told(
    many.map((app) => rule(app, app)),
    3,
  );
  expect(all).toHaveLength(SHARED_MAX);
  const snapshot = new HostMirror();
  const state = compiler.snapshot('b');
  if (state !== undefined) snapshot.apply(state);
  expect(snapshot.state()).toEqual(mirror.state());
});
