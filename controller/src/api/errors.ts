// Errors of the admin API: a gRPC status, a stable code in the trailing metadata, and one sentence.
import { Metadata, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { asCaller } from '../audit/caller.js';
import { EnrolmentError } from '../ca/enrolment.js';
import { PairingDeskError } from '../keys/pairing-desk.js';
import type { Actor } from '../store/audit.js';
import { StoreError } from '../store/driver.js';
import { type CallPeer, type Peer, peerOf } from './peer.js';

/** A call that is refused. The message is for people: "Cannot <action> <object>: found …, wanted …". */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    readonly status: status,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export function invalid(code: string, message: string): ApiError {
  return new ApiError(status.INVALID_ARGUMENT, code, message);
}

export function notFound(code: string, message: string): ApiError {
  return new ApiError(status.NOT_FOUND, code, message);
}

/** As gRPC carries it. */
export interface WireError {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

const ENROLMENT_STATUS: Readonly<Record<EnrolmentError['code'], status>> = {
  RF_ENROLL_TOKEN: status.UNAUTHENTICATED,
  RF_ENROLL_TOKEN_USED: status.UNAUTHENTICATED,
  RF_ENROLL_TOKEN_EXPIRED: status.UNAUTHENTICATED,
  RF_ENROLL_REQUEST: status.INVALID_ARGUMENT,
  RF_ENROLL_KEY: status.UNAUTHENTICATED,
  RF_ENROLL_RATE: status.RESOURCE_EXHAUSTED,
  RF_HOST_UNKNOWN: status.NOT_FOUND,
};

const PAIRING_STATUS: Readonly<Record<PairingDeskError['code'], status>> = {
  RF_PROFILE: status.INVALID_ARGUMENT,
  RF_PROFILE_UNKNOWN: status.NOT_FOUND,
  RF_PROFILE_IN_USE: status.FAILED_PRECONDITION,
  RF_KEY_UNKNOWN: status.NOT_FOUND,
};

/** Any error as the caller may see it. What is not expected is logged and told without its text. */
export function wireError(error: unknown, log: Logger): WireError {
  if (error instanceof ApiError) return wire(error.status, error.code, error.message);
  if (error instanceof EnrolmentError) return wire(ENROLMENT_STATUS[error.code], error.code, error.message);
  if (error instanceof PairingDeskError) return wire(PAIRING_STATUS[error.code], error.code, error.message);
  if (error instanceof StoreError) {
    log.error({ err: error }, 'the store failed');
    return wire(
      status.UNAVAILABLE,
      error.code,
      'Cannot write: the store failed, nothing was changed; see the controller log',
    );
  }
  log.error({ err: error }, 'a call failed unexpectedly');
  return wire(status.INTERNAL, 'RF_INTERNAL', 'Cannot answer: an unexpected error; see the controller log');
}

/** A unary method from a function of the request and the caller. */
export function unary<Request, Response>(
  log: Logger,
  body: (request: Request, peer: Caller) => Promise<Response> | Response,
): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
  return (call, callback) => {
    Promise.resolve()
      .then(() => {
        const caller = callerOf(call);
        return asCaller(actorOf(call), () => body(call.request, caller));
      })
      .then((response) => callback(null, response))
      .catch((error: unknown) => callback(wireError(error, log)));
  };
}

/** Who calls. */
export type Caller = Pick<Peer, 'name' | 'address'>;

/** The caller as the audit log names him. */
function actorOf(call: CallPeer): Actor {
  const peer = peerOf(call);
  if (peer === undefined) return { name: 'unknown', address: '' };
  return { name: peer.role === 'host' ? `host:${peer.name}` : peer.name, address: peer.address };
}

export function callerOf(call: CallPeer): Caller {
  return peerOf(call) ?? { name: 'unknown', address: '' };
}

function wire(code: status, rfCode: string, message: string): WireError {
  const metadata = new Metadata();
  metadata.set('rf-code', rfCode);
  return { code, details: `${rfCode}: ${message}`, metadata };
}
