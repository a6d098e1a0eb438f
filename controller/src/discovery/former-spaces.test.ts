// A translator that is replaced: new connections are known by what it gives now, open ones by what it gave when they began.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addressHex, formatAddress, parseAddress } from '@ringfence/proto/address.js';
import type { HostDelta } from '@ringfence/proto/instructions.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCompiler } from '../compile/graph.js';
import { EMPTY_DOCUMENT } from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import { identityNumbers, ruleNumbers } from '../policy/testing/numbers.js';
import { SPACES_KEY } from '../store/records.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { putSpaces, storedTree } from './space-book.js';

let dir: string;
let store: StateStore;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rf-spaces-'));
  store = new StateStore(openSqlite(join(dir, 'db')));
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const address = (text: string) => parseAddress(text) ?? new Uint8Array(16);
const declared = (...sources: string[]) =>
  `spaces:\n  - { name: office, hosts: [h], source: [${sources.map((each) => `{ address: ${each} }`).join(', ')}] }\n`;

/** A client behind `office`, a server outside. */
function rig() {
  const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
  const rules = [{ id: 'r', service: ['tcp/80'], providedBy: 'role=server', usedBy: 'role=client' }];
  compiler.setPolicy(resolvePolicy({ ...EMPTY_DOCUMENT, rules }, ruleNumbers()), 1);
  const add = (id: string, role: string, hostId: string, text: string, space = '') =>
    compiler.setWorkload({
      ...{ id, labels: { role }, hostId, localId: id, addresses: [{ space, address: address(text) }] },
      ...{ isolated: false, reject: true },
    });
  add('client', 'client', 'h', '10.1.0.2');
  add('server', 'server', 's', '192.0.2.9');
  for (const host of ['h', 's']) compiler.setHost(host);
  /** What the server's host is told of addresses. */
  const told = (deltas: readonly HostDelta[]) =>
    deltas
      .filter(({ hostId }) => hostId === 's')
      .flatMap(({ bindings, removedBindings }) => [
        ...bindings.map((each) => `${formatAddress(each.address)}${each.former === true ? ' former' : ''}`),
        ...removedBindings.map((each) => `${formatAddress(each.address)} gone`),
      ])
      .sort();
  const apply = async (content: string) => {
    await store.update((tx) => putSpaces(tx, SPACES_KEY, content, 1));
    compiler.setSpaces(storedTree(store.table('spaces'), new Map()));
    return told(compiler.flush());
  };
  return {
    compiler,
    add,
    apply,
    flush: () => told(compiler.flush()),
    whole: () => told([compiler.snapshot('s')].flatMap((x) => x ?? [])),
  };
}

describe('a space that is translated otherwise than before', () => {
  it('leaves its former address to open connections, of the whole state and of the change alike', async () => {
    const { apply, whole, compiler } = rig();
    expect(await apply(declared('198.51.100.1'))).toContain('198.51.100.1');
    expect(await apply(declared('198.51.100.2'))).toEqual(['198.51.100.1 former', '198.51.100.2']);
    expect(whole()).toEqual(expect.arrayContaining(['198.51.100.1 former', '198.51.100.2']));
    // Nobody is named by it.
    expect(compiler.behind('s', addressHex(address('198.51.100.1')))).toEqual([]);
    expect(compiler.placesOf('client').map(({ hex }) => hex)).not.toContain(addressHex(address('198.51.100.1')));
    expect(await apply(declared('198.51.100.1'))).toEqual(['198.51.100.1', '198.51.100.2 former']);
  });

  it('that was routed, leaves its own address', async () => {
    const { apply } = rig();
    expect(await apply(declared())).toContain('10.1.0.2');
    expect(await apply(declared('198.51.100.1'))).toEqual(['10.1.0.2 former', '198.51.100.1']);
  });

  it('an address that somebody else has taken is his alone', async () => {
    const { apply, add, flush } = rig();
    await apply(declared('198.51.100.1'));
    await apply(declared('198.51.100.2'));
    add('other', 'client', '', '198.51.100.1');
    expect(flush()).toEqual(['198.51.100.1']);
  });

  it('whoever goes, or is no client any more, leaves nothing', async () => {
    const { apply, compiler, flush } = rig();
    await apply(declared('198.51.100.1'));
    await apply(declared('198.51.100.2'));
    compiler.removeWorkload('client');
    expect(flush()).toEqual(['198.51.100.1 gone', '198.51.100.2 gone']);
  });

  it('four former ones are remembered, and what stayed the same is not repeated', async () => {
    const { apply } = rig();
    for (const last of [1, 2, 3, 4, 5]) await apply(declared(`198.51.100.${last}`));
    const sixth = await apply(declared('198.51.100.6'));
    expect(sixth).toEqual(['198.51.100.1 gone', '198.51.100.5 former', '198.51.100.6']);
    expect(await apply(declared('198.51.100.6'))).toEqual([]);
    expect(store.get('spaces', SPACES_KEY)?.former).toHaveLength(4);
  });
});
