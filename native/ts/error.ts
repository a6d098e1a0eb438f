/** Every code a NativeError may carry. Stable: callers branch on it, never on the text. */
export type NativeErrorCode =
  | 'RF_NATIVE_LOAD' // the addon itself is missing or cannot be loaded
  | 'RF_CLOSED' // use after close()
  | 'RF_ARGUMENT' // wrong type, wrong length, out of range; nothing was done
  | 'RF_STATE' // right call, wrong time (e.g. set read-only data after load)
  | 'RF_NOT_FOUND' // no such program, map, variable, pin, interface, cgroup
  | 'RF_BPF_OPEN' // object file cannot be parsed
  | 'RF_BPF_LOAD' // object cannot be loaded (not the verifier: maps, relocation, permission)
  | 'RF_BPF_VERIFIER' // the verifier refused a program; see log
  | 'RF_BPF_TEST_RUN'
  | 'RF_MAP_CREATE'
  | 'RF_MAP_ACCESS' // lookup, update, delete, dump, freeze
  | 'RF_MAP_FULL' // update refused for lack of room (E2BIG, ENOMEM, ENOSPC)
  | 'RF_PIN'
  | 'RF_ATTACH'
  | 'RF_LINK' // update, detach or query of a link
  | 'RF_LINK_CHANGED' // atomic update refused: another program than the expected one is attached
  | 'RF_QUERY'
  | 'RF_ITER'
  | 'RF_RING'
  | 'RF_BTF'
  | 'RF_NETNS' // a network namespace cannot be opened or entered
  | 'RF_NETLINK'
  | 'RF_KERNEL'; // any other system call

export interface NativeErrorDetail {
  code: NativeErrorCode;
  message: string;
  /** Positive errno value, 0 when no system call failed. */
  errno?: number;
  /** Its name, e.g. 'ENOENT'; '' without errno. */
  errnoName?: string;
  /** The call that failed, e.g. 'bpf(BPF_LINK_CREATE)'; '' when none did. */
  syscall?: string;
  /** What the call was about: names, paths, sizes. */
  fields?: Record<string, string | number | bigint>;
  /** Full verifier or libbpf log; the message holds only its tail. */
  log?: string;
}

/** The one error this package throws. message reads "Cannot <action> <object>: <found>, wanted <...>". */
export class NativeError extends Error {
  override readonly name = 'NativeError';
  readonly code: NativeErrorCode;
  readonly errno: number;
  readonly errnoName: string;
  readonly syscall: string;
  readonly fields: Readonly<Record<string, string | number | bigint>>;
  readonly log: string;

  constructor(detail: NativeErrorDetail, options?: ErrorOptions) {
    super(detail.message, options);
    this.code = detail.code;
    this.errno = detail.errno ?? 0;
    this.errnoName = detail.errnoName ?? '';
    this.syscall = detail.syscall ?? '';
    this.fields = detail.fields ?? {};
    this.log = detail.log ?? '';
  }
}
