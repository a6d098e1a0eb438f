// The tag of a SYN, as the programs write and read it (lib/tag.h has its meaning): a second implementation, for tests and
// benches to make genuine and false ones with.
import { TAG_EXID, TAG_KIND, TagBound } from './constants.js';
import { sipHash24 } from './siphash.js';
import { TAG_OPTION } from './structs.js';

/** Bytes of the option. */
export const TAG_BYTES = TAG_OPTION.size;
/** A slot is this long, nanoseconds of fleet time. */
export const TAG_SLOT_NS = 1n << 32n;

/** What a tag claims. */
export interface TagClaim {
  readonly identity: number;
  /** The SYN's sequence number. */
  readonly isn: number;
  readonly epoch: number;
  /** Fleet time in slots, 32 bits. */
  readonly slot: number;
  readonly bound:
    | { readonly kind: 'address' /** 16 bytes. */; readonly address: Uint8Array; readonly port: number }
    | { readonly kind: 'identity'; readonly identity: number; readonly port: number };
}

/** The option's 16 bytes. key: 16 bytes. */
export function tagOption(key: Uint8Array, claim: TagClaim): Uint8Array {
  const { bound } = claim;
  const boundNumber = bound.kind === 'address' ? TagBound.ADDRESS : TagBound.IDENTITY;
  const message = new Uint8Array(40);
  const view = new DataView(message.buffer);
  view.setUint32(0, claim.identity, true);
  view.setUint32(4, claim.isn, true);
  view.setUint32(8, claim.epoch, true);
  view.setUint32(12, claim.slot, true);
  if (bound.kind === 'address') message.set(bound.address, 16);
  else view.setUint32(16, bound.identity, true);
  view.setUint32(32, bound.port, true);
  view.setUint32(36, boundNumber, true);
  const mac = new Uint8Array(8);
  new DataView(mac.buffer).setBigUint64(0, sipHash24(key, message));
  const option = TAG_OPTION.encode({
    kind: TAG_KIND,
    length: TAG_BYTES,
    exid: TAG_EXID,
    identityBe: 0,
    mac: mac.subarray(1),
    control: ((claim.epoch & 7) << 5) | (boundNumber << 4) | (claim.slot & 15),
  });
  new DataView(option.buffer).setUint32(TAG_OPTION.fields.identityBe.offset, claim.identity);
  return option;
}

/** The identity that an option claims, believed or not. */
export function claimedIdentity(option: Uint8Array): number {
  return new DataView(option.buffer, option.byteOffset).getUint32(TAG_OPTION.fields.identityBe.offset);
}

/** 16 bytes of key as rf_tag_key holds them. */
export function tagKeyHalves(key: Uint8Array): { readonly key0: bigint; readonly key1: bigint } {
  if (key.length !== 16) throw new RangeError(`Cannot use tag key: found ${key.length} bytes, wanted 16`);
  const view = new DataView(key.buffer, key.byteOffset, 16);
  return { key0: view.getBigUint64(0, true), key1: view.getBigUint64(8, true) };
}
