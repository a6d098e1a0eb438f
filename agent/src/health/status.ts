// What the agent tells about the enforcement of its host, and the conditions that follow from it.
import { AgentStatus } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { DatapathStatus, TableFill } from '../datapath/types.js';
import type { DesiredEndpoint } from '../desired/desired.js';
import type { Instructions } from '../desired/instructions.js';
import type { ConditionBoard } from './conditions.js';

const FILL_WARNING = 0.8;

/** Everything a status is made of. */
export interface StatusInputs {
  readonly instructions: Instructions;
  readonly datapath: DatapathStatus;
  /** Workloads that policy expects something of, as last rendered. */
  readonly endpoints: readonly DesiredEndpoint[];
}

/** Notes on the board what the kernel's state says. */
export function judge(inputs: StatusInputs, board: ConditionBoard): void {
  const { datapath, endpoints } = inputs;
  const broken = expectedButNot(datapath, endpoints);
  board.set('RF_NOT_IN_FORCE', broken.length > 0 ? listOf(broken) : undefined);
  const full = datapath.tables.filter((t) => t.entries > t.entriesMax * FILL_WARNING);
  board.set('RF_TABLE_FILL', full.map((t) => `${t.table} ${t.entries} of ${t.entriesMax}`).join(', '));
  const missing = Object.entries(datapath.missing).map(([program, why]) => `${program}: ${why}`);
  board.set('RF_FEATURE_MISSING', missing.join(', '));
  const failures = Object.entries(datapath.helperErrors).filter(([, count]) => count > 0n);
  board.set('RF_HELPER_ERRORS', failures.map(([where, count]) => `${where} ${count}`).join(', '));
}

/** Workloads that are not treated as they should be, with the reason. */
function expectedButNot(datapath: DatapathStatus, endpoints: readonly DesiredEndpoint[]): string[] {
  const wanted = new Map(endpoints.map((e) => [e.localId, e]));
  const problems: string[] = [];
  for (const is of datapath.endpoints) {
    const should = wanted.get(is.localId);
    const acts =
      should && (should.isolated || should.modeIn !== Mode.MODE_VISIBILITY || should.modeOut !== Mode.MODE_VISIBILITY);
    if (acts && !is.inForce) problems.push(`${is.localId}: ${is.why}`);
  }
  return problems;
}

/** The message for the controller. */
export function statusMessage(inputs: StatusInputs, board: ConditionBoard): AgentStatus {
  const { instructions, datapath } = inputs;
  return AgentStatus.create({
    revision: BigInt(instructions.revision),
    policyVersion: instructions.policyVersion,
    workloads: datapath.endpoints.map((e) => ({
      localId: e.localId,
      attachments: [...e.attachments],
      modeIn: e.modeIn,
      modeOut: e.modeOut,
      inForce: e.inForce,
      why: e.why,
    })),
    tables: datapath.tables.map(capacityOf),
    conditions: board.list(),
    tags: { ...datapath.tags.tally },
  });
}

/** As agent.proto carries it. */
export function capacityOf(fill: TableFill): { table: string; entriesMax: number; entries: number } {
  return { table: fill.table, entriesMax: fill.entriesMax, entries: fill.entries };
}

function listOf(items: readonly string[]): string {
  const shown = items.slice(0, 5).join('; ');
  return items.length > 5 ? `${shown}; and ${items.length - 5} more` : shown;
}
