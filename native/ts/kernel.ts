import { binding } from './binding.js';

/** CPUs the kernel may ever have: the width of per-CPU values and the number of per-CPU rings. */
export function possibleCpus(): number {
  return binding().possibleCpus();
}

/** The 64-bit id that BPF sees (bpf_skb_cgroup_id). Throws RF_NOT_FOUND, RF_KERNEL when the path is not in a cgroup v2 mount. */
export function cgroupId(path: string): bigint {
  return binding().cgroupId(path);
}

/** SO_NETNS_COOKIE of this process's network namespace, or of the one at a path. Kernel 5.14. Throws RF_NETNS, RF_KERNEL. */
export function netnsCookie(netns?: string): bigint {
  return binding().netnsCookie(netns ?? '');
}

/** Index of an interface by name, undefined when there is none. Throws RF_NETNS. */
export function interfaceIndex(name: string, netns?: string): number | undefined {
  return binding().interfaceIndex(name, netns ?? '');
}

export interface SocketTuple {
  protocol: 'tcp' | 'udp';
  /** 16 bytes, IPv4 mapped; a mapped pair also matches IPv6 sockets that talk IPv4. */
  localAddress: Uint8Array;
  localPort: number;
  remoteAddress: Uint8Array;
  remotePort: number;
  /** Path; default: this process's. */
  netns?: string;
}

/**
 * Closes the local socket of a connection, whoever owns it (SOCK_DESTROY, as `ss -K`); the owner gets ECONNABORTED, TCP peers a
 * RST. Throws RF_NETLINK (EOPNOTSUPP: kernel without CONFIG_INET_DIAG_DESTROY; EPERM), RF_ARGUMENT, RF_NETNS.
 */
export function destroySocket(tuple: SocketTuple): 'destroyed' | 'not-found' {
  const { protocol, localAddress, localPort, remoteAddress, remotePort, netns } = tuple;
  const done = binding().destroySocket(
    protocol === 'tcp' ? 6 : 17,
    localAddress,
    localPort,
    remoteAddress,
    remotePort,
    netns ?? '',
  );
  return done ? 'destroyed' : 'not-found';
}

const PACKED_BYTES = 40;

/**
 * The same for many sockets of one network namespace (a path; default: this process's), which cost a thread and a socket of netlink together
 * instead of each. Half tuples are passed over. `problem`: why one of them could not be closed; '' when none was refused. Throws RF_NETLINK
 * when the kernel cannot be asked at all, RF_NETNS.
 */
export function destroySockets(
  tuples: readonly Omit<SocketTuple, 'netns'>[],
  netns?: string,
): { destroyed: number; problem: string } {
  const packed = Buffer.alloc(tuples.length * PACKED_BYTES);
  tuples.forEach(({ protocol, localAddress, localPort, remoteAddress, remotePort }, i) => {
    const at = i * PACKED_BYTES;
    packed.set(localAddress, at);
    packed.set(remoteAddress, at + 16);
    packed.writeUInt16LE(localPort, at + 32);
    packed.writeUInt16LE(remotePort, at + 34);
    packed[at + 36] = protocol === 'tcp' ? 6 : 17;
  });
  return binding().destroySockets(packed, netns ?? '');
}

/** Makes the directory and mounts bpffs on it unless it is one already. Whether it mounted. Throws RF_KERNEL. */
export function ensureBpffs(path: string): boolean {
  return binding().ensureBpffs(path);
}

/**
 * Removes a pin; whether it was there. Refuses anything that is not on bpffs (RF_ARGUMENT). What only the pin held (a link, so an
 * attachment) goes a grace period later, not before this returns; BpfLink.detach() is immediate.
 */
export function unpin(path: string): boolean {
  return binding().unpin(path);
}

/** Both clocks read back to back, to turn CLOCK_MONOTONIC event times into wall time: real = t + (realtimeNs - monotonicNs). */
export function readClocks(): { monotonicNs: bigint; realtimeNs: bigint; boottimeNs: bigint } {
  return binding().readClocks();
}

/** Effective capabilities of the calling thread, e.g. 'CAP_BPF'; numbers without a known name as 'CAP_41'. */
export function effectiveCapabilities(): Set<string> {
  const mask = binding().effectiveCapabilities();
  const out = new Set<string>();
  for (let bit = 0; bit < 64; bit++) {
    if ((mask >> BigInt(bit)) & 1n) out.add(CAPABILITIES[bit] ?? `CAP_${bit}`);
  }
  return out;
}

/** By bit number. */
export const CAPABILITIES: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);
