import { binding } from './binding.js';

/** One interface of this process's network namespace. */
export interface NetInterface {
  index: number;
  name: string;
  /** Index of the other end (a veth's peer, a VLAN's parent), in its own namespace; 0 when there is none. */
  peerIndex: number;
  /** Number this namespace has for the one the other end is in; -1 when it is this one, or there is no other end. */
  peerNetnsId: number;
}

/** All interfaces. Needs no privilege and no /sys. Throws RF_NETLINK. */
export function listInterfaces(): NetInterface[] {
  return binding().listInterfaces();
}

/**
 * Number this network namespace has for a process's, as peerNetnsId counts; undefined when it has none (no interface leads there
 * that was listed yet) or there is no such process. Needs no privilege: the namespace is not entered. Throws RF_NETLINK.
 */
export function netnsIdOfProcess(pid: number): number | undefined {
  return binding().netnsIdOfProcess(pid);
}
