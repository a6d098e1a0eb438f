// Flows.Graph and Flows.Backup: what they accept, and their answers.
import { existsSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { status } from '@grpc/grpc-js';
import type {
  BackupFlowsRequest,
  BackupFlowsResponse,
  FlowGraph,
  FlowGraphRequest,
} from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { buildGraph } from '../flows/graph.js';
import type { FlowArchive } from '../flows/store/archive.js';
import { quote } from './convert.js';
import { ApiError, invalid } from './errors.js';
import { type FilterNames, resolveFilter } from './flow-filter.js';

const DIMENSIONS_MAX = 8;
const EDGES_DEFAULT = 1000;
const EDGES_MAX = 20_000;

/** Throws ApiError RF_FILTER, RF_SELECTOR, RF_GRAPH. */
export async function flowGraph(
  request: FlowGraphRequest,
  archive: FlowArchive,
  names: FilterNames,
): Promise<FlowGraph> {
  const { groupBy, minBytes, minCount, minDurationUs, limit } = request;
  if (groupBy.length > DIMENSIONS_MAX) throw bad(`${groupBy.length} dimensions`, `at most ${DIMENSIONS_MAX}`);
  const empty = groupBy.find((dimension, index) => dimension === '' || groupBy.indexOf(dimension) !== index);
  if (empty !== undefined) throw bad(`dimension ${quote(empty)}`, 'each dimension once, by name');
  if (limit > EDGES_MAX) throw bad(`a limit of ${limit}`, `at most ${EDGES_MAX}`);
  const rows = await archive.graph({ filter: resolveFilter(request.filter, names), groupBy });
  return buildGraph(rows, { groupBy, minBytes, minCount, minDurationUs, limit: limit || EDGES_DEFAULT });
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
