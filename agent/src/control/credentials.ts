// Who this host is to the controller, on disk: key.pem (0600), cert.pem, ca.pem, host.json in the state directory. They
// change together or not at all: a crash in the middle is completed at the next read.
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError, codeOf, messageOf } from '../errors.js';
import { syncDirectory, writeFileAtomic } from '../store/atomic-file.js';
import { unmarkLeft } from './left-mark.js';

export interface Credentials {
  readonly hostId: string;
  /** host:port of AgentSync, FlowUpload and CertificateRenewal. */
  readonly syncAddress: string;
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly caPem: string;
  /** End of the certificate's life, Unix milliseconds. */
  readonly notAfterMs: number;
  /** Start of it. */
  readonly notBeforeMs: number;
}

const JOURNAL = 'pending.json';
/** Everything below the state directory that says who this host is. */
export const CREDENTIAL_FILES = [JOURNAL, 'host.json', 'key.pem', 'cert.pem', 'ca.pem'] as const;
const hostRecord = z.object({ hostId: z.string().min(1), syncAddress: z.string().min(3) });
const pendingRecord = hostRecord.extend({ keyPem: z.string(), certificatePem: z.string(), caPem: z.string() });

/** Reads what enrolment wrote. undefined when the host is not enrolled; throws RF_CREDENTIALS when the files do not fit together. */
export function readCredentials(stateDir: string): Credentials | undefined {
  let record: string;
  try {
    finishPending(stateDir);
    record = readFileSync(join(stateDir, 'host.json'), 'utf8');
  } catch (error) {
    if (codeOf(error, '') === 'ENOENT') return undefined;
    throw new AgentError(
      'RF_CREDENTIALS',
      `Cannot read ${join(stateDir, 'host.json')}: ${messageOf(error)}, wanted a readable file`,
    );
  }
  try {
    const { hostId, syncAddress } = hostRecord.parse(JSON.parse(record));
    const [keyPem, certificatePem, caPem] = ['key.pem', 'cert.pem', 'ca.pem'].map((f) =>
      readFileSync(join(stateDir, f), 'utf8'),
    );
    return checkCredentials(hostId, syncAddress, keyPem ?? '', certificatePem ?? '', caPem ?? '');
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError(
      'RF_CREDENTIALS',
      `Cannot use the credentials in ${stateDir}: ${messageOf(error)}, wanted a complete enrolment`,
      {
        cause: error,
      },
    );
  }
}

/** Puts the parts together; throws RF_CREDENTIALS when key and certificate, or certificate and CA, do not belong together. */
export function checkCredentials(
  hostId: string,
  syncAddress: string,
  keyPem: string,
  certificatePem: string,
  caPem: string,
): Credentials {
  const certificate = new X509Certificate(certificatePem);
  const ca = new X509Certificate(caPem);
  const own = createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
  if (!certificate.publicKey.export({ type: 'spki', format: 'der' }).equals(own)) {
    throw new AgentError(
      'RF_CREDENTIALS',
      'Cannot use the certificate: it certifies another key, wanted the key in key.pem',
    );
  }
  if (!certificate.verify(ca.publicKey)) {
    throw new AgentError(
      'RF_CREDENTIALS',
      'Cannot use the certificate: another authority signed it, wanted the one in ca.pem',
    );
  }
  return {
    hostId,
    syncAddress,
    keyPem,
    certificatePem,
    caPem,
    notAfterMs: Date.parse(certificate.validTo),
    notBeforeMs: Date.parse(certificate.validFrom),
  };
}

/**
 * Replaces what is on disk by these credentials, as a whole: several files cannot change at once, so all of it goes to one journal
 * first (0600), which is then spread over the files; finishPending completes what a crash interrupted.
 */
export function writeCredentials(stateDir: string, credentials: Credentials): void {
  const { hostId, syncAddress, keyPem, certificatePem, caPem } = credentials;
  writeFileAtomic(
    join(stateDir, JOURNAL),
    JSON.stringify({ hostId, syncAddress, keyPem, certificatePem, caPem }),
    0o600,
  );
  finishPending(stateDir);
}

/** Completes a write that a crash interrupted; nothing to do when there is none. */
export function finishPending(stateDir: string): void {
  const journal = join(stateDir, JOURNAL);
  let text: string;
  try {
    text = readFileSync(journal, 'utf8');
  } catch (error) {
    if (codeOf(error, '') === 'ENOENT') return;
    throw error;
  }
  const pending = pendingRecord.parse(JSON.parse(text));
  writeFileAtomic(join(stateDir, 'ca.pem'), pending.caPem, 0o644);
  writeFileAtomic(join(stateDir, 'key.pem'), pending.keyPem, 0o600);
  writeFileAtomic(join(stateDir, 'cert.pem'), pending.certificatePem, 0o644);
  const record = { hostId: pending.hostId, syncAddress: pending.syncAddress };
  writeFileAtomic(join(stateDir, 'host.json'), `${JSON.stringify(record, null, 2)}\n`, 0o644);
  unmarkLeft(stateDir);
  unlinkSync(journal);
  syncDirectory(stateDir);
}
