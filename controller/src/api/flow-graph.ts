// Flows.Graph and Flows.Backup: what they accept, and their answers.
import { existsSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { status } from '@grpc/grpc-js';
import type {
  BackupFlowsRequest,
  BackupFlowsResponse,
  FlowGraph,
  FlowGraphRequest,
  FlowJudge,
} from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import type { PolicyRef } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { byHop } from '../flows/gaps.js';
import { buildGraph, type GraphShape } from '../flows/graph.js';
import { judgedRows } from '../flows/judged.js';
import type { FlowArchive, ResolvedFilter } from '../flows/store/archive.js';
import type { Policy } from '../policy/model.js';
import { quote } from './convert.js';
import { ApiError, invalid } from './errors.js';
import { type FilterNames, resolveFilter } from './flow-filter.js';
import { gapToWire } from './flow-rows.js';

const DIMENSIONS_MAX = 8;
const EDGES_DEFAULT = 1000;
const EDGES_MAX = 20_000;
/** Records that one question about another policy reads: a second or two. */
const JUDGED_RECORDS_MAX = 200_000;

/** What a graph needs to know beyond the archive. */
export interface GraphContext {
  readonly archive: FlowArchive;
  readonly names: FilterNames;
  /** Id of a rule by its number; empty when it is not known. */
  readonly ruleId: (number: number) => string;
  /** The policy that is meant, the draft when nothing is said; throws ApiError when it cannot be read. */
  readonly policyOf: (ref: PolicyRef | undefined) => Policy;
  readonly now: () => number;
}

/** Throws ApiError RF_FILTER, RF_SELECTOR, RF_GRAPH. */
export async function flowGraph(request: FlowGraphRequest, context: GraphContext): Promise<FlowGraph> {
  const { archive, names, ruleId } = context;
  const { groupBy, minBytes, minCount, minDurationUs, limit } = request;
  if (groupBy.length > DIMENSIONS_MAX) throw bad(`${groupBy.length} dimensions`, `at most ${DIMENSIONS_MAX}`);
  const empty = groupBy.find((dimension, index) => dimension === '' || groupBy.indexOf(dimension) !== index);
  if (empty !== undefined) throw bad(`dimension ${quote(empty)}`, 'each dimension once, by name');
  if (limit > EDGES_MAX) throw bad(`a limit of ${limit}`, `at most ${EDGES_MAX}`);
  const filter = resolveFilter(request.filter, names);
  const shape = { groupBy, minBytes, minCount, minDurationUs, limit: limit || EDGES_DEFAULT, ruleId };
  if (request.judge !== undefined) return judgedGraph(filter, request.judge, shape, context);
  const [rows, gaps] = await Promise.all([archive.graph({ filter, groupBy }), archive.gaps(filter)]);
  return { ...buildGraph(rows, shape), gaps: byHop(gaps).map(gapToWire) };
}

/** Filters on verdict and reason ask what the judge says, not what happened. */
async function judgedGraph(
  filter: ResolvedFilter,
  { policy, asEnforced }: FlowJudge,
  shape: GraphShape,
  { archive, policyOf, now }: GraphContext,
): Promise<FlowGraph> {
  const { rows, truncated, undecided } = await judgedRows(archive, {
    filter: filter && { ...filter, verdicts: [], reasons: [] },
    groupBy: shape.groupBy,
    policy: policyOf(policy),
    asEnforced,
    nowMs: now(),
    recordsMax: JUDGED_RECORDS_MAX,
  });
  const has = (wanted: readonly number[] | undefined, value: number) => !wanted?.length || wanted.includes(value);
  const asked = rows.filter((row) => has(filter?.verdicts, row.verdict) && has(filter?.reasons, row.reason));
  const notes = [];
  if (truncated)
    notes.push(`More is recorded than is read at once: the newest ${JUDGED_RECORDS_MAX} records were judged.`);
  if (undecided > 0)
    notes.push(`${undecided} records are of traffic that policy is not asked about (failsafe, loopback).`);
  const gaps = byHop(await archive.gaps(filter)).map(gapToWire);
  return { ...buildGraph(asked, shape), notes, gaps };
}

/** Throws ApiError RF_BACKUP. */
export async function backupFlows({ file }: BackupFlowsRequest, archive: FlowArchive): Promise<BackupFlowsResponse> {
  const refuse = (found: string, wanted: string) =>
    invalid('RF_BACKUP', `Cannot write flow backup: found ${found}, wanted ${wanted}`);
  if (!isAbsolute(file)) throw refuse(`path ${quote(file)}`, "an absolute path on the controller's machine");
  if (existsSync(file)) throw refuse(`${quote(file)}, which exists`, 'a new file');
  try {
    await archive.backup(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ApiError(status.FAILED_PRECONDITION, 'RF_BACKUP', why);
  }
  return { bytes: BigInt(statSync(file).size) };
}

function bad(found: string, wanted: string): Error {
  return invalid('RF_GRAPH', `Cannot draw graph: found ${found}, wanted ${wanted}`);
}
