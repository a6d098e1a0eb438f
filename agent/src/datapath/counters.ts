// Reading the programs' counters.
import { COUNTER, DIRECTIONS, HelperError, LANE_STATS, Lane, laneIndex, REASONS } from '@ringfence/bpf';
import { type BpfMap, possibleCpus } from '@ringfence/native';
import type { LaneTotals, ReasonCount } from './types.js';

/** rf_counters, summed over CPUs. */
export function readCounters(map: BpfMap): ReasonCount[] {
  const { keys, values } = map.dump();
  const stride = map.info.valueStride;
  const out: ReasonCount[] = [];
  for (const [i, index] of indexes(keys).entries()) {
    let [packets, bytes] = [0n, 0n];
    for (let cpu = 0; cpu < possibleCpus(); cpu += 1) {
      const counter = COUNTER.decode(values, i * stride + cpu * COUNTER.size);
      packets += counter.packets;
      bytes += counter.bytes;
    }
    if (packets === 0n) continue;
    const [direction, rest] = [index % DIRECTIONS, Math.floor(index / DIRECTIONS)];
    out.push({ verdict: Math.floor(rest / REASONS), reason: rest % REASONS, direction, packets, bytes });
  }
  return out;
}

/** rf_errors by name, summed over CPUs; only those that happened. */
export function readHelperErrors(map: BpfMap): Record<string, bigint> {
  const { keys, values } = map.dump();
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const names = Object.entries(HelperError);
  const out: Record<string, bigint> = {};
  for (const [i, index] of indexes(keys).entries()) {
    let count = 0n;
    for (let cpu = 0; cpu < possibleCpus(); cpu += 1) {
      count += view.getBigUint64(i * map.info.valueStride + cpu * 8, true);
    }
    const name = names.find(([, number]) => number === index)?.[0] ?? `error ${index}`;
    if (count > 0n) out[name] = count;
  }
  return out;
}

/** rf_lanes, summed over CPUs. */
export function readLanes(map: BpfMap): { flows: LaneTotals; denies: LaneTotals } {
  const { values } = map.dump();
  const total = (lane: number): LaneTotals => {
    const sum = { produced: 0n, delivered: 0n, dropped: 0n };
    for (let cpu = 0; cpu < possibleCpus(); cpu += 1) {
      const stats = LANE_STATS.decode(values, laneIndex(cpu, lane) * LANE_STATS.size);
      sum.produced += stats.produced;
      sum.delivered += stats.delivered;
      sum.dropped += stats.dropped;
    }
    return sum;
  };
  return { flows: total(Lane.FLOWS), denies: total(Lane.DENIES) };
}

function indexes(keys: Uint8Array): number[] {
  const view = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
  return Array.from({ length: keys.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}
