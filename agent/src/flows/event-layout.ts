// Where the fields of struct rf_event stand, as indices into views of a packed batch: event i begins at byte i * EVENT_BYTES. A
// test compares each with bpf's published ABI; the arithmetic on columns in this folder reads no other description.

/** Bytes of one event. */
export const EVENT_BYTES = 128;
/** 32-bit words of one event. */
export const EVENT_WORDS = EVENT_BYTES / 4;

/** Offsets in 32-bit words; 64-bit fields have their low word first. */
export const WORD = {
  time_ns: 0,
  first_seen_ns: 2,
  bytes_in: 4,
  bytes_out: 6,
  local: 8,
  remote: 12,
  packets_in: 16,
  packets_out: 17,
  ports: 18,
  endpoint: 19,
  peer_identity: 20,
  rule: 21,
  policy_version: 22,
  pid: 23,
  sequence: 24,
  comm: 28,
} as const;

/** Offsets in bytes. */
export const BYTE = {
  local: 32,
  remote: 48,
  local_port_be: 72,
  remote_port_be: 74,
  kind: 100,
  verdict: 101,
  reason: 102,
  mode: 103,
  direction: 104,
  proto: 105,
  tcp_flags: 106,
  flags: 107,
  service_port_be: 108,
  attempts: 110,
  comm: 112,
} as const;

/** enum rf_event_flags. */
export const EVENT_FLAG = { shared: 1, mapped: 2, fromConnect: 4, cut: 8 } as const;
