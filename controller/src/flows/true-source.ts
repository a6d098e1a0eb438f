// The seam between what hosts tell of their translations and the naming of flow ends: who really opened a connection whose source
// was translated on the way. Ingest asks it for inbound records before they are stitched.

/** A connection as the called end's host saw it: the source translated, the destination its own. */
export interface InboundTuple {
  /** Host that reported. */
  readonly hostId: string;
  readonly protocol: number;
  /** 16 bytes, IPv4 mapped. Valid during the call only. */
  readonly sourceIp: Uint8Array;
  /** ICMP: the echo id. */
  readonly sourcePort: number;
  /** 16 bytes. */
  readonly destinationIp: Uint8Array;
  /** ICMP: type * 256 + code. */
  readonly destinationPort: number;
  /** First packet by the reporter's clock, Unix microseconds. Clocks differ by up to 5 s. */
  readonly firstSeenUs: number;
  /** Nobody asks about this one again. Until then a name may wait for what other hosts still have to tell. */
  readonly final: boolean;
}

/** The end that opened it, as its own host saw it. */
export interface TrueSource {
  readonly workloadId: string;
  /** Before translation, 16 bytes. */
  readonly ip: Uint8Array;
  /** Before translation; ICMP: the echo id. */
  readonly port: number;
}

export interface SourceResolver {
  /**
   * Who opened this connection; undefined while nobody has told. Asked for inbound records whose source is not named exactly: when
   * they arrive, and once more when nothing has been found that fits them until the end of the stitching window. Must be quick.
   */
  trueSource(tuple: InboundTuple): TrueSource | undefined;
}
