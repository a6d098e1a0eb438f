import { binding } from './binding.js';
import type { TcDirection } from './constants.js';
import type { BpfProgram } from './program.js';

/** Where a legacy TC filter sits. Same priority and handle: the same filter. */
export interface ClsactPlace {
  ifindex: number;
  direction: TcDirection;
  /** Path of the network namespace the interface is in. Default: this process's. */
  netns?: string;
  /** tc's "pref", 1 to 65535. */
  priority: number;
  handle: number;
}

/**
 * For kernels without TCX: makes the clsact qdisc if missing, then adds or atomically replaces the direct-action filter. The
 * filter outlives the process by itself. Throws RF_NOT_FOUND (no such interface), RF_ATTACH.
 */
export function clsactAttach(program: BpfProgram, place: ClsactPlace): { progId: number; qdiscCreated: boolean } {
  return binding().clsactAttach(
    program.fd,
    place.ifindex,
    place.direction === 'ingress',
    place.netns ?? '',
    place.priority,
    place.handle,
  );
}

/** Whether the filter was there. The qdisc stays: others may use it. */
export function clsactDetach(place: ClsactPlace): boolean {
  return binding().clsactDetach(
    place.ifindex,
    place.direction === 'ingress',
    place.netns ?? '',
    place.priority,
    place.handle,
  );
}

/** Id of the program in the filter, undefined when there is no such filter. */
export function clsactQuery(place: ClsactPlace): number | undefined {
  return binding().clsactQuery(
    place.ifindex,
    place.direction === 'ingress',
    place.netns ?? '',
    place.priority,
    place.handle,
  );
}

/** Removes the qdisc with all filters of both directions, whoever made them. Whether it was there. */
export function clsactRemoveQdisc(place: { ifindex: number; netns?: string }): boolean {
  return binding().clsactRemoveQdisc(place.ifindex, place.netns ?? '');
}
