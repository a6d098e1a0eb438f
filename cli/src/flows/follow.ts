import { setTimeout as sleep } from 'node:timers/promises';
import { type FlowGap, FlowsService, type FollowFlowsRequest } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { StatusService } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Connection } from '../api/connection.js';
import { faultOf, isConnectionTrouble, isServiceError } from '../api/fault.js';
import { messages } from '../api/messages.js';
import { CliError, ExitCode } from '../errors.js';

/** What a live tail tells, in order. */
export type FollowEvent =
  | { type: 'flow'; flow: Flow }
  | { type: 'gap'; gap: FlowGap }
  /** Everything kept has been sent; what follows is live. */
  | { type: 'synced'; kept: bigint; historyDropped: bigint }
  /** The connection went away; the next try is in `waitMs`. */
  | { type: 'lost'; why: string; waitMs: number }
  /** It is back. `complete`: the same line of record ids, and it sends what was missed as far as it still keeps it. */
  | { type: 'back'; complete: boolean };

/** What the loop draws on beside the connection. */
export interface FollowSurroundings {
  signal: AbortSignal;
  /** Unix milliseconds. */
  now(): number;
  /** 0 to 1, for jitter. */
  random(): number;
  /** False: a lost connection is an error. */
  reconnect: boolean;
}

/** Kept records this much older than the newest one seen are asked for again after a loss: agents deliver late. */
const overlapUs = 300_000_000n;
const waitFirstMs = 250;
const waitMostMs = 10_000;

/**
 * Flows as they happen, across losses of the connection. Record ids grow within one line, so that what comes twice after a reconnect
 * is dropped by id; a controller without a flow store begins another line when it starts anew. The first connection must
 * succeed: trouble there is thrown as CliError, as are refusals at any time.
 */
export async function* follow(
  connection: Connection,
  request: FollowFlowsRequest,
  surroundings: FollowSurroundings,
): AsyncGenerator<FollowEvent> {
  const { signal } = surroundings;
  const beganUs = BigInt(Math.round(surroundings.now())) * 1000n;
  let run = await runOf(connection);
  let next = request;
  let newestId = 0n;
  let newestUs = 0n;
  let waitMs = waitFirstMs;
  for (;;) {
    let why: string;
    try {
      for await (const { body } of messages(connection.stream(FlowsService.follow, next), signal)) {
        waitMs = waitFirstMs;
        if (body?.$case === 'gap') yield { type: 'gap', gap: body.value };
        else if (body?.$case === 'synced') yield { type: 'synced', ...body.value };
        else if (body?.$case === 'rows') {
          for (const flow of body.value.flows) {
            if (flow.id <= newestId) continue;
            newestId = flow.id;
            if (flow.lastSeenUs > newestUs) newestUs = flow.lastSeenUs;
            yield { type: 'flow', flow };
          }
        }
      }
      why = 'the controller ended the stream';
    } catch (error) {
      if (!isServiceError(error)) throw error;
      const fault = faultOf(error, 'follow flows', connection.address);
      if (!isConnectionTrouble(error)) throw fault;
      why = error.details;
    }
    if (signal.aborted) return;
    if (!surroundings.reconnect) throw lostError(why, connection.address);
    for (;;) {
      const jittered = Math.round(waitMs * (0.5 + surroundings.random() / 2));
      yield { type: 'lost', why, waitMs: jittered };
      await sleep(jittered, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      waitMs = Math.min(waitMs * 2, waitMostMs);
      try {
        const now = await runOf(connection);
        const sameRun = now === run;
        if (!sameRun) newestId = 0n;
        run = now;
        const since = sameRun && newestUs > 0n ? newestUs - overlapUs : beganUs;
        next = resumed(request, since);
        yield { type: 'back', complete: sameRun };
        break;
      } catch (error) {
        if (!(error instanceof CliError) || error.exit !== ExitCode.connection) throw error;
        why = error.failure.found ?? error.message;
      }
    }
  }
}

/** The request that also asks for what was kept since the loss, never for more than the caller wanted in the first place. */
function resumed(request: FollowFlowsRequest, sinceUs: bigint): FollowFlowsRequest {
  const wanted = request.filter?.sinceUs ?? 0n;
  const filter =
    request.filter === undefined ? undefined : { ...request.filter, sinceUs: sinceUs > wanted ? sinceUs : wanted };
  return { ...request, filter, history: true, historyLimit: 0 };
}

/**
 * What tells one line of record ids from the next: a controller with a flow store goes on with its line when it starts anew. Fails with a CliError when it cannot be reached. */
async function runOf(connection: Connection): Promise<string | undefined> {
  try {
    const { startedMs, flows } = await connection.call('follow flows', StatusService.get, {});
    return flows?.idLine || String(startedMs);
  } catch (error) {
    // Whoever may read flows but not the status can follow too; then runs cannot be told apart by start time.
    if (error instanceof CliError && error.exit === ExitCode.denied) return undefined;
    throw error;
  }
}

function lostError(why: string, address: string): CliError {
  return new CliError({
    code: 'RF_CLI_STREAM_LOST',
    what: 'Cannot go on following flows',
    found: why,
    where: `controller at ${address}`,
    next: 'ringfence doctor; without --no-reconnect the tail goes on by itself',
    exit: ExitCode.connection,
  });
}
