import type { NativeLink } from './binding.js';
import { binding } from './binding.js';
import { AttachType, type TcDirection } from './constants.js';
import type { BpfProgram } from './program.js';

export interface LinkInfo {
  id: number;
  /** See LinkType. */
  type: number;
  progId: number;
  /** TCX; 0 when the interface is gone (the link is defunct) and for other types. */
  ifindex: number;
  attachType: number;
  /** cgroup links; 0n otherwise, and when the cgroup is gone. */
  cgroupId: bigint;
}

export interface TcxPlace {
  ifindex: number;
  direction: TcDirection;
  /** Path of the network namespace the interface is in. Default: this process's. */
  netns?: string;
}

/** head: before every program already there; tail: after. */
export type TcxOrder = 'head' | 'tail';

export interface AttachedProgram {
  progId: number;
  /** 0 when attached without a link, and where the kernel does not say (cgroups). */
  linkId: number;
}

export interface AttachedList {
  programs: AttachedProgram[];
  /** Grows with every change at that place; undefined where the kernel does not count (cgroups before 6.14). */
  revision: bigint | undefined;
}

/**
 * An attachment that lives as long as a descriptor or pin holds it. Pinned, it outlives the process. After close() every call
 * throws RF_CLOSED.
 */
export class BpfLink {
  readonly #native: NativeLink;

  private constructor(native: NativeLink) {
    this.#native = native;
  }

  /** Kernel 6.6 or later. Throws RF_NOT_FOUND (no such interface), RF_ATTACH (errno EINVAL: kernel too old). */
  static attachTcx(program: BpfProgram, place: TcxPlace & { order?: TcxOrder }): BpfLink {
    const native = binding().attachTcx(
      program.fd,
      place.ifindex,
      tcxAttachType(place.direction),
      place.order ?? 'tail',
      place.netns ?? '',
    );
    return new BpfLink(native);
  }

  /** At a cgroup v2 directory, beside whatever else is attached there or below. Throws RF_NOT_FOUND, RF_ATTACH. */
  static attachCgroup(program: BpfProgram, cgroupPath: string, attachType: AttachType): BpfLink {
    return new BpfLink(binding().attachCgroup(program.fd, cgroupPath, attachType));
  }

  /** Throws RF_NOT_FOUND when nothing is pinned there, RF_ARGUMENT when it is not a link. */
  static fromPin(path: string): BpfLink {
    return new BpfLink(binding().linkFromPin(path));
  }

  /** By kernel id. Takes CAP_SYS_ADMIN, where a pin would not. Throws RF_NOT_FOUND, RF_KERNEL. */
  static fromId(id: number): BpfLink {
    return new BpfLink(binding().linkFromId(id));
  }

  /** Valid until close(); never close it yourself. */
  get fd(): number {
    return this.#native.fd();
  }

  info(): LinkInfo {
    return this.#native.info();
  }

  pin(path: string): void {
    this.#native.pin(path);
  }

  /**
   * Replaces the program atomically: every packet sees the old or the new one. With expected: only if that one is attached now,
   * else RF_LINK_CHANGED and nothing is changed.
   */
  update(program: BpfProgram, expected?: BpfProgram): void {
    this.#native.update(program.fd, expected ? expected.fd : -1);
  }

  /** Detaches now, whoever else holds the link; pins stay as defunct files. */
  detach(): void {
    this.#native.detach();
  }

  get closed(): boolean {
    return this.#native.closed();
  }

  /** Idempotent. Detaches when nothing else holds the link. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export function tcxAttachType(direction: TcDirection): number {
  return direction === 'ingress' ? AttachType.TCX_INGRESS : AttachType.TCX_EGRESS;
}

/** Programs at an interface, in running order. Throws RF_QUERY (errno EINVAL: kernel without TCX). */
export function queryTcx(place: TcxPlace): AttachedList {
  return binding().queryTcx(place.ifindex, tcxAttachType(place.direction), place.netns ?? '');
}

/** Programs at a cgroup; effective: those of its ancestors too, as they run (revision undefined then). */
export function queryCgroup(
  cgroupPath: string,
  attachType: AttachType,
  options: { effective?: boolean } = {},
): AttachedList {
  return binding().queryCgroup(cgroupPath, attachType, options.effective ?? false);
}
