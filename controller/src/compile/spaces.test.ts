import { addressHex } from '@ringfence/proto/address.js';
import type { HostDelta } from '@ringfence/proto/instructions.js';
import { describe, expect, it } from 'vitest';
import { EMPTY_DOCUMENT } from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import { address } from '../policy/testing/generate.js';
import { identityNumbers, ruleNumbers } from '../policy/testing/numbers.js';
import { type Space, SpaceTree } from '../topology/spaces.js';
import { createCompiler } from './graph.js';
import type { CompilerWorkload } from './types.js';

const space = (name: string, hosts: string[], more: Partial<Space> = {}): Space => ({
  name,
  parent: '',
  hosts,
  networks: [],
  sources: [],
  destinations: [],
  ...more,
});
const behind = (text: string) => ({ sources: [{ kind: 'shared' as const, addresses: [address(text)] }] });

function workload(id: string, role: string, hostId: string, text: string, inSpace = ''): CompilerWorkload {
  const addresses = [{ space: inSpace, address: address(text) }];
  return { id, labels: { role }, hostId, localId: id, addresses, isolated: false, reject: true };
}

/** Databases on a1 and a2 in space a, on b1 in space b, on w1 outside; each host's name is its database's. */
function start(more: readonly CompilerWorkload[] = []) {
  const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
  const document = {
    ...EMPTY_DOCUMENT,
    rules: [{ id: 'web-db', service: ['tcp/5432'], providedBy: 'role=db', usedBy: 'role=web' }],
  };
  compiler.setPolicy(resolvePolicy(document, ruleNumbers()), 1);
  const tree = (a: Partial<Space> = behind('198.51.100.1')) =>
    new SpaceTree([space('a', ['a1', 'a2'], a), space('b', ['b1'], behind('198.51.100.2'))]);
  compiler.setSpaces(tree());
  for (const [at, host] of ['a1', 'a2', 'b1', 'w1'].entries()) {
    compiler.setHost(host);
    compiler.setWorkload(workload(host, 'db', host, `10.0.0.${at + 1}`));
  }
  for (const each of more) compiler.setWorkload(each);
  compiler.flush();
  return { compiler, tree };
}

const summary = (deltas: readonly HostDelta[]) =>
  Object.fromEntries(
    deltas.map(({ hostId, full, bindings, removedBindings }) => [
      hostId,
      {
        full,
        set: bindings.map((each) => addressHex(each.address).slice(-8)),
        removed: removedBindings.map((each) => addressHex(each.address).slice(-8)),
      },
    ]),
  );

describe('spaces', () => {
  it('tell those inside when somebody whom no rule names hides an address outside, and when that one has gone', () => {
    const { compiler } = start([workload('web', 'web', '', '192.0.2.7')]);
    compiler.setWorkload(workload('printer', 'printer', '', '192.0.2.7', 'a'));
    const hidden = { full: false, set: [], removed: ['c0000207'] };
    expect(summary(compiler.flush())).toEqual({ a1: hidden, a2: hidden });
    compiler.removeWorkload('printer');
    const back = { full: false, set: ['c0000207'], removed: [] };
    expect(summary(compiler.flush())).toEqual({ a1: back, a2: back });
  });

  it('move what is behind a translator that changes; nobody gets a full state', () => {
    const { compiler, tree } = start([workload('web', 'web', '', '10.0.0.9', 'a')]);
    compiler.setSpaces(tree(behind('198.51.100.9')));
    const moved = { full: false, set: ['c6336409'], removed: ['c6336401'] };
    expect(summary(compiler.flush())).toEqual({ a1: moved, a2: moved, b1: moved, w1: moved });
    // The same once more, from other objects.
    compiler.setSpaces(tree(behind('198.51.100.9')));
    expect(compiler.flush()).toEqual([]);
  });

  it('give their full state to hosts that stand in another space, and to no others', () => {
    const { compiler } = start([workload('web', 'web', '', '10.0.0.9', 'a')]);
    compiler.setSpaces(
      new SpaceTree([space('a', ['a1'], behind('198.51.100.1')), space('b', ['b1', 'a2'], behind('198.51.100.2'))]),
    );
    expect(summary(compiler.flush())).toEqual({ a2: { full: true, set: ['c6336401'], removed: [] } });
  });

  it('tell a published port to the hosts that see its address', () => {
    const { compiler } = start();
    const host = { ...workload('a1/host', 'host', 'a1', '10.0.0.50'), localId: 'host' };
    compiler.setWorkload(host);
    const served = { ...workload('a1/c', 'web', 'a1', '172.17.0.2', 'local:bridge') };
    const published = [{ protocol: 6, address: undefined, hostPort: 8080, port: 80 }];
    compiler.setWorkload(served);
    compiler.flush();
    compiler.setWorkload({ ...served, published });
    const deltas = compiler.flush();
    expect(deltas.map(({ hostId, nats }) => [hostId, nats?.length]).sort()).toEqual([
      ['a1', 1],
      ['a2', 1],
    ]);
    compiler.setWorkload(served);
    expect(compiler.flush().map(({ hostId, removedNats }) => [hostId, removedNats?.length])).toHaveLength(2);
  });
});
