// Who is calling: read from the certificate that TLS has verified against our authority; for calls of the web page, whoever signed in by
// such a certificate before.
import type { PeerCertificate } from 'node:tls';
import { normalSerial } from '../ca/certificates.js';

/** The part of a gRPC call that says who is at the other end. */
export interface CallPeer {
  getAuthContext(): { sslPeerCertificate?: PeerCertificate };
  /** "address:port". */
  getPeer(): string;
}

/** Holder of a verified certificate. */
export interface Peer {
  readonly role: 'host' | 'operator';
  /** The host's id, or the operator's name. */
  readonly name: string;
  /** Of the certificate, as normalSerial gives it. */
  readonly serial: string;
  readonly notAfterMs: number;
  /** Address without port. */
  readonly address: string;
}

const SUBJECT = /^URI:ringfence:\/\/(host|operator)\/([A-Za-z0-9][A-Za-z0-9._-]{0,62})$/;

const vouched = new WeakMap<CallPeer, Peer>();

/** Says who stands behind a call that did not come over mutual TLS: a signed-in session (web/). Nothing else may say so. */
export function vouchFor(call: CallPeer, peer: Peer): void {
  vouched.set(call, peer);
}

/** The caller; undefined when it showed no certificate of our authority that is valid now and names a host or an operator. */
export function peerOf(call: CallPeer): Peer | undefined {
  const known = vouched.get(call);
  if (known !== undefined) return known;
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const match = SUBJECT.exec(certificate.subjectaltname ?? '');
  if (match?.[2] === undefined) return undefined;
  return {
    role: match[1] === 'host' ? 'host' : 'operator',
    name: match[2],
    serial: normalSerial(certificate.serialNumber),
    notAfterMs: Date.parse(certificate.valid_to),
    address: addressOf(call),
  };
}

/** The caller's address without its port. */
export function addressOf(call: Pick<CallPeer, 'getPeer'>): string {
  const peer = call.getPeer();
  const colon = peer.lastIndexOf(':');
  return (colon < 0 ? peer : peer.slice(0, colon)).replace(/^\[|\]$/g, '');
}
