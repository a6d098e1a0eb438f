// How far each agent's run is stored. Lines are only added (one for each run in a transaction); the newest of a run counts, and what is
// superseded leaves with the hour.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { LossCounters } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { RunMark } from './archive.js';
import type { StoreBatch } from './messages.js';

/** Counters in the order in which they travel and stand in the table. */
export const LOSS_COUNTERS = [
  'eventsProduced',
  'ringDropped',
  'deniesProduced',
  'deniesRingDropped',
  'agentDropped',
  'spoolDropped',
  'recordsSent',
] as const satisfies readonly (keyof LossCounters)[];

/** Runs that are remembered per host, the newest. */
const RUNS_MAX = 16;
const COLUMNS = LOSS_COUNTERS.map((_, index) => `c${index} UBIGINT NOT NULL`).join(', ');
/** Of the lines of an hour (there may be millions) what counts, by run; the run that was heard of last stands last. */
const NEWEST = `SELECT host, run, max(sequence), bool_or(counted),
  ${LOSS_COUNTERS.map((_, index) => `arg_max(c${index}, rowid) FILTER (WHERE counted)`).join(', ')}
  FROM flow_taken GROUP BY host, run ORDER BY max(rowid)`;

interface Mark {
  readonly sequence: bigint;
  readonly loss: readonly bigint[] | undefined;
}

export class Marks {
  static readonly ddl = [
    `CREATE TABLE IF NOT EXISTS flow_taken (host VARCHAR NOT NULL, run VARCHAR NOT NULL, sequence UBIGINT NOT NULL,
      counted BOOLEAN NOT NULL, ${COLUMNS})`,
  ];
  /** By host, then run; the run that was heard of last stands last. */
  readonly #hosts = new Map<string, Map<string, Mark>>();

  static async load(connection: DuckDBConnection): Promise<Marks> {
    const marks = new Marks();
    for (const [host, run, sequence, counted, ...counters] of (await connection.runAndReadAll(NEWEST)).getRows()) {
      const loss = counted === true ? counters.map((value) => BigInt(value as bigint)) : undefined;
      marks.#take(String(host), String(run), sequence as bigint, loss);
    }
    return marks;
  }

  all(): RunMark[] {
    return [...this.#hosts].flatMap(([hostId, runs]) =>
      [...runs].map(([run, { sequence, loss }]) => ({ hostId, run, sequence, loss: loss && lossOf(loss) })),
    );
  }

  /** Adds lines for batches, in the caller's transaction. */
  async store(connection: DuckDBConnection, batches: readonly StoreBatch[]): Promise<void> {
    const newest = new Map<string, Line>();
    for (const { hostId, run, sequence, loss } of batches) {
      const key = `${hostId} ${run}`;
      const before = newest.get(key);
      const highest = before !== undefined && before.sequence > sequence ? before.sequence : sequence;
      newest.delete(key);
      newest.set(key, { hostId, run, sequence: highest, loss: loss ?? before?.loss });
    }
    await append(connection, [...newest.values()]);
  }

  /** The batches' transaction has committed. */
  take(batches: readonly StoreBatch[]): void {
    for (const { hostId, run, sequence, loss } of batches) this.#take(hostId, run, sequence, loss);
  }

  /** Leaves one line for each run, in the caller's transaction. */
  async compact(connection: DuckDBConnection): Promise<void> {
    await connection.run('DELETE FROM flow_taken');
    const lines = [...this.#hosts].flatMap(([hostId, runs]) =>
      [...runs].map(([run, { sequence, loss }]) => ({ hostId, run, sequence, loss })),
    );
    await append(connection, lines);
  }

  /** Whether a batch is stored already. */
  has({ hostId, run, sequence }: StoreBatch): boolean {
    const mark = this.#hosts.get(hostId)?.get(run);
    return mark !== undefined && sequence <= mark.sequence;
  }

  #take(hostId: string, run: string, sequence: bigint, loss: readonly bigint[] | undefined): void {
    const runs = this.#hosts.get(hostId) ?? new Map<string, Mark>();
    this.#hosts.set(hostId, runs);
    const before = runs.get(run);
    runs.delete(run);
    const highest = before !== undefined && before.sequence > sequence ? before.sequence : sequence;
    runs.set(run, { sequence: highest, loss: loss ?? before?.loss });
    const oldest = runs.keys().next();
    if (runs.size > RUNS_MAX && !oldest.done) runs.delete(oldest.value);
  }
}

type Line = Pick<StoreBatch, 'hostId' | 'run' | 'sequence' | 'loss'>;

async function append(connection: DuckDBConnection, lines: readonly Line[]): Promise<void> {
  if (lines.length === 0) return;
  const appender = await connection.createAppender('flow_taken');
  for (const { hostId, run, sequence, loss } of lines) {
    appender.appendVarchar(hostId);
    appender.appendVarchar(run);
    appender.appendUBigInt(sequence);
    appender.appendBoolean(loss !== undefined);
    for (let i = 0; i < LOSS_COUNTERS.length; i += 1) appender.appendUBigInt(loss?.[i] ?? 0n);
    appender.endRow();
  }
  appender.closeSync();
}

/** Counters by name, from their order. */
export function lossOf(values: readonly bigint[]): LossCounters {
  const at = (index: number) => values[index] ?? 0n;
  return {
    eventsProduced: at(0),
    ringDropped: at(1),
    deniesProduced: at(2),
    deniesRingDropped: at(3),
    agentDropped: at(4),
    spoolDropped: at(5),
    recordsSent: at(6),
  };
}
