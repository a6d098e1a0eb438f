// Who is behind a translated address and port: what the hosts that translate tell of their connections, followed from the tuple that the
// called end saw back to the one that opened it. Each step undoes one host's translation: the destination's published port, a gateway, the
// source's masquerade.
//
// Entries are open, or tombstones: over, or of a run of the agent that has ended, and kept for records that come late. Everything is
// bounded, by fleet and by host; what is given up is counted. Times are compared within the distance that clocks may have.
import type { TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { InboundTuple, SourceResolver, TrueSource } from '../flows/true-source.js';
import {
  eachTranslation,
  keySource,
  keySourcePort,
  type Translation,
  translationsProblem,
  tupleKey,
} from './translation-columns.js';

export interface TranslationResolverOptions {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Ids of the workloads that a host knows under an address (hexadecimal) on the side that it translates. */
  readonly behind: (hostId: string, hex: string) => readonly string[];
  /**
   * Whether the workload lives on a host with an agent other than `hostId`: what that host translates it tells itself, maybe later than the
   * host in front of it.
   */
  readonly mayTell?: (workloadId: string, hostId: string) => boolean;
  /** Whether a gateway translates for a host; undefined: nobody says. */
  readonly inside?: (gatewayId: string, hostId: string) => boolean | undefined;
  /** Entries at most. Default 262,144, about 300 bytes each. */
  readonly entriesMax?: number;
  /** Entries of one host at most. Default half of all. */
  readonly hostEntriesMax?: number;
}

/** How long an entry rests after its connection is over: flow records of it may still be on their way. */
export const CLOSED_KEPT_MS = 10 * 60_000;
/** Agents tell open connections again each half hour; what is not told for longer than two of these is taken for over. */
export const OPEN_KEPT_MS = 65 * 60_000;
/** Clocks of two hosts may differ by so much. */
const SKEW_US = 5_000_000;
/** Between opening in conntrack and the first packet at the other end, beyond what clocks differ. */
const DELAY_US = 5_000_000;
const HOPS_MAX = 6;
const SWEEP_MS = 10_000;

interface Entry {
  readonly hostId: string;
  readonly key: string;
  readonly original: string;
  readonly openedUs: number;
  readonly localId: string;
  closedUs: number;
  run: string;
  untilMs: number;
}

interface HostLedger {
  run: string;
  entries: number;
  /** As the run told them last. */
  dropped: bigint;
  overruns: bigint;
}

export interface TranslationCounters {
  /** Open ones and tombstones. */
  readonly entries: number;
  /** Given up before their time, for want of room. */
  readonly evicted: bigint;
  /** Not taken, since their host had too many. */
  readonly refused: bigint;
  /** Lost at hosts before they were told: for want of room, and times that a kernel's queue of events was full. */
  readonly hostDropped: bigint;
  readonly hostOverruns: bigint;
  /** Asked for, and of these found. */
  readonly asked: bigint;
  readonly found: bigint;
}

export class TranslationResolver implements SourceResolver {
  readonly #options: TranslationResolverOptions;
  readonly #entriesMax: number;
  readonly #hostEntriesMax: number;
  /** By tuple after translation, in order of arrival: nearly always one. */
  readonly #byKey = new Map<string, Entry[]>();
  readonly #hosts = new Map<string, HostLedger>();
  #entries = 0;
  #evicted = 0n;
  #refused = 0n;
  #hostDropped = 0n;
  #hostOverruns = 0n;
  #asked = 0n;
  #found = 0n;
  #sweptMs = 0;

  constructor(options: TranslationResolverOptions) {
    this.#options = options;
    this.#entriesMax = options.entriesMax ?? 262_144;
    this.#hostEntriesMax = options.hostEntriesMax ?? Math.ceil(this.#entriesMax / 2);
  }

  get counters(): TranslationCounters {
    return {
      entries: this.#entries,
      evicted: this.#evicted,
      refused: this.#refused,
      hostDropped: this.#hostDropped,
      hostOverruns: this.#hostOverruns,
      asked: this.#asked,
      found: this.#found,
    };
  }

  /**
   * Takes what a host tells. `run` names the run of its agent: entries of the run before become tombstones unless they are told again. A
   * batch that came before changes nothing. Gives what is wrong, as a sentence fragment that completes "found …".
   */
  take(hostId: string, run: string, columns: TranslationColumns): string | undefined {
    const problem = translationsProblem(columns);
    if (problem !== undefined) return problem;
    const nowMs = this.#options.now();
    this.#sweep(nowMs);
    const ledger = this.#hosts.get(hostId) ?? { run, entries: 0, dropped: 0n, overruns: 0n };
    this.#hosts.set(hostId, ledger);
    if (ledger.run !== run) {
      Object.assign(ledger, { run, dropped: 0n, overruns: 0n });
      this.#bury(hostId, nowMs);
    }
    // Batches of a run may come again, out of turn: its counts only grow.
    if (columns.dropped > ledger.dropped) this.#hostDropped += columns.dropped - ledger.dropped;
    if (columns.overruns > ledger.overruns) this.#hostOverruns += columns.overruns - ledger.overruns;
    ledger.dropped = columns.dropped > ledger.dropped ? columns.dropped : ledger.dropped;
    ledger.overruns = columns.overruns > ledger.overruns ? columns.overruns : ledger.overruns;
    eachTranslation(columns, (translation) => this.#put(hostId, run, ledger, translation, nowMs));
    return undefined;
  }

  /** The host is gone: its word counts no longer. */
  forget(hostId: string): void {
    for (const [key, entries] of this.#byKey) {
      const kept = entries.filter((entry) => entry.hostId !== hostId);
      this.#replace(key, entries, kept);
    }
    this.#hosts.delete(hostId);
  }

  trueSource(tuple: InboundTuple): TrueSource | undefined {
    this.#asked += 1n;
    const seen = latin1(tuple.sourceIp);
    const { protocol, sourcePort, destinationPort } = tuple;
    let key = tupleKey(protocol, seen, sourcePort, latin1(tuple.destinationIp), destinationPort);
    let host = tuple.hostId;
    let last: Entry | undefined;
    const visited = new Set<string>();
    for (let hop = 0; hop < HOPS_MAX; hop += 1) {
      const entry = this.#entryFor(key, host, visited, tuple.firstSeenUs);
      if (entry === undefined) break;
      last = entry;
      visited.add(entry.hostId);
      host = entry.hostId;
      key = entry.original;
    }
    // A destination's translation alone says nothing of the source.
    if (last === undefined || (keySource(key) === seen && keySourcePort(key) === sourcePort)) return undefined;
    const ip = Buffer.from(keySource(key), 'latin1');
    const workloadId = last.localId === '' ? this.#only(last.hostId, ip) : `${last.hostId}/${last.localId}`;
    if (workloadId === undefined) return undefined;
    // The address of a machine is also that of whom it hides, and it may not have told yet.
    if (last.localId === '' && !tuple.final && this.#options.mayTell?.(workloadId, last.hostId) === true)
      return undefined;
    this.#found += 1n;
    return { workloadId, ip, port: keySourcePort(key) };
  }

  /**
   * The translation that made this tuple, seen from inside `host`: its own (the destination's, at the first step), else that of the one other
   * host that tells of one. Private ranges repeat: of several hosts only one that `host` translates for can be meant.
   */
  #entryFor(key: string, host: string, visited: ReadonlySet<string>, atUs: number): Entry | undefined {
    const fitting = (this.#byKey.get(key) ?? []).filter((entry) => !visited.has(entry.hostId) && isAt(entry, atUs));
    if (fitting.length === 0) return undefined;
    const own = fitting.filter((entry) => entry.hostId === host);
    if (own.length > 0) return newest(own);
    const inside = fitting.filter((entry) => this.#options.inside?.(host, entry.hostId) !== false);
    const hosts = new Set(inside.map((entry) => entry.hostId));
    return hosts.size === 1 ? newest(inside) : undefined;
  }

  #only(hostId: string, ip: Buffer): string | undefined {
    const [only, ...others] = this.#options.behind(hostId, ip.toString('hex'));
    return others.length === 0 ? only : undefined;
  }

  #put(hostId: string, run: string, ledger: HostLedger, told: Translation, nowMs: number): void {
    const entries = this.#byKey.get(told.key) ?? [];
    const known = entries.find(
      (entry) => entry.hostId === hostId && entry.openedUs === told.openedUs && entry.original === told.original,
    );
    if (known !== undefined) {
      known.run = run;
      known.closedUs = told.closedUs;
      known.untilMs = nowMs + (told.closedUs === 0 ? OPEN_KEPT_MS : CLOSED_KEPT_MS);
      return;
    }
    if (ledger.entries >= this.#hostEntriesMax) {
      this.#refused += 1n;
      return;
    }
    // An agent that was restarted tells an open connection with the time at which it found it: the same all the same.
    const before = entries.find(
      (entry) => entry.hostId === hostId && entry.closedUs === 0 && entry.original === told.original,
    );
    const openedUs = before === undefined || before.run === run ? told.openedUs : before.openedUs;
    if (before !== undefined) this.#drop(before);
    if (this.#entries >= this.#entriesMax) this.#evict();
    const untilMs = nowMs + (told.closedUs === 0 ? OPEN_KEPT_MS : CLOSED_KEPT_MS);
    const entry: Entry = { ...told, openedUs, hostId, run, untilMs };
    const list = this.#byKey.get(told.key);
    if (list === undefined) this.#byKey.set(told.key, [entry]);
    else list.push(entry);
    this.#entries += 1;
    ledger.entries += 1;
  }

  #drop(entry: Entry): void {
    const entries = this.#byKey.get(entry.key) ?? [];
    this.#replace(
      entry.key,
      entries,
      entries.filter((each) => each !== entry),
    );
  }

  #replace(key: string, before: readonly Entry[], kept: Entry[]): void {
    if (kept.length === before.length) return;
    for (const entry of before) {
      const ledger = this.#hosts.get(entry.hostId);
      if (ledger !== undefined && !kept.includes(entry)) ledger.entries -= 1;
    }
    this.#entries -= before.length - kept.length;
    if (kept.length === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, kept);
  }

  /** A new run of the host's agent: what the old one told and the new one does not is over, nobody knows since when. */
  #bury(hostId: string, nowMs: number): void {
    for (const entries of this.#byKey.values()) {
      for (const entry of entries) {
        if (entry.hostId === hostId) entry.untilMs = Math.min(entry.untilMs, nowMs + CLOSED_KEPT_MS);
      }
    }
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < SWEEP_MS && nowMs >= this.#sweptMs) return;
    this.#sweptMs = nowMs;
    for (const [key, entries] of this.#byKey) {
      if (entries.every((entry) => entry.untilMs > nowMs)) continue;
      this.#replace(
        key,
        entries,
        entries.filter((entry) => entry.untilMs > nowMs),
      );
    }
  }

  /** Makes room for one: of the oldest the first that is over, else the oldest of all. */
  #evict(): void {
    let looked = 0;
    let oldest: Entry | undefined;
    for (const [entry] of this.#byKey.values()) {
      oldest ??= entry;
      looked += 1;
      if (entry !== undefined && entry.closedUs !== 0) {
        oldest = entry;
        break;
      }
      if (looked >= 64) break;
    }
    if (oldest === undefined) return;
    this.#drop(oldest);
    this.#evicted += 1n;
  }
}

function isAt(entry: Entry, atUs: number): boolean {
  const slack = SKEW_US + DELAY_US;
  return atUs >= entry.openedUs - slack && (entry.closedUs === 0 || atUs <= entry.closedUs + slack);
}

/** The same tuple may have served twice within what clocks differ: the later one is the more likely to be asked about. */
function newest(entries: readonly Entry[]): Entry | undefined {
  return entries.reduce<Entry | undefined>(
    (best, entry) => (best === undefined || entry.openedUs > best.openedUs ? entry : best),
    undefined,
  );
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
