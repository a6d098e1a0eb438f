import { chunkDigests, endsChunk, LONG_LIST, policySet } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import { random } from '../policy/testing/random.js';
import { LongPeers, type Peers, peersOf, withoutPeer, withPeer } from './peer-list.js';

const SEED = Number(process.env.RINGFENCE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const nameOf = (identities: Peers | readonly number[]) =>
  policySet([{ anyone: false, identities, classes: [], ports: [] }]).hash;

describe('peer lists', () => {
  it(`hold what came and did not go, under the name that the plain list has (seed ${SEED})`, () => {
    const r = random(SEED);
    const plain = new Set<number>();
    let peers: Peers = [];
    let long = 0;
    // Grows past the bound, shrinks below it and grows again; numbers at which chunks end come and go too.
    for (const [steps, grow] of [
      [3000, 0.9],
      [3000, 0.2],
      [2000, 0.9],
    ] as const) {
      for (let step = 0; step < steps; step += 1) {
        const number = 1 + r.below(20_000);
        if (plain.has(number) ? r.chance(1 - grow) : r.chance(grow)) {
          peers = plain.has(number) ? withoutPeer(peers, number) : withPeer(peers, number);
          if (!plain.delete(number)) plain.add(number);
        }
        if (step % 250 !== 0) continue;
        const sorted = [...plain].sort((a, b) => a - b);
        expect([...peers]).toEqual(sorted);
        expect(peers.length).toBe(sorted.length);
        expect(peers instanceof LongPeers).toBe(sorted.length > LONG_LIST);
        expect(nameOf(peers)).toBe(nameOf(sorted));
        expect(peers.includes(number)).toBe(plain.has(number));
        if (peers instanceof LongPeers) {
          long += 1;
          expect(peers.digests()).toEqual(chunkDigests(sorted));
        }
      }
    }
    expect(long).toBeGreaterThan(5);
  });

  it('leave the list that they came from as it was', () => {
    const numbers = Array.from({ length: 5000 }, (_, at) => at + 1);
    const before = peersOf(numbers);
    const end = numbers.find((number) => number > 100 && endsChunk(number)) ?? 0;
    expect([...withoutPeer(before, end)]).toEqual(numbers.filter((number) => number !== end));
    expect([...withPeer(before, 9999)].at(-1)).toBe(9999);
    expect([...before]).toEqual(numbers);
    expect(nameOf(before)).not.toBe(nameOf(withPeer(before, 9999)));
  });
});
