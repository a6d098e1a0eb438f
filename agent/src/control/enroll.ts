// Enrolment: a one-time token becomes this host's client certificate. Public: the CLI's `ringfence enroll` and the agent's own
// `enroll` subcommand call enrollHost.
import { X509Certificate } from 'node:crypto';
import { connect as tlsConnect } from 'node:tls';
import { credentials as grpcCredentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { EnrollmentClient, type EnrollResponse, type HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { AgentError, messageOf } from '../errors.js';
import { type Credentials, checkCredentials, writeCredentials } from './credentials.js';
import { splitHostPort } from './host-port.js';
import type { KeyRequest } from './key-request.js';
import { type EnrollToken, fingerprintOf, parseToken } from './token.js';

/** The name in the controller's server certificate, whatever address it is reached at. */
export const CONTROLLER_SERVER_NAME = 'ringfence-controller';

export interface EnrollOptions {
  /** host:port of the controller's Enrollment service. */
  controller: string;
  /** The token's text. */
  token: string;
  /** Where key.pem, cert.pem, ca.pem and host.json go. Made when missing, mode 0700. */
  stateDir: string;
  /** Facts about this machine, see hostFacts(). */
  facts: HostFacts;
  /** Give up after this long. Default 30 000. */
  timeoutMs?: number;
}

export interface Enrolled {
  readonly hostId: string;
  readonly syncAddress: string;
  /** Unix milliseconds. */
  readonly notAfterMs: number;
}

/**
 * Pins the controller's authority by the token, makes a key pair, has it certified and writes the result to stateDir atomically.
 * Errors: RF_TOKEN, RF_CA_MISMATCH (the secret was not sent), RF_ENROLL (refused or unreachable), RF_CREDENTIALS (what came
 * back does not fit). On an error nothing of a former enrolment is changed.
 */
export async function enrollHost(options: EnrollOptions): Promise<Enrolled> {
  const token = parseToken(options.token);
  const timeoutMs = options.timeoutMs ?? 30_000;
  const caPem = await pinAuthority(options.controller, token, timeoutMs);
  const request = await makeRequest(options.facts.hostname || 'host');
  const response = await callEnroll(options, token, caPem, request.csrDer, timeoutMs);
  if (!new X509Certificate(response.caPem).raw.equals(new X509Certificate(caPem).raw)) {
    throw new AgentError(
      'RF_CA_MISMATCH',
      'Cannot trust the enrolment: it names another authority than the one the token pins',
    );
  }
  const syncAddress = reachable(response.syncAddress, options.controller);
  const written: Credentials = checkCredentials(
    response.hostId,
    syncAddress,
    request.keyPem,
    response.certificatePem,
    caPem,
  );
  writeCredentials(options.stateDir, written);
  return { hostId: written.hostId, syncAddress, notAfterMs: written.notAfterMs };
}

/**
 * Fetches the certificate chain the controller shows and returns the authority in it whose fingerprint the token pins, PEM. The
 * connection made here is thrown away: nothing has been said on it.
 */
async function pinAuthority(controller: string, token: EnrollToken, timeoutMs: number): Promise<string> {
  const { host, port } = splitHostPort(controller);
  const chain = await new Promise<Buffer[]>((resolve, reject) => {
    // The authority is what is being learnt here, so nothing can be verified yet; the fingerprint decides below.
    const socket = tlsConnect({
      host,
      port,
      servername: CONTROLLER_SERVER_NAME,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    const fail = (error: Error) => {
      socket.destroy();
      reject(
        new AgentError(
          'RF_ENROLL',
          `Cannot reach the controller at ${controller}: ${error.message}, wanted its enrolment port`,
          { cause: error },
        ),
      );
    };
    socket.setTimeout(timeoutMs, () => fail(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const found: Buffer[] = [];
      let certificate = socket.getPeerCertificate(true);
      while (certificate?.raw && !found.some((raw) => raw.equals(certificate.raw))) {
        found.push(certificate.raw);
        certificate = certificate.issuerCertificate;
      }
      socket.destroy();
      resolve(found);
    });
  });
  const pinned = chain.find((der) => fingerprintOf(der).equals(token.caFingerprint));
  if (pinned) return new X509Certificate(pinned).toString();
  throw new AgentError(
    'RF_CA_MISMATCH',
    `Cannot trust the controller at ${controller}: none of its ${chain.length} certificates is the authority pinned by token ${token.id}, wanted a controller of the same authority`,
  );
}

function callEnroll(
  options: EnrollOptions,
  token: EnrollToken,
  caPem: string,
  csrDer: Buffer,
  timeoutMs: number,
): Promise<EnrollResponse> {
  const client = new EnrollmentClient(options.controller, grpcCredentials.createSsl(Buffer.from(caPem)), {
    'grpc.ssl_target_name_override': CONTROLLER_SERVER_NAME,
    'grpc.default_authority': CONTROLLER_SERVER_NAME,
  });
  return new Promise<EnrollResponse>((resolve, reject) => {
    const deadline = new Date(Date.now() + timeoutMs);
    client.enroll(
      { token: token.text, csrDer, facts: options.facts },
      new Metadata(),
      { deadline },
      (error: ServiceError | null, response) => {
        client.close();
        if (error) {
          const text = `Cannot enrol this host at ${options.controller} with token ${token.id}: ${error.details || messageOf(error)}`;
          reject(new AgentError('RF_ENROLL', text, { cause: error }));
        } else resolve(response);
      },
    );
  });
}

/** A controller that listens on all addresses names none: then its host is where it was just reached. */
function reachable(syncAddress: string, controller: string): string {
  const sync = splitHostPort(syncAddress);
  const wildcard = ['', '0.0.0.0', '::', '[::]'].includes(sync.host);
  return wildcard ? `${bracket(splitHostPort(controller).host)}:${sync.port}` : syncAddress;
}

function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** X.509 is loaded when a request is made, once in months: it would be a tenth of the agent's memory. */
async function makeRequest(commonName: string): Promise<KeyRequest> {
  const { makeKeyRequest } = await import('./key-request.js');
  return makeKeyRequest(commonName);
}
