import { expect, test } from 'vitest';
import { readBtf } from './btf.js';
import { readSkbContext, skbContext } from './program.js';

test('skbContext and readSkbContext agree', () => {
  const fields = {
    mark: 1,
    priority: 2,
    ingressIfindex: 3,
    ifindex: 4,
    cb: [5, 6, 7, 8, 9],
    wireLen: 10,
    gsoSegs: 11,
    gsoSize: 12,
  };
  expect(readSkbContext(skbContext(fields))).toEqual(fields);
});

test('skbContext puts fields where the running kernel has them', () => {
  const members = readBtf('vmlinux', { names: ['__sk_buff'] }).structs.get('__sk_buff')?.members ?? [];
  const offset = (name: string): number => (members.find((m) => m.name === name)?.bitOffset ?? -8) / 8;
  const view = new DataView(
    skbContext({ mark: 1, priority: 2, ingressIfindex: 3, ifindex: 4, cb: [5], wireLen: 10, gsoSegs: 11, gsoSize: 12 })
      .buffer,
  );
  const at = (name: string): number => view.getUint32(offset(name), true);
  expect(
    ['mark', 'priority', 'ingress_ifindex', 'ifindex', 'cb', 'wire_len', 'gso_segs', 'gso_size'].map((name) =>
      at(name),
    ),
  ).toEqual([1, 2, 3, 4, 5, 10, 11, 12]);
});
