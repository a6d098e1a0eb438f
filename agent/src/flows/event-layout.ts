// Where the fields of struct rf_event stand, as indices into views of a packed batch: event i begins at byte i * EVENT_BYTES. The
// offsets are bpf's published ones, which a test there compares with BTF; here they only become indices of 32-bit words.
import { EventFlag, EVENT_BYTES as eventBytes, EVENT_COLUMNS as offset } from '@ringfence/bpf';
import { EventKind } from '@ringfence/proto/gen/ringfence/v1/common.js';

/** Bytes of one event. */
export const EVENT_BYTES = eventBytes;
/** 32-bit words of one event. */
export const EVENT_WORDS = EVENT_BYTES / 4;

/** Offsets in 32-bit words; 64-bit fields have their low word first, addresses and names take four. */
export const WORD = {
  timeNs: offset.timeNs / 4,
  firstSeenNs: offset.firstSeenNs / 4,
  bytesIn: offset.bytesIn / 4,
  bytesOut: offset.bytesOut / 4,
  local: offset.local / 4,
  remote: offset.remote / 4,
  packetsIn: offset.packetsIn / 4,
  packetsOut: offset.packetsOut / 4,
  /** Both ports in one word. */
  ports: offset.localPort / 4,
  endpoint: offset.endpoint / 4,
  peerIdentity: offset.peerIdentity / 4,
  rule: offset.rule / 4,
  policyVersion: offset.policyVersion / 4,
  pid: offset.pid / 4,
  comm: offset.comm / 4,
} as const;

/** Offsets in bytes. */
export const BYTE = offset;

/** Bits of the flags byte. */
export const EVENT_FLAG = EventFlag;

/**
 * What the ring's reader needs to fold reports on open connections (RingFold): counters are cumulative, so the latest UPDATE says all that
 * those before it said, as long as it was decided alike. A connection is its key and when it began: ports are used again.
 */
export const EVENT_FOLD = {
  timeOffset: offset.timeNs,
  kindOffset: offset.kind,
  kind: EventKind.EVENT_KIND_UPDATE,
  key: [offset.firstSeenNs, 8, offset.local, 32, offset.localPort, 4, offset.endpoint, 4, offset.proto, 1],
  same: [offset.verdict, 1, offset.reason, 1, offset.mode, 1, offset.rule, 4, offset.policyVersion, 4],
} as const;

/** A 64-bit field below 2^53, by the index of its low word. */
export function u64(words: Uint32Array, at: number): number {
  return (words[at + 1] as number) * 0x1_0000_0000 + (words[at] as number);
}

/** Big and little endian, by the offset in bytes. */
export function u16be(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function u16le(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 1] as number) << 8) | (bytes[at] as number);
}

// The aggregator's key takes local and remote address as eight words in a row and both ports as one.
if (
  WORD.remote !== WORD.local + 4 ||
  offset.remotePort !== offset.localPort + 2 ||
  Object.values(WORD).some((w) => w % 1)
) {
  throw new Error('Cannot read events: the layout of rf_event does not let its keys be compared by words');
}
