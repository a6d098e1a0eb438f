import type { NativeProgram } from './binding.js';
import { binding } from './binding.js';
import type { ProgramType } from './constants.js';
import type { BpfMap } from './map.js';

export interface ProgramInfo {
  id: number;
  type: ProgramType;
  /** At most 15 characters. */
  name: string;
  /** 16 hex digits: the kernel's hash of the instructions. Equal code, equal tag. */
  tag: string;
  mapIds: number[];
  /** CLOCK_BOOTTIME when it was loaded. */
  loadedAtNs: bigint;
  /** Only counted while kernel.bpf_stats_enabled is set. */
  runTimeNs: bigint;
  runCount: bigint;
  /** Packets passed uncounted because the program was running already on that CPU (recursion). */
  recursionMisses: bigint;
}

export interface TestRunOptions {
  /** Packet, Ethernet header first (also for cgroup_skb, which then sees it from the network header). */
  data?: Uint8Array;
  /** Room for the packet as the program left it. Default: data.length + 256. */
  dataOutBytes?: number;
  /** Context struct; for packets see skbContext(). */
  context?: Uint8Array;
  /** Runs in the kernel; durationNs is the mean. Default 1. */
  repeat?: number;
  /** BPF_F_TEST_* bits. */
  flags?: number;
  /** Run inside this network namespace (path): interface indexes in the context are looked up there. */
  netns?: string;
}

export interface TestRunResult {
  retval: number;
  durationNs: number;
  data: Uint8Array;
  context: Uint8Array;
}

/** The fields of struct __sk_buff that the kernel accepts as test input. Everything else it computes from data. */
export interface SkbContext {
  mark?: number;
  priority?: number;
  /** Interface the packet came in by. */
  ingressIfindex?: number;
  /** Interface the packet is at. The kernel wants it to exist in the namespace of the run. */
  ifindex?: number;
  /** cb[0..4]. */
  cb?: readonly number[];
  wireLen?: number;
  gsoSegs?: number;
  gsoSize?: number;
}

const SKB_BYTES = 192;

/** struct __sk_buff for TestRunOptions.context. */
export function skbContext(fields: SkbContext): Uint8Array {
  const bytes = new Uint8Array(SKB_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (offset: number, value: number | undefined): void => view.setUint32(offset, value ?? 0, true);
  put(8, fields.mark);
  put(32, fields.priority);
  put(36, fields.ingressIfindex);
  put(40, fields.ifindex);
  for (const [i, value] of (fields.cb ?? []).slice(0, 5).entries()) put(48 + 4 * i, value);
  put(160, fields.wireLen);
  put(164, fields.gsoSegs);
  put(176, fields.gsoSize);
  return bytes;
}

/**
 * The same fields as a run left them (TestRunResult.context). The kernel gives no others back: not len, protocol or tc_classid.
 */
export function readSkbContext(context: Uint8Array): Required<SkbContext> {
  const view = new DataView(context.buffer, context.byteOffset, context.byteLength);
  const get = (offset: number): number => view.getUint32(offset, true);
  return {
    mark: get(8),
    priority: get(32),
    ingressIfindex: get(36),
    ifindex: get(40),
    cb: [0, 1, 2, 3, 4].map((i) => get(48 + 4 * i)),
    wireLen: get(160),
    gsoSegs: get(164),
    gsoSize: get(176),
  };
}

/** One loaded program, held by its own file descriptor. After close() every call throws RF_CLOSED. */
export class BpfProgram {
  readonly #native: NativeProgram;

  /** @internal */
  constructor(native: NativeProgram) {
    this.#native = native;
  }

  /** Throws RF_NOT_FOUND when nothing is pinned there, RF_ARGUMENT when it is not a program. */
  static fromPin(path: string): BpfProgram {
    return new BpfProgram(binding().programFromPin(path));
  }

  /** By kernel id. Takes CAP_SYS_ADMIN, where a pin would not. Throws RF_NOT_FOUND, RF_KERNEL. */
  static fromId(id: number): BpfProgram {
    return new BpfProgram(binding().programFromId(id));
  }

  /** Valid until close(); never close it yourself. */
  get fd(): number {
    return this.#native.fd();
  }

  get info(): ProgramInfo {
    return this.#native.info() as ProgramInfo;
  }

  /** Throws RF_PIN (errno EEXIST when the path is taken). */
  pin(path: string): void {
    this.#native.pin(path);
  }

  /** BPF_PROG_TEST_RUN. Throws RF_BPF_TEST_RUN (e.g. ENOTSUPP for connect hooks, EINVAL for packets under 14 bytes). */
  testRun(options: TestRunOptions = {}): TestRunResult {
    const data = options.data ?? new Uint8Array(0);
    const context = options.context ?? new Uint8Array(0);
    return this.#native.testRun(
      data,
      options.dataOutBytes ?? (data.length > 0 ? data.length + 256 : 0),
      context,
      options.repeat ?? 1,
      options.flags ?? 0,
      options.netns ?? '',
    );
  }

  /**
   * For iterator programs: attaches, reads all the output, detaches. map: what a map-element iterator walks. netns matters to
   * socket iterators. Throws RF_ITER; also when there are more than maxBytes (default 64 MiB).
   */
  iterate(options: { map?: BpfMap; netns?: string; maxBytes?: number } = {}): Buffer {
    return this.#native.iterate(options.map ? options.map.fd : -1, options.netns ?? '', options.maxBytes ?? 64 << 20);
  }

  get closed(): boolean {
    return this.#native.closed();
  }

  /** Idempotent. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
