// How a slot lies in memory: all its fields side by side, three cache lines, since slots are touched in no order. A field's column is a view
// of the whole buffer that begins at the field; field of slot s: column[DOUBLES * s], column[WORDS * s], … by the field's width.

/** Bytes of a slot. */
export const SLOT_BYTES = 192;
/** Elements from one slot to the next, by width. */
export const DOUBLES = SLOT_BYTES / 8;
export const WORDS = SLOT_BYTES / 4;
export const SHORTS = SLOT_BYTES / 2;
export const BYTES = SLOT_BYTES;

/** Reports of a side that are remembered, to know a repetition. */
export const STAMPS = 4;

const DOUBLE_FIELDS = [
  ...(['firstSeenUs', 'rowFromUs', 'lastSeenUs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut'] as const),
];
const WORD_FIELDS = ['rule', 'policyVersion', 'pid', 'attempts'] as const;
/** 4 words each. */
const ADDRESS_FIELDS = ['localIp', 'remoteIp', 'toldIp'] as const;
const SHORT_FIELDS = ['localPort', 'remotePort', 'servicePort', 'toldPort'] as const;
const BYTE_FIELDS = ['verdict', 'reason', 'mode', 'kind', 'tcpFlags', 'confidence', 'told'] as const;

export type Columns = { [K in (typeof DOUBLE_FIELDS)[number] | 'stamps']: Float64Array } & {
  [K in (typeof WORD_FIELDS)[number] | (typeof ADDRESS_FIELDS)[number]]: Uint32Array;
} & { [K in (typeof SHORT_FIELDS)[number]]: Uint16Array } & { [K in (typeof BYTE_FIELDS)[number]]: Uint8Array } & {
  /** All of it. */
  all: Uint8Array;
};

/** Columns over a new buffer of so many slots; `from` is copied to its beginning. */
export function columnsOf(slots: number, from?: Columns): Columns {
  const buffer = new ArrayBuffer(slots * SLOT_BYTES);
  const all = new Uint8Array(buffer);
  if (from !== undefined) all.set(from.all);
  const columns: Record<string, Float64Array | Uint32Array | Uint16Array | Uint8Array> = { all };
  let at = 0;
  const place = (bytes: number) => {
    at += bytes;
    return at - bytes;
  };
  for (const name of DOUBLE_FIELDS) columns[name] = new Float64Array(buffer, place(8));
  columns.stamps = new Float64Array(buffer, place(8 * STAMPS));
  for (const name of WORD_FIELDS) columns[name] = new Uint32Array(buffer, place(4));
  for (const name of ADDRESS_FIELDS) columns[name] = new Uint32Array(buffer, place(16));
  for (const name of SHORT_FIELDS) columns[name] = new Uint16Array(buffer, place(2));
  for (const name of BYTE_FIELDS) columns[name] = new Uint8Array(buffer, place(1));
  if (at > SLOT_BYTES) throw new RangeError(`Cannot lay out a slot: found ${at} bytes, wanted at most ${SLOT_BYTES}`);
  return columns as unknown as Columns;
}
