// What a command may fail with, and what a script sees of it.

/** Exit codes, stable: scripts depend on them. Documented in docs/cli.md from `exitCodeMeanings`. */
export const ExitCode = {
  ok: 0,
  refused: 1,
  usage: 2,
  connection: 3,
  notFound: 4,
  denied: 5,
  conflict: 6,
  fault: 7,
} as const;

/** One of the exit codes. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** One sentence for each exit code, in order. */
export const exitCodeMeanings: readonly (readonly [ExitCode, string])[] = [
  [ExitCode.ok, 'Done; for a check: everything checked is as it should be.'],
  [
    ExitCode.refused,
    'Refused or a check failed: policy with problems, a doctor finding, an answer other than `--expect`.',
  ],
  [ExitCode.usage, 'The command line or an input file is wrong; nothing was asked of the controller.'],
  [ExitCode.connection, 'No usable connection: context, certificates, network, or the controller is not there.'],
  [ExitCode.notFound, 'Something that was named does not exist: workload, host, version, token, file.'],
  [ExitCode.denied, 'The controller does not let this certificate do that.'],
  [ExitCode.conflict, 'Something changed or exists already: wrong expected version, id taken, wrong state.'],
  [
    ExitCode.fault,
    'The controller or this program failed in a way it should not, or the results could not be written.',
  ],
];

/** The parts of a failure, in the order they are shown. */
export interface Failure {
  /** Stable code, RF_*. */
  code: string;
  /** "Cannot <action> <object>", or the controller's whole sentence. */
  what: string;
  /** What was found; left out where `what` is the controller's whole sentence. */
  found?: string;
  /** What was wanted; left out where found says it all. */
  wanted?: string;
  /** File, address or option. */
  where?: string;
  /** The next step, preferably a command. */
  next?: string;
  /** Exit code; refused unless said. */
  exit?: ExitCode;
  /** Error that led here. */
  cause?: unknown;
}

/** An expected failure, told in full to the operator and never with a stack trace. */
export class CliError extends Error {
  readonly code: string;
  readonly failure: Failure;
  readonly exit: ExitCode;

  constructor(failure: Failure) {
    super(sentence(failure), failure.cause === undefined ? undefined : { cause: failure.cause });
    this.name = 'CliError';
    this.code = failure.code;
    this.failure = failure;
    this.exit = failure.exit ?? ExitCode.refused;
  }
}

/** A wrong command line or input: exit code 2. */
export function usageError(what: string, found: string, wanted: string, extra: Partial<Failure> = {}): CliError {
  return new CliError({ code: 'RF_CLI_USAGE', exit: ExitCode.usage, ...extra, what, found, wanted });
}

function sentence({ what, found, wanted }: Failure): string {
  return `${what}${found === undefined ? '' : `: ${found}`}${wanted === undefined ? '' : `, wanted ${wanted}`}`;
}
