import { type ServiceError, status } from '@grpc/grpc-js';
import { CliError, ExitCode } from '../errors.js';

/** Exit code of each gRPC status that says something more exact than "the controller failed". */
const exitByStatus: Readonly<Partial<Record<status, ExitCode>>> = {
  [status.INVALID_ARGUMENT]: ExitCode.usage,
  [status.OUT_OF_RANGE]: ExitCode.usage,
  [status.NOT_FOUND]: ExitCode.notFound,
  [status.PERMISSION_DENIED]: ExitCode.denied,
  [status.UNAUTHENTICATED]: ExitCode.denied,
  [status.ABORTED]: ExitCode.conflict,
  [status.ALREADY_EXISTS]: ExitCode.conflict,
  [status.FAILED_PRECONDITION]: ExitCode.conflict,
  [status.UNAVAILABLE]: ExitCode.connection,
  [status.CANCELLED]: ExitCode.connection,
  [status.DEADLINE_EXCEEDED]: ExitCode.connection,
};

/** What connection trouble usually means, told by what the TLS and socket layers say. First match wins. */
const connectionHints: readonly (readonly [RegExp, string, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there', 'start the controller, or correct "address" in the context file'],
  [
    /ENOTFOUND|EAI_AGAIN|Name resolution failed/,
    'the name cannot be resolved',
    'correct "address" in the context file',
  ],
  [
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/,
    'the network does not lead there',
    'check routes and firewalls, then `ringfence doctor`',
  ],
  [
    /self[- ]signed certificate|unable to (verify|get)|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/i,
    'the controller shows a certificate of another authority than the one in this context',
    'take the context of this very controller (<state dir>/operator)',
  ],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID|altnames/i,
    'the server there is not the controller that this context names',
    'correct "address" or "serverName" in the context file',
  ],
  [
    /certificate has expired|CERT_HAS_EXPIRED/i,
    "the controller's certificate has expired",
    'restart the controller: it renews its own certificate',
  ],
  [
    /alert (certificate|unknown ca|bad certificate|access denied|handshake failure)|certificate required|unknown ca|bad certificate|ECONNRESET|socket hang up|EPIPE/i,
    'the controller refused the TLS connection: it may not know this certificate',
    'take a fresh operator folder from the controller, then `ringfence doctor`',
  ],
  [/^Call cancelled/, 'the controller ended the call: it is stopping', 'try again when it is back'],
  // grpc-js says no more than this when the server ends the TLS session right after the handshake.
  [
    /Last error: Failed to connect \(/,
    'the controller refused the TLS connection: it does not know this certificate, or no controller is there',
    'take a fresh operator folder from the controller, then `ringfence doctor`',
  ],
];

/** True when the controller could not be reached or went away: worth trying again. */
export function isConnectionTrouble(error: ServiceError): boolean {
  // A server that is shut down cancels what is under way; what this program cancels itself never comes here.
  if (error.code === status.UNAVAILABLE || error.code === status.CANCELLED) return true;
  // A stream that ends because the server's process went away shows as INTERNAL or UNKNOWN with these texts.
  return (
    (error.code === status.INTERNAL || error.code === status.UNKNOWN) &&
    /RST_STREAM|ECONNRESET|socket|closed/i.test(error.details)
  );
}

/** True for an error of the gRPC layer. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as ServiceError).code === 'number' && 'details' in error;
}

/** A failed call as operators read it. `doing` completes "Cannot …"; `address` is where it was sent. */
export function faultOf(error: ServiceError, doing: string, address: string): CliError {
  const [, prefix, sentence = error.details] = /^(RF_[A-Z0-9_]+): (.*)$/s.exec(error.details) ?? [];
  const rfCode = error.metadata?.get('rf-code')[0]?.toString() ?? prefix;
  const exit = exitByStatus[error.code] ?? ExitCode.fault;
  if (rfCode === undefined && (isConnectionTrouble(error) || error.code === status.DEADLINE_EXCEEDED)) {
    return connectionFault(error, doing, address);
  }
  const told = sentence || `the controller answered ${status[error.code]}`;
  return new CliError({
    code: rfCode ?? `RF_GRPC_${status[error.code] ?? error.code}`,
    ...(told.startsWith('Cannot ') ? { what: told } : { what: `Cannot ${doing}`, found: told }),
    where: `controller at ${address}`,
    next: nextByRfCode[rfCode ?? ''] ?? nextStep(error.code),
    exit,
    cause: error,
  });
}

function connectionFault(error: ServiceError, doing: string, address: string): CliError {
  const late = error.code === status.DEADLINE_EXCEEDED;
  const hint = connectionHints.find(([pattern]) => pattern.test(error.details));
  return new CliError({
    code: late ? 'RF_CLI_TIMEOUT' : 'RF_CLI_UNREACHABLE',
    what: `Cannot ${doing}`,
    found: hint?.[1] ?? (late ? 'no answer in time' : error.details),
    wanted: 'a controller that answers',
    where: hint === undefined ? `controller at ${address}` : `controller at ${address} (${error.details})`,
    next: hint?.[2] ?? (late ? 'ringfence doctor; a longer --timeout where the answer is large' : 'ringfence doctor'),
    exit: ExitCode.connection,
    cause: error,
  });
}

/** Where a refusal of the controller leads next, when it says more than its gRPC status. */
const nextByRfCode: Readonly<Record<string, string>> = {
  RF_POLICY_PENDING: 'ringfence status shows it; ringfence policy confirm, promote or return ends it',
  RF_POLICY_SETTLED: 'ringfence policy history',
  RF_POLICY_CONFLICT: 'ringfence policy history, ringfence policy diff',
  RF_POLICY_VERSION: 'ringfence policy history',
};

function nextStep(code: status): string | undefined {
  switch (code) {
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return 'use a context whose certificate has the right, see `ringfence doctor`';
    case status.UNIMPLEMENTED:
      return 'the controller is older than this command: compare `ringfence version` and `ringfence status`';
    case status.INTERNAL:
    case status.UNKNOWN:
    case status.DATA_LOSS:
      return "read the controller's log at this time";
    default:
      return undefined;
  }
}
