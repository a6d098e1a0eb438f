// Operational failures of the agent: a stable code before the message. Codes in use here:
//   RF_CONFIG           the configuration file is wrong; problems name file, line and column
//   RF_TOKEN            an enrolment token is malformed
//   RF_ENROLL           the controller refused to enrol this host, or could not be reached
//   RF_CA_MISMATCH      the controller's authority is not the one the token pins
//   RF_CREDENTIALS      key, certificate or host record are missing or do not belong together
//   RF_STATE_CORRUPT    the last good state on disk cannot be trusted
//   RF_STATE_VERSION    it was written by another format version
//   RF_SPOOL            the flow spool cannot be read or written
//   RF_CAPABILITIES     capabilities that the agent does not need could not be given up
//   RF_LOCKED           another agent owns this pin path
//   RF_STREAM           the controller's stream broke its protocol
//   RF_DOCKER           a Docker socket did not answer
//   RF_CGROUP           a cgroup cannot be read

/** An expected failure of the outside world. Message: "Cannot <action> <object>: <found>, wanted <...>". */
export class AgentError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.code = code;
  }
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The stable code of anything thrown, or the fallback. Node's own codes (ENOENT …) count. */
export function codeOf(error: unknown, fallback: string): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return fallback;
}
