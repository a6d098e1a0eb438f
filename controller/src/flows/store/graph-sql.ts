// Traffic between groups of ends: from rollups where an hour lies inside the asked time as a whole, as far as it is rolled up; else from its
// records.
import type { DuckDBConnection } from '@duckdb/node-api';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type GraphRequest, type GraphRow, groupKey, withProcess } from './archive.js';
import type { Dictionary } from './dictionary.js';
import type { RolledDays } from './hours.js';
import {
  HOUR_MS,
  HOURS_PER_DAY,
  type Partition,
  partialTable,
  recordTable,
  SUMS_OF_RECORDS,
  SUMS_OF_ROLLUPS,
  wholeDayTable,
} from './partitions.js';
import { RAW_ONLY, sqlCondition, timeCondition } from './sql-filter.js';

const KEYS =
  'direction, protocol, service_port, verdict, reason, rule, process, views, decider, other_reason, other_rule, far_process';

/** `days` are those of which rollups exist. Hours whose records have left count by rollups when they overlap the asked time. */
export async function graphOf(
  connection: DuckDBConnection,
  parts: readonly Partition[],
  { filter, groupBy }: GraphRequest,
  dictionary: Dictionary,
  days: RolledDays,
): Promise<GraphRow[]> {
  const condition = sqlCondition(filter, dictionary);
  const sinceUs = Number(filter?.sinceUs ?? 0n);
  const untilUs = Number(filter?.untilUs ?? 0n) || Number.MAX_SAFE_INTEGER;
  const recordsNeeded = RAW_ONLY.test(condition);
  const whole = (part: Partition) => part.minLastUs >= sinceUs && part.maxFirstUs < untilUs;
  const raw: Partition[] = [];
  /** Hours that must not be counted from rollups as well. */
  const counted = new Set<number>();
  for (const part of parts) {
    if (part.rows === 0 || (part.closed && !recordsNeeded && whole(part))) continue;
    counted.add(part.hour);
    if (part.maxLastUs >= sinceUs && part.minFirstUs < untilUs) raw.push(part);
  }
  const kept = new Set(parts.map(({ hour }) => hour));
  const grouped = (
    sums: string,
    from: string,
  ) => `SELECT a.g AS gl, b.g AS gr, ${KEYS}, ${sums} FROM (SELECT * FROM ${from})
      JOIN end_groups a ON a.e = local_end JOIN end_groups b ON b.e = remote_end GROUP BY ALL`;
  const sources = raw.flatMap((part) => {
    const partly = part.rolledId > 0 && !recordsNeeded && whole(part);
    const rest = partly ? `id > ${part.rolledId}` : timeCondition(filter);
    const records = grouped(SUMS_OF_RECORDS, `${recordTable(part.hour)} WHERE ${condition} AND ${rest}`);
    if (!partly) return [records];
    return [records, grouped(SUMS_OF_ROLLUPS, `${partialTable(part.hour)} WHERE ${condition}`)];
  });
  if (!recordsNeeded) {
    const [from, to] = [Math.floor(sinceUs / 1000 / HOUR_MS), Math.floor((untilUs - 1) / 1000 / HOUR_MS)];
    const left = `(hour BETWEEN ${from} AND ${to}) OR hour IN (${[...kept, -1].join(',')})`;
    const not = [...counted, -1].join(',');
    /** Every hour of the day is asked for, and from rollups. */
    const asked = (day: number) =>
      hoursOf(day).every((hour) => !counted.has(hour) && ((hour >= from && hour <= to) || kept.has(hour)));
    for (const day of days.hourly) {
      if (days.whole.has(day) && asked(day)) {
        sources.push(grouped(SUMS_OF_ROLLUPS, `${wholeDayTable(day)} WHERE ${condition}`));
        continue;
      }
      sources.push(grouped(SUMS_OF_ROLLUPS, `r_${day} WHERE ${condition} AND (${left}) AND hour NOT IN (${not})`));
    }
  }
  if (sources.length === 0) return [];
  const keys = await mapEnds(connection, dictionary, groupBy);
  const sql = `SELECT gl, gr, ${KEYS}, ${SUMS_OF_ROLLUPS} FROM (${sources.join(' UNION ALL ')}) GROUP BY ALL`;
  const rows = (await connection.runAndReadAll(sql)).getRows();
  return rows.map((row): GraphRow => {
    const [gl = 0, gr = 0, direction = 0, protocol = 0, servicePort = 0, ...others] = row.map(Number);
    const [verdict = 0, reason = 0, rule = 0, processRef = 0, views = 0, decider = 0, ...more] = others;
    const [otherReason = 0, otherRule = 0, farProcess = 0, ...sums] = more;
    const process = dictionary.stringAt(processRef);
    const inbound = direction === Direction.DIRECTION_INBOUND;
    const [bytesIn = 0, bytesOut = 0, packetsIn = 0, packetsOut = 0, records = 0, attempts = 0, ...rest] = sums;
    const [connections = 0, durationUs = 0, firstSeenUs = 0, lastSeenUs = 0] = rest;
    const [local, remote] = [withProcess(keys[gl] ?? '', groupBy, process), keys[gr] ?? ''];
    return {
      source: inbound ? remote : local,
      destination: inbound ? local : remote,
      direction,
      protocol,
      servicePort,
      verdict,
      reason,
      rule,
      process,
      views,
      decider,
      otherReason,
      otherRule,
      farProcess: dictionary.stringAt(farProcess),
      bytesForward: inbound ? bytesIn : bytesOut,
      bytesBack: inbound ? bytesOut : bytesIn,
      packetsForward: inbound ? packetsIn : packetsOut,
      packetsBack: inbound ? packetsOut : packetsIn,
      records,
      attempts,
      connections,
      durationUs,
      firstSeenUs,
      lastSeenUs,
    };
  });
}

function hoursOf(day: number): number[] {
  return Array.from({ length: HOURS_PER_DAY }, (_, hour) => day * HOURS_PER_DAY + hour);
}

/** Numbers the groups of all ends, leaves them in the session's end_groups, and returns the groups' keys by number. */
async function mapEnds(
  connection: DuckDBConnection,
  dictionary: Dictionary,
  groupBy: readonly string[],
): Promise<string[]> {
  const numbers = new Map<string, number>();
  const list = dictionary.ends.map((info) => {
    const key = groupKey(info, groupBy);
    const known = numbers.get(key) ?? numbers.size;
    numbers.set(key, known);
    return known;
  });
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE end_groups AS SELECT unnest(range(${list.length}))::UINTEGER AS e,
      unnest([${list.join(',')}]::UINTEGER[]) AS g`,
  );
  return [...numbers.keys()];
}
