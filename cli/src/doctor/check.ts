/** What one check found. */
export type Finding =
  | { state: 'ok' | 'info'; found: string }
  /** Something does not work (fail) or may surprise (warn); `fix` says what to do. */
  | { state: 'warn' | 'fail'; found: string; fix: string };

/** One check by name. It may throw: that is a failed check, not the end of the examination. */
export interface Check {
  /** Group, for the table: "machine", "agent", "context", "controller". */
  area: string;
  name: string;
  run(): Promise<Finding[]>;
}

/** A finding with where it belongs. */
export type Result = Finding & { area: string; name: string };

/** Runs all checks in order; one that throws is told as failed with its own words, and the next one runs. */
export async function runChecks(checks: readonly Check[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const { area, name, run } of checks) {
    let findings: Finding[];
    try {
      findings = await run();
    } catch (error) {
      const found = error instanceof Error ? error.message : String(error);
      findings = [{ state: 'fail', found, fix: fixOf(error) }];
    }
    for (const finding of findings) results.push({ area, name, ...finding });
  }
  return results;
}

function fixOf(error: unknown): string {
  const failure = (error as { failure?: { next?: string; where?: string } } | null)?.failure;
  if (failure === undefined) return 'report this as a bug';
  return failure.next ?? `look at ${failure.where ?? 'the message'}`;
}
