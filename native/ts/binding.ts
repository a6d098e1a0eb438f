import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { BtfEnum, BtfStruct } from './btf.js';
import type { ConntrackCounters } from './conntrack.js';
import { NativeError } from './error.js';
import type { NetInterface } from './interfaces.js';
import type { AttachedList, LinkInfo } from './link.js';
import type { BatchResult, MapDump } from './map.js';
import type { ObjectVariable } from './object.js';
import type { TestRunResult } from './program.js';
import type { RingFold, RingLaneCounters } from './ring.js';

// Everything the addon exports, in the order of the C++ files. No defaults here or in C++: the classes beside this file fill them
// in. A network namespace is a path, '' for the caller's; a descriptor argument that may be absent is -1.

interface NativeHandle {
  fd(): number;
  close(): void;
  closed(): boolean;
}

/** src/object.cc */
export interface NativeObject {
  programs(): { name: string; section: string; type: number; expectedAttachType: number; autoload: boolean }[];
  maps(): {
    name: string;
    type: number;
    keySize: number;
    valueSize: number;
    maxEntries: number;
    flags: number;
    internal: boolean;
  }[];
  variables(): ObjectVariable[];
  initialValue(section: string): Uint8Array;
  setInitialValue(section: string, bytes: Uint8Array): void;
  setMaxEntries(map: string, maxEntries: number): void;
  setInnerMap(map: string, fd: number): void;
  reuseMap(map: string, fd: number): void;
  setAutoload(program: string, autoload: boolean): void;
  setProgramType(program: string, type: number, expectedAttachType: number): void;
  load(): void;
  map(name: string): NativeMap;
  program(name: string): NativeProgram;
  close(): void;
  closed(): boolean;
}

/** src/map.cc, src/map_batch.cc */
export interface NativeMap extends NativeHandle {
  info(): {
    id: number;
    type: number;
    name: string;
    keySize: number;
    valueSize: number;
    valueStride: number;
    maxEntries: number;
    flags: number;
  };
  lookup(key: Uint8Array): Uint8Array | undefined;
  update(key: Uint8Array, value: Uint8Array, flags: number): void;
  delete(key: Uint8Array): boolean;
  setInner(key: Uint8Array, fd: number): void;
  updateBatch(keys: Uint8Array, values: Uint8Array, flags: number): BatchResult;
  deleteBatch(keys: Uint8Array, missingOk: boolean): BatchResult;
  dump(): MapDump;
  pin(path: string): void;
  freeze(): void;
}

/** src/program.cc, src/iter.cc */
export interface NativeProgram extends NativeHandle {
  info(): {
    id: number;
    type: number;
    name: string;
    tag: string;
    mapIds: number[];
    loadedAtNs: bigint;
    runTimeNs: bigint;
    runCount: bigint;
    recursionMisses: bigint;
  };
  pin(path: string): void;
  testRun(
    data: Uint8Array,
    dataOutBytes: number,
    context: Uint8Array,
    repeat: number,
    flags: number,
    netns: string,
  ): TestRunResult;
  iterate(mapFd: number, netns: string, maxBytes: number): Buffer;
}

/** src/link.cc */
export interface NativeLink extends NativeHandle {
  info(): LinkInfo;
  pin(path: string): void;
  update(newFd: number, expectedFd: number): void;
  detach(): void;
}

/** src/ring.cc */
export interface NativeRing {
  release(lane: number, slot: number): void;
  counters(): RingLaneCounters[];
  pause(): void;
  resume(): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** src/conntrack.cc */
export interface NativeConntrack {
  dump(): Promise<void>;
  counters(): ConntrackCounters;
  close(): Promise<void>;
}

export interface Binding {
  /** The class that C++ throws; set once after loading. */
  setErrorClass(type: typeof NativeError): void;

  openObjectFile(path: string, name: string): NativeObject;
  openObjectBuffer(bytes: Uint8Array, name: string): NativeObject;

  createMap(
    type: number,
    name: string,
    keySize: number,
    valueSize: number,
    maxEntries: number,
    flags: number,
    innerFd: number,
  ): NativeMap;
  mapFromPin(path: string): NativeMap;
  mapFromId(id: number): NativeMap;

  programFromPin(path: string): NativeProgram;
  programFromId(id: number): NativeProgram;

  attachTcx(progFd: number, ifindex: number, attachType: number, order: string, netns: string): NativeLink;
  attachCgroup(progFd: number, path: string, attachType: number): NativeLink;
  linkFromPin(path: string): NativeLink;
  linkFromId(id: number): NativeLink;
  queryTcx(ifindex: number, attachType: number, netns: string): AttachedList;
  queryCgroup(path: string, attachType: number, effective: boolean): AttachedList;

  /** src/clsact.cc */
  clsactAttach(
    progFd: number,
    ifindex: number,
    ingress: boolean,
    netns: string,
    priority: number,
    handle: number,
  ): { progId: number; qdiscCreated: boolean };
  clsactDetach(ifindex: number, ingress: boolean, netns: string, priority: number, handle: number): boolean;
  clsactQuery(ifindex: number, ingress: boolean, netns: string, priority: number, handle: number): number | undefined;
  clsactRemoveQdisc(ifindex: number, netns: string): boolean;

  createRing(
    lanes: number[][],
    recordBytes: number,
    batchRecords: number,
    batchesPerLane: number,
    drainIntervalUs: number,
    maxDelayMs: number,
    maxIdleMs: number,
    fold: RingFold | null,
    onBatch: (buffer: ArrayBuffer, recordCount: number, lane: number, slot: number) => void,
  ): NativeRing;

  /** src/conntrack.cc: onMessage gets null when events were lost, else records, its own until it returns. */
  createConntrack(
    netns: string,
    receiveBytes: number,
    batchRecords: number,
    batches: number,
    delayMs: number,
    onMessage: (buffer: ArrayBuffer | null, records: number) => void,
  ): NativeConntrack;

  /** src/btf.cc */
  readBtf(source: string, names: string[] | undefined): { structs: BtfStruct[]; enums: BtfEnum[] };

  /** src/kernel.cc */
  possibleCpus(): number;
  cgroupId(path: string): bigint;
  netnsCookie(netns: string): bigint;
  interfaceIndex(name: string, netns: string): number | undefined;
  ensureBpffs(path: string): boolean;
  unpin(path: string): boolean;
  readClocks(): { monotonicNs: bigint; realtimeNs: bigint; boottimeNs: bigint };
  effectiveCapabilities(): bigint;

  /** src/privilege.cc */
  execBounded(keepLow: number, keepHigh: number, path: string, argv: string[], environment: string[]): never;

  /** src/sock_diag.cc */
  destroySocket(
    protocol: number,
    localAddress: Uint8Array,
    localPort: number,
    remoteAddress: Uint8Array,
    remotePort: number,
    netns: string,
  ): boolean;
  /** 40 bytes each: local and remote address, local and remote port (little-endian), protocol, 3 of nothing. */
  destroySockets(packed: Uint8Array, netns: string): { destroyed: number; problem: string };

  // src/interfaces.cc
  listInterfaces(): NetInterface[];
  netnsIdOfProcess(pid: number): number | undefined;

  /** src/probe.cc: errno and reason of the step that failed; reason '' when supported. */
  probeFeature(name: string): { errno: number; reason: string };
}

const ADDON = new URL('../build/Release/ringfence.node', import.meta.url);
let loaded: Binding | undefined;

/** The addon, loaded at first use so that importing this package needs no build. Throws RF_NATIVE_LOAD. */
export function binding(): Binding {
  if (loaded) return loaded;
  const path = fileURLToPath(ADDON);
  try {
    const addon = createRequire(import.meta.url)(path) as Binding;
    addon.setErrorClass(NativeError);
    loaded = addon;
    return addon;
  } catch (cause) {
    throw new NativeError(
      {
        code: 'RF_NATIVE_LOAD',
        message: `Cannot load the native addon ${path}: ${cause instanceof Error ? cause.message : String(cause)}. Next: native/build.sh`,
        fields: { path },
      },
      { cause },
    );
  }
}
