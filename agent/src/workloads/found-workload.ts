// A workload as a source found it: what the controller is told, and what the kernel side needs.
import type { LocalWorkload as InventoryEntry } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { LocalWorkload } from '../desired/local.js';

export interface FoundWorkload {
  readonly inventory: InventoryEntry;
  readonly local: LocalWorkload;
}

/** Told by a source each time it looked: everything it knows of now, in any order. */
export type OnFound = (found: readonly FoundWorkload[]) => void;

/** Where workloads are discovered. Level-triggered: every report is complete. */
export interface WorkloadSource {
  /** For example "docker:/var/run/docker.sock"; also LocalWorkload.source of what it finds. */
  readonly name: string;
  /** Begins; calls onFound soon and after every change. Failures to look keep the last report and show in problem. */
  start(onFound: OnFound): void;
  /** Looks anew at these, whatever it remembers of them, and tells; only sources whose workloads carry pairing keys. */
  lookAgain?(localIds: ReadonlySet<string>): Promise<void>;
  /** Why it cannot look at present; undefined when it can. */
  readonly problem: string | undefined;
  stop(): Promise<void>;
}

/** Metadata an agent sends at most, per workload. */
const METADATA_MAX = { entries: 64, keyChars: 128, valueChars: 512 };

/** Keeps metadata inside its bounds: longest entries are left out whole, then the later keys. */
export function boundedMetadata(labels: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(labels)
    .filter(([key, value]) => key.length <= METADATA_MAX.keyChars && value.length <= METADATA_MAX.valueChars)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, METADATA_MAX.entries);
  return Object.fromEntries(kept);
}
