// TLS of the three ports. A client without a certificate of ours is let into the connection and refused by the interceptor, so that it
// is told why in words; TLS alone would only say "bad certificate" or close.
import {
  experimental,
  Metadata,
  type ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { KeyedCertificate } from '../ca/certificates.js';
import { type CallPeer, type Peer, peerOf } from './peer.js';

/** Serves one certificate until it is replaced: connections made later get the new one. */
export class ServingCertificate implements experimental.CertificateProvider {
  readonly #caPem: string;
  #pair: KeyedCertificate;
  readonly #listeners = new Set<experimental.IdentityCertificateUpdateListener>();

  constructor(caPem: string, pair: KeyedCertificate) {
    this.#caPem = caPem;
    this.#pair = pair;
  }

  replace(pair: KeyedCertificate): void {
    this.#pair = pair;
    for (const listener of this.#listeners) listener(this.#update());
  }

  // Both first calls come later, not at once: grpc-js 1.14 adds the listener before it adds the server that is to be told, and a
  // server that was never told drops every connection.
  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    queueMicrotask(() => listener({ caCertificate: Buffer.from(this.#caPem) }));
  }

  removeCaCertificateListener(): void {}

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#listeners.add(listener);
    queueMicrotask(() => listener(this.#update()));
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#listeners.delete(listener);
  }

  #update(): experimental.IdentityCertificateUpdate {
    // The authority goes along: a host that enrols knows only its fingerprint, from the token.
    const certificate = Buffer.from(`${this.#pair.certificatePem.trimEnd()}\n${this.#caPem}`);
    return { certificate, privateKey: Buffer.from(this.#pair.keyPem) };
  }
}

/** Server TLS; with `askClient` it also asks for a client certificate (and leaves the judgement to `demandPeer`). */
export function serverCredentials(serving: ServingCertificate, askClient: boolean): ServerCredentials {
  // grpc-js 1.14 takes the identity first and the authority second, whatever its parameter names say.
  return experimental.createCertificateProviderServerCredentials(serving, askClient ? serving : null, false);
}

/**
 * Lets only calls through whose certificate is ours, has one of the roles, and is still good. `refusal` gives the sentence for a
 * certificate that is ours but no longer good. `onRefused` is told of every call that is turned away.
 */
export function demandPeer(
  role: Peer['role'],
  authority: { readonly fingerprint: Buffer },
  refusal: (peer: Peer) => string | undefined,
  onRefused: (address: string, why: string) => void,
): ServerInterceptor {
  const ours = authority.fingerprint.toString('hex').slice(0, 16);
  const judge = (call: CallPeer): { code: status; rfCode: string; why: string } | undefined => {
    const peer = peerOf(call);
    if (peer === undefined) {
      const why = `found no valid client certificate of this controller's authority (SHA-256 ${ours}…): none, or one that has expired, is not valid yet, or is of another authority; wanted one that \`ringfence enroll\` gives`;
      return { code: status.UNAUTHENTICATED, rfCode: 'RF_TLS_FOREIGN', why };
    }
    if (peer.role !== role) {
      const why = `found the certificate of ${peer.role} ${peer.name}, wanted one of ${role === 'host' ? 'a host' : 'an operator'}`;
      return { code: status.PERMISSION_DENIED, rfCode: 'RF_TLS_ROLE', why };
    }
    const why = refusal(peer);
    return why === undefined ? undefined : { code: status.UNAUTHENTICATED, rfCode: 'RF_TLS_REVOKED', why };
  };
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const refused = judge(call);
        if (refused === undefined) return next();
        onRefused(call.getPeer(), refused.why);
        const metadata = new Metadata();
        metadata.set('rf-code', refused.rfCode);
        const details = `${refused.rfCode}: Cannot accept this call: ${refused.why}`;
        next({ onReceiveMetadata: () => call.sendStatus({ code: refused.code, details, metadata }) });
      },
    });
}
