import type { Enrolled } from '@ringfence/agent/control/enroll.js';
import type { Action } from '../app.js';
import { CliError, ExitCode, usageError } from '../errors.js';
import { readInput } from '../input/yaml-input.js';
import { field } from '../output/fields.js';

interface Options {
  controller: string;
  tokenFile: string;
  keyFile?: string;
  stateDir: string;
}

/** Errors of the agent's enrolment and what they mean to a script. */
const exitByCode: Readonly<Record<string, ExitCode>> = {
  RF_TOKEN: ExitCode.usage,
  RF_CONFIG: ExitCode.usage,
  RF_CA_MISMATCH: ExitCode.denied,
  RF_ENROLL: ExitCode.denied,
};

const nextByCode: Readonly<Record<string, string>> = {
  RF_TOKEN: 'copy the whole token; make a new one with `ringfence host token`',
  RF_CONFIG: 'name the enrolment port as host:port; `ringfence host token` prints it',
  RF_CA_MISMATCH: 'make sure that --controller is the controller that made the token: another one may be in between',
  RF_ENROLL: 'check the address; tokens end: make a new one with `ringfence host token`',
};

/** `enroll`: gives the agent of this machine its certificate. The agent's own code does it, and it is loaded only here. */
export const enroll: Action<[], Options> = async (invocation, options) => {
  const { io, printer } = invocation;
  const file = options.keyFile ?? options.tokenFile;
  if (file === '-' && io.stdin.isTTY) {
    throw usageError('Cannot read the token', 'found a terminal on standard input', 'a token file or a pipe', {
      next: 'ringfence enroll --token-file FILE, or pipe the token in',
    });
  }
  const token = (await readInput(io, file)).trim();
  const { enrollHost } = await import('@ringfence/agent/control/enroll.js');
  const { hostFacts } = await import('@ringfence/agent/control/host-facts.js');
  let enrolled: Enrolled;
  try {
    const { controller, stateDir } = options;
    enrolled = await enrollHost({ controller, token, stateDir, facts: hostFacts(), timeoutMs: invocation.timeoutMs });
  } catch (error) {
    throw enrollError(error, options);
  }
  const { hostId, syncAddress, notAfterMs } = enrolled;
  const notAfter = new Date(notAfterMs).toISOString();
  await printer.object({
    json: { hostId, syncAddress, notAfter, stateDir: options.stateDir },
    fields: [
      field('host', hostId, 'strong'),
      field('certificate', `in ${options.stateDir}, ends ${notAfter}; the agent renews it`),
      field('controller', syncAddress),
      field('next', 'start the agent (systemctl start ringfence-agent, or node agent/dist/main.js --config FILE)'),
    ],
  });
};

/** The agent's error in the shape of all errors; anything else goes through. */
function enrollError(error: unknown, { controller }: Options): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (!(error instanceof Error) || typeof code !== 'string' || !code.startsWith('RF_')) return error;
  const unreachable = error.message.startsWith('Cannot reach');
  return new CliError({
    code,
    what: error.message,
    where: `enrolment service at ${controller}`,
    next: nextByCode[code],
    exit: unreachable ? ExitCode.connection : (exitByCode[code] ?? ExitCode.fault),
    cause: error,
  });
}
