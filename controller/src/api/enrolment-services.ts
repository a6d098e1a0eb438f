// Enrollment (on its own port, without a client certificate) and CertificateRenewal (on the sync port).
import type {
  CertificateRenewalServer,
  EnrollmentServer,
  EnrollResponse,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Logger } from 'pino';
import { asCaller } from '../audit/caller.js';
import type { Enrolment, SignedHost } from '../ca/enrolment.js';
import { unary, wireError } from './errors.js';
import { addressOf } from './peer.js';

export interface EnrolmentServicesOptions {
  readonly enrolment: Enrolment;
  readonly caPem: string;
  /** host:port of the sync port, as agents are told; may depend on the address that the caller used. */
  readonly syncAddress: (calledHost: string) => string;
  readonly log: Logger;
}

export function enrollmentService(options: EnrolmentServicesOptions): EnrollmentServer {
  const { enrolment, log } = options;
  return {
    enroll: (call, callback) => {
      const { token, csrDer, facts } = call.request;
      const address = addressOf(call);
      asCaller({ name: 'enrolment', address }, () => enrolment.enroll(token, csrDer, facts, address)).then(
        (signed) => {
          log.info({ hostId: signed.hostId, address }, 'host enrolled');
          callback(null, answer(options, signed, call.getHost()));
        },
        (error: unknown) => {
          log.warn(
            { address, code: error instanceof Error && 'code' in error ? error.code : 'RF_INTERNAL' },
            'enrolment refused',
          );
          callback(wireError(error, log));
        },
      );
    },
  };
}

export function renewalService(options: EnrolmentServicesOptions): CertificateRenewalServer {
  return {
    renew: unary(options.log, async ({ csrDer }, { name: hostId }) => {
      const signed = await options.enrolment.renew(hostId, csrDer);
      options.log.info({ hostId }, 'certificate renewed');
      return answer(options, signed, '');
    }),
  };
}

function answer(options: EnrolmentServicesOptions, signed: SignedHost, calledHost: string): EnrollResponse {
  return {
    hostId: signed.hostId,
    certificatePem: signed.certificatePem,
    caPem: options.caPem,
    syncAddress: options.syncAddress(calledHost),
  };
}
