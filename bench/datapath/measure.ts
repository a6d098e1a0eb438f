import type { Place } from '@ringfence/lab/place.js';
import { echoPort, sinkPort } from './rig.js';

export type Load = 'rr' | 'crr' | 'bulk';

/** What one short run gave. */
export interface Sample {
  /** Exchanges (rr), connections (crr) per second, or bits per second (bulk). */
  rate: number;
  /** Median time of one operation, in microseconds. */
  p50Us: number;
}

const settings: Readonly<Record<Load, { port: number; size: number }>> = {
  rr: { port: echoPort, size: 64 },
  crr: { port: echoPort, size: 64 },
  bulk: { port: sinkPort, size: 65_536 },
};

/** One short run from the client to the workload. */
export async function measure(client: Place, to: string, load: Load, seconds: number): Promise<Sample> {
  const { port, size } = settings[load];
  const started = await client.start([
    'load',
    to,
    ...[String(port), '--mode', load, '--seconds', String(seconds), '--size', String(size)],
  ]);
  const result = await started.event('load', { timeoutMs: seconds * 1000 + 20_000 });
  const rate = load === 'bulk' ? Number(result.bytes_per_second) * 8 : Number(result.per_second);
  return { rate, p50Us: Number(result.p50_us) };
}

/** The middle value; the mean of the two middle ones of an even count. Empty: NaN. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
  const high = sorted[sorted.length >> 1] ?? Number.NaN;
  return (low + high) / 2;
}
