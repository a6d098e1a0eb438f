// Conntrack to the controller:
//
//   ConntrackReader ─► TranslationTable ─► batches on the flow stream          (who is behind a translated address and port)
//                            ├─► SourceTranslationBook ─► sync stream, disk    (under which addresses workloads leave this host)
//                            └─► DestinationTranslationBook ─► the same        (at a gateway: which of its ports lead to whom)
//
// While the flow stream is away nothing is made: open connections are told when it is back, those that ended meanwhile as far as the table
// has room for them. After the kernel lost events a dump says what is open; the distance between two dumps doubles up to half a minute.
import { readFileSync } from 'node:fs';
import { ConntrackReader, readClocks } from '@ringfence/native';
import { SourceTranslations } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { TranslationColumns } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { Backoff } from '../control/backoff.js';
import { codeOf, messageOf } from '../errors.js';
import { WallClock } from '../flows/clock.js';
import { LatestFile } from '../store/latest-file.js';
import type { Timers } from '../timers.js';
import type { FoundWorkload } from '../workloads/found-workload.js';
import {
  DestinationTranslationBook,
  isKeptDestination,
  type KeptDestination,
  type SeenDestination,
} from './destination-translations.js';
import { localAddresses } from './local-addresses.js';
import { type SeenTranslation, SourceTranslationBook } from './source-translations.js';
import { BATCH_ROWS_MAX, destinationKey, sourceKey, TranslationTable } from './translation-table.js';

export interface ConntrackWatchOptions {
  /** The host translates for others: its own workloads are not all that counts. */
  readonly gateway: boolean;
  /** Translations held at most. */
  readonly rowsMax: number;
  /** Where pairs of addresses are kept for the next run. */
  readonly file: string;
}

export interface ConntrackWatchPorts {
  /** Sends a batch on the flow stream; false: there is no room for one now. */
  readonly upload: (columns: TranslationColumns) => boolean;
  readonly onTranslations: (report: SourceTranslations) => void;
  readonly timers: Timers;
  readonly random: () => number;
}

/** Between a connection and its way to the controller, while others come. */
const FLUSH_MS = 100;
/** Between looks at whether the host's source translations have changed. */
const REPORT_MS = 500;
/** Open connections are told again so often: what the controller has not heard of for twice as long it gives up. */
const REFRESH_MS = 30 * 60_000;

export class ConntrackWatch {
  readonly #ports: ConntrackWatchPorts;
  readonly #clock = new WallClock(readClocks);
  readonly #table: TranslationTable;
  readonly #book: SourceTranslationBook;
  readonly #destinations: DestinationTranslationBook;
  readonly #backoff: Backoff;
  #reader: ConntrackReader | undefined;
  #addresses: ReadonlyMap<string, string> = new Map();
  #cancels: (() => void)[] = [];
  #cancelDump: (() => void) | undefined;
  #dumping: Promise<void> = Promise.resolve();
  #refreshAt = 0;
  #flushedAt = 0;
  #unsaved = false;
  #saving: Promise<void> = Promise.resolve();
  readonly #kept: LatestFile;
  /** Why conntrack is not read; undefined while it is. */
  problem: string | undefined;

  constructor(options: ConntrackWatchOptions, ports: ConntrackWatchPorts) {
    this.#ports = ports;
    this.#backoff = new Backoff({ firstMs: 100, maxMs: 30_000 }, ports.random);
    const { now } = ports.timers;
    const kept = readKept(options.file);
    this.#kept = new LatestFile(options.file);
    const openSources = () => {
      const open = this.#table.sources();
      return (inside: string, outside: string) => open.has(sourceKey(latin(inside), latin(outside)));
    };
    const openDestinations = () => {
      const open = this.#table.destinations();
      return (seen: SeenDestination) =>
        open.has(destinationKey({ ...seen, address: latin(seen.address), to: latin(seen.to) }));
    };
    const { gateway } = options;
    this.#book = new SourceTranslationBook({ gateway, now, openNow: openSources }, kept.pairs);
    this.#destinations = new DestinationTranslationBook({ now, openNow: openDestinations }, kept.destinations);
    this.#table = new TranslationTable({
      rowsMax: options.rowsMax,
      toWallUs: (ns) => this.#clock.toWallUs(ns),
      localIdAt: (address) => this.#addresses.get(address) ?? '',
      onSource: (inside, outside) => this.#book.note(inside, outside),
      onDestination: (at, listed) => {
        // Who else translates for others does so for containers of its own: those are in the inventory.
        if (options.gateway) this.#destinations.note({ ...at, address: hexOf(at.address), to: hexOf(at.to) }, listed);
      },
    });
  }

  /** Begins to read the connections of the agent's network namespace. A kernel that refuses leaves `problem`. */
  start(): void {
    try {
      this.#reader = new ConntrackReader(
        {},
        { onRecords: (bytes, records) => this.#take(bytes, records), onLost: () => this.#dumpSoon() },
      );
    } catch (error) {
      this.problem = `${codeOf(error, 'RF_NETLINK')}: ${messageOf(error)}`;
      return;
    }
    void this.#dump();
    this.#refreshAt = this.#ports.timers.steady() + REFRESH_MS;
    this.#every(FLUSH_MS, () => this.#flush());
    this.#every(REPORT_MS, () => this.#report());
  }

  async close(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    this.#cancelDump?.();
    await this.#reader?.close();
    await this.#saving;
    await this.#save();
  }

  /** Who is on this host now. */
  setWorkloads(found: readonly FoundWorkload[]): void {
    const { byAddress, own, others } = localAddresses(found);
    this.#addresses = byAddress;
    this.#book.setLocal(own, others);
    this.#destinations.setLocal(own, others);
  }

  /** A flow stream has begun: its controller may know nothing yet. */
  onStream(): void {
    this.#table.tellAll();
  }

  /** The whole, for a new sync stream. */
  translations(): SourceTranslations {
    return SourceTranslations.create({
      ...this.#book.report(),
      destinations: this.#destinations.report(this.#book.outsides()),
      destinationsLeftOut: this.#destinations.untold,
    });
  }

  counters(): { readonly open: number; readonly waiting: number; readonly dropped: number; readonly overruns: number } {
    const overruns = Number(this.#reader?.counters().overruns ?? 0n);
    return { open: this.#table.open, waiting: this.#table.waiting, dropped: this.#table.dropped, overruns };
  }

  /** The first after a quiet time is told at once: its flow record is on its way too. */
  #take(bytes: Uint8Array, records: number): void {
    this.#table.take(bytes, records);
    if (this.#ports.timers.steady() - this.#flushedAt >= FLUSH_MS) this.#flush();
  }

  #every(ms: number, act: () => void): void {
    const slot = this.#cancels.length;
    const next = () => {
      this.#cancels[slot] = this.#ports.timers.after(ms, () => {
        act();
        next();
      });
    };
    next();
  }

  #flush(): void {
    this.#flushedAt = this.#ports.timers.steady();
    this.#clock.resample();
    if (this.#ports.timers.steady() >= this.#refreshAt) {
      this.#refreshAt = this.#ports.timers.steady() + REFRESH_MS;
      this.#table.tellAll();
    }
    while (this.#table.waiting > 0) {
      const overruns = this.#reader?.counters().overruns ?? 0n;
      if (!this.#table.offer(BATCH_ROWS_MAX, overruns, this.#ports.upload)) return;
    }
  }

  #report(): void {
    const sources = this.#book.changed() !== undefined;
    const destinations = this.#destinations.changed(this.#book.outsides());
    if (!sources && !destinations) return;
    this.#unsaved = true;
    this.#ports.onTranslations(this.translations());
    this.#saving = this.#save();
  }

  #dumpSoon(): void {
    this.#cancelDump ??= this.#ports.timers.after(this.#backoff.nextMs(), () => {
      this.#cancelDump = undefined;
      void this.#dump();
    });
  }

  /** One after the other: what a dump lists is marked, and what is not marked at its end is over. */
  #dump(): Promise<void> {
    this.#dumping = this.#dumping.then(() => this.#dumpOnce());
    return this.#dumping;
  }

  async #dumpOnce(): Promise<void> {
    this.#table.beginDump();
    try {
      await this.#reader?.dump();
      this.#table.endDump(this.#clock.monotonicNs());
      if (this.#cancelDump === undefined) this.#backoff.reset();
      this.problem = undefined;
    } catch (error) {
      if (codeOf(error, '') === 'RF_CLOSED') return;
      this.problem = `${codeOf(error, 'RF_NETLINK')}: ${messageOf(error)}`;
      this.#dumpSoon();
    }
  }

  async #save(): Promise<void> {
    if (!this.#unsaved) return;
    this.#unsaved = false;
    try {
      await this.#kept.write(() =>
        JSON.stringify({ pairs: this.#book.kept(), destinations: this.#destinations.kept() }),
      );
    } catch {
      this.#unsaved = true; // else a next run learns them again from the connections that it sees
    }
  }
}

/** What an earlier run kept; nothing when there is none, or it cannot be read: it is only a head start. */
function readKept(file: string): { pairs: SeenTranslation[]; destinations: KeptDestination[] } {
  try {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { pairs?: unknown; destinations?: unknown };
    const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
    const pairs = listOf(kept.pairs).filter(
      (pair): pair is SeenTranslation =>
        typeof pair === 'object' &&
        pair !== null &&
        'inside' in pair &&
        'outside' in pair &&
        'seenMs' in pair &&
        HEX.test(String(pair.inside)) &&
        HEX.test(String(pair.outside)) &&
        Number.isFinite(pair.seenMs),
    );
    return { pairs, destinations: listOf(kept.destinations).filter(isKeptDestination) };
  } catch {
    return { pairs: [], destinations: [] };
  }
}

const latin = (hex: string) => Buffer.from(hex, 'hex').toString('latin1');
const hexOf = (address: string) => Buffer.from(address, 'latin1').toString('hex');

const HEX = /^[0-9a-f]{32}$/;
