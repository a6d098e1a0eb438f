// One flow record for each connection: what a scenario asks of the records that stitching leaves.
import { type Direction, Reason } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow, FlowView } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Fleet } from '../src/fleet.js';
import { until } from '../src/until.js';

/** A connection that was made, alone with its ends and service at its time. */
export interface MadeConnection {
  /** Names of the workloads. */
  readonly source: string;
  readonly destination: string;
  /** IANA number. */
  readonly protocol: number;
  readonly servicePort: number;
  /** Unix microseconds. */
  readonly beginUs: number;
  readonly endUs: number;
  /** Ends that report on it. */
  readonly views: 1 | 2;
}

/** Agents tell wall time from a sampled distance to their own clock. */
const CLOCK_US = 15_000;
const WAIT_MS = 15_000;

/**
 * Waits until there is exactly one record of the connection, with so many views, and none beside it that may be of it too (its source or its
 * destination not named). Rejects with what was found instead.
 */
export async function oneFlow(fleet: Fleet, made: MadeConnection): Promise<Flow> {
  let found: Flow[] = [];
  try {
    return await until(
      'one record',
      async () => {
        found = (await fleet.api.flows()).filter((flow) => mayBeOf(flow, made));
        const [only] = found;
        const named = only?.source?.workloadName === made.source && only.destination?.workloadName === made.destination;
        return found.length === 1 && named && viewsOf(only) === made.views ? only : undefined;
      },
      { timeoutMs: WAIT_MS, intervalMs: 100 },
    );
  } catch {
    const { source, destination, views } = made;
    const text = found.map((flow) => `${nameOf(flow.source)} → ${nameOf(flow.destination)} of ${viewsOf(flow)}`);
    throw new Error(`found [${text.join('; ')}], wanted one record, ${source} → ${destination} of ${views}`);
  }
}

/** What one end saw of a connection: its view, where both ends reported; else nothing but the record itself. */
export function viewOf(flow: Flow, direction: Direction): FlowView | undefined {
  return flow.views.find((view) => view.direction === direction);
}

/** Ends that have reported. */
export function viewsOf(flow: Flow): number {
  return Math.max(1, flow.views.length);
}

/** Whether this end reported in the record. */
export function sawIt(flow: Flow, direction: Direction): boolean {
  return flow.views.length > 0 || flow.direction === direction;
}

function mayBeOf(flow: Flow, made: MadeConnection): boolean {
  // A record of one end alone is by that end's clock; all hosts of a lab have the same.
  const firstUs = Number(flow.firstSeenUs);
  const is = (end: Flow['source'], name: string) => (end?.workloadName || name) === name;
  return (
    flow.protocol === made.protocol &&
    flow.servicePort === made.servicePort &&
    flow.reason !== Reason.REASON_LOOPBACK &&
    firstUs >= made.beginUs - CLOCK_US &&
    firstUs <= made.endUs + CLOCK_US &&
    is(flow.source, made.source) &&
    is(flow.destination, made.destination)
  );
}

function nameOf(end: Flow['source']): string {
  return end?.workloadName || 'somebody';
}
