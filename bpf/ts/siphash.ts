// SipHash-2-4 as its authors define it, for messages of any length: what the programs' fixed-length version is held against.

const MASK = 0xffff_ffff_ffff_ffffn;

const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & MASK;

/** The 64-bit hash of a message under 16 bytes of key. Throws RangeError on a key of another length. */
export function sipHash24(key: Uint8Array, message: Uint8Array): bigint {
  if (key.length !== 16) throw new RangeError(`Cannot hash: found a key of ${key.length} bytes, wanted 16`);
  const [key0, key1] = [word(key, 0), word(key, 8)];
  const lanes: [bigint, bigint, bigint, bigint] = [
    key0 ^ 0x736f6d6570736575n,
    key1 ^ 0x646f72616e646f6dn,
    key0 ^ 0x6c7967656e657261n,
    key1 ^ 0x7465646279746573n,
  ];
  // Whole words, then what is left over with the message's length in the last byte.
  const padded = new Uint8Array((Math.floor(message.length / 8) + 1) * 8);
  padded.set(message);
  padded[padded.length - 1] = message.length & 0xff;
  for (let at = 0; at < padded.length; at += 8) {
    const next = word(padded, at);
    lanes[3] ^= next;
    rounds(lanes, 2);
    lanes[0] ^= next;
  }
  lanes[2] ^= 0xffn;
  rounds(lanes, 4);
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

function rounds(lanes: [bigint, bigint, bigint, bigint], count: number): void {
  let [a, b, c, d] = lanes;
  for (let i = 0; i < count; i += 1) {
    a = (a + b) & MASK;
    c = (c + d) & MASK;
    b = rotate(b, 13n) ^ a;
    d = rotate(d, 16n) ^ c;
    a = rotate(a, 32n);
    c = (c + b) & MASK;
    a = (a + d) & MASK;
    b = rotate(b, 17n) ^ c;
    d = rotate(d, 21n) ^ a;
    c = rotate(c, 32n);
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

function word(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset + at, 8).getBigUint64(0, true);
}
