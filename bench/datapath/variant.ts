/** One way to enforce the same policy: TCP from `members` to the workload's two ports passes, everything else is dropped. */
export interface Variant {
  readonly name: string;
  /** Loads the members without acting on packets yet. */
  load(members: readonly string[]): Promise<void>;
  /** Begins to enforce. */
  on(): Promise<void>;
  /** Ends it; the members stay loaded. */
  off(): Promise<void>;
  /** Removes everything. */
  close(): Promise<void>;
}

/** Nothing enforces, nothing tracks connections. */
export const noEnforcement: Variant = {
  name: 'no enforcement',
  load: () => Promise.resolve(),
  on: () => Promise.resolve(),
  off: () => Promise.resolve(),
  close: () => Promise.resolve(),
};
