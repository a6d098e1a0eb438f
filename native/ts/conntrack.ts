import { binding } from './binding.js';

export interface ConntrackOptions {
  /** Path of the network namespace whose connections are read; '' (default): the caller's. */
  netns?: string;
  /** Bytes of the kernel's queue of events. Default 4 MiB: some ten thousand connections beyond what JavaScript has taken. */
  receiveBytes?: number;
  /** Records in one batch at most. Default 512. */
  batchRecords?: number;
  /** Batches on their way at once; when none is free the kernel's queue holds what comes. Default 8. */
  batches?: number;
  /** How long the first event of a burst waits for others. Default 2. */
  delayMs?: number;
}

/** What a record tells. */
export const ConntrackKind = {
  /** A connection was translated for the first time. */
  created: 1,
  /** It is over: the kernel has forgotten it. */
  gone: 2,
  /** It was there when a dump passed. */
  listed: 3,
} as const;

/**
 * Where the fields of a packed record stand, in bytes, host byte order. Addresses are 16 bytes, IPv4 mapped. `source` to `destination` is how
 * the one who opened the connection sent its packets, `translated…` the same once translated. ICMP: the source port is the echo id, the
 * destination port type * 256 + code of the message that opened it.
 */
export const CONNTRACK = {
  bytes: 88,
  /** u64, CLOCK_MONOTONIC when it was read. */
  atNs: 0,
  /** u32, the kernel's id: unique among the connections that live. */
  id: 8,
  /** u16 */
  zone: 12,
  /** u8, ConntrackKind. */
  kind: 14,
  /** u8, IANA. */
  protocol: 15,
  source: 16,
  destination: 32,
  translatedSource: 48,
  translatedDestination: 64,
  sourcePort: 80,
  destinationPort: 82,
  translatedSourcePort: 84,
  translatedDestinationPort: 86,
} as const;

export interface ConntrackHandlers {
  /** Packed records, oldest first. The bytes are reused: read or copy them before returning. */
  readonly onRecords: (bytes: Uint8Array, records: number) => void;
  /** Events before this were lost since the kernel's queue was full. Ask for a dump. */
  readonly onLost: () => void;
}

export interface ConntrackCounters {
  /** Records handed over or on their way. */
  records: bigint;
  /** Times that the kernel's queue was full. */
  overruns: bigint;
  /** Messages that told of no translated connection; in dumps every connection that nobody translates. */
  passedOver: bigint;
}

/**
 * Reads connections that the kernel's NAT translates: events from the moment it is made, and what is there already when asked. What
 * nobody translates is filtered out in the kernel. Handlers run on the thread that made it; what they throw is an uncaught exception.
 * An open reader keeps the event loop alive. Needs CAP_NET_ADMIN, with `netns` CAP_SYS_ADMIN as well.
 */
export class ConntrackReader {
  readonly #native;
  #closing: Promise<void> | undefined;

  /** Throws RF_ARGUMENT, RF_NETLINK (no permission, or a kernel without ctnetlink), RF_NETNS. */
  constructor(options: ConntrackOptions, handlers: ConntrackHandlers) {
    this.#native = binding().createConntrack(
      options.netns ?? '',
      options.receiveBytes ?? 4 << 20,
      options.batchRecords ?? 512,
      options.batches ?? 8,
      options.delayMs ?? 2,
      (buffer, records) => {
        if (buffer === null) handlers.onLost();
        else handlers.onRecords(new Uint8Array(buffer, 0, records * CONNTRACK.bytes), records);
      },
    );
  }

  /**
   * Hands over every translated connection that the kernel has (kind listed). Resolves after the last one; events that were waiting are
   * handed over before the first. Rejects with RF_NETLINK, or RF_CLOSED when the reader is closed first.
   */
  dump(): Promise<void> {
    return this.#native.dump();
  }

  /** Readable at any time, also after close(). */
  counters(): ConntrackCounters {
    return this.#native.counters();
  }

  /** Ends the thread and unsubscribes. Resolves after the last call of a handler. Idempotent: the same promise. */
  close(): Promise<void> {
    this.#closing ??= this.#native.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
