// Denies that were folded and never told: the kernel counts attempts on a denied flow within a second and tells them with the next one
// after it. When none comes, the count stays in rf_denied; here it is taken out and told as an event of its own.
//
// Taking out is a look and a deletion. An attempt between the two is told by the kernel as a first one; only its predecessor's count can be
// missed by that, and only when a flow wakes up within those microseconds after a second of silence.
import { EVENT_COLUMNS as AT, EVENT_BYTES, EventFlag, FLOW_KEY } from '@ringfence/bpf';

/** What is needed of rf_denied. */
export interface DeniedMap {
  dump(): { readonly keys: Uint8Array; readonly values: Uint8Array; readonly count: number };
  lookup(key: Uint8Array): Uint8Array | undefined;
  delete(key: Uint8Array): boolean;
}

export interface DeniedTailsOptions {
  /** Flows of which the last deny is remembered; more are counted as lost when their tails are found. */
  readonly flows: number;
  /** A flow that was quiet so long since its last report has no report to come. Above the kernel's period. */
  readonly quietNs: number;
}

const DENY = 5;
/** Local and remote address, ports, endpoint, protocol: what a key and an event have in common. */
const KEY_TEXT_BYTES = 41;

export class DeniedTails {
  readonly #options: DeniedTailsOptions;
  /** Last deny of a flow, oldest first. */
  readonly #last = new Map<string, Uint8Array>();
  /** Denies came since the map was last found without counts. */
  #pending = false;
  /** Attempts whose flow was not remembered. */
  lost = 0;

  constructor(options: DeniedTailsOptions) {
    this.#options = options;
  }

  /** Remembers the denies of a batch of events. */
  note(buffer: ArrayBufferLike, count: number): void {
    const bytes = new Uint8Array(buffer, 0, count * EVENT_BYTES);
    for (let start = 0; start < bytes.length; start += EVENT_BYTES) {
      if (bytes[start + AT.kind] !== DENY) continue;
      this.#pending = true;
      const event = bytes.slice(start, start + EVENT_BYTES);
      const key = textOfEvent(event);
      this.#last.delete(key);
      this.#last.set(key, event);
      if (this.#last.size <= this.#options.flows) continue;
      const oldest = this.#last.keys().next();
      if (!oldest.done) this.#last.delete(oldest.value);
    }
  }

  /** Takes out what no report will tell any more; packed events with as many attempts as were folded. */
  sweep(map: DeniedMap, nowNs: number): Uint8Array {
    if (!this.#pending) return new Uint8Array(0);
    const { keys, values, count } = map.dump();
    const events: Uint8Array[] = [];
    let waiting = false;
    for (let i = 0; i < count; i += 1) {
      const { suppressed, lastReportNs } = read(values, (i * values.length) / count);
      if (nowNs - lastReportNs < this.#options.quietNs) waiting = true;
      else if (suppressed > 0)
        events.push(...this.#take(map, keys.slice(i * FLOW_KEY.size, (i + 1) * FLOW_KEY.size), nowNs));
    }
    this.#pending = waiting;
    // A plain array: a Buffer may lie in a shared pool, and its slice is no copy.
    return new Uint8Array(Buffer.concat(events));
  }

  #take(map: DeniedMap, key: Uint8Array, nowNs: number): Uint8Array[] {
    const value = map.lookup(key);
    if (value === undefined) return [];
    const { suppressed, lastReportNs } = read(value, 0);
    if (suppressed === 0 || nowNs - lastReportNs < this.#options.quietNs || !map.delete(key)) return [];
    const last = this.#last.get(textOfKey(key));
    if (last === undefined) {
      this.lost += suppressed;
      return [];
    }
    // The count of an event is 16 bits wide.
    const events: Uint8Array[] = [];
    for (let left = suppressed; left > 0; left -= 0xffff) events.push(tailOf(last, Math.min(left, 0xffff)));
    return events;
  }
}

/** The last deny again, without its packet, for attempts that came after it. */
function tailOf(last: Uint8Array, attempts: number): Uint8Array {
  const event = last.slice();
  const view = new DataView(event.buffer);
  for (const at of [AT.bytesIn, AT.bytesOut]) view.setBigUint64(at, 0n, true);
  for (const at of [AT.packetsIn, AT.packetsOut]) view.setUint32(at, 0, true);
  view.setUint16(AT.attempts, attempts, true);
  event[AT.flags] = (event[AT.flags] ?? 0) | EventFlag.SWEPT;
  return event;
}

function read(values: Uint8Array, at: number): { lastReportNs: number; suppressed: number } {
  const view = new DataView(values.buffer, values.byteOffset + at);
  return { lastReportNs: Number(view.getBigUint64(0, true)), suppressed: view.getUint32(8, true) };
}

function textOfKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, KEY_TEXT_BYTES).toString('latin1');
}

function textOfEvent(event: Uint8Array): string {
  const key = new Uint8Array(KEY_TEXT_BYTES);
  key.set(event.subarray(AT.local, AT.local + 16), 0);
  key.set(event.subarray(AT.remote, AT.remote + 16), 16);
  key.set(event.subarray(AT.localPort, AT.localPort + 2), 32);
  key.set(event.subarray(AT.remotePort, AT.remotePort + 2), 34);
  key.set(event.subarray(AT.endpoint, AT.endpoint + 4), 36);
  key[40] = event[AT.proto] ?? 0;
  return textOfKey(key);
}
