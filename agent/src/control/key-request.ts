// A fresh P-256 key pair and the PKCS#10 request for it. The private key never leaves the host.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export interface KeyRequest {
  /** PKCS#8, PEM. */
  readonly keyPem: string;
  /** PKCS#10 request, DER. */
  readonly csrDer: Buffer;
}

/** commonName is a wish: the controller names the host in the certificate it signs. */
export async function makeKeyRequest(commonName: string): Promise<KeyRequest> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: [{ CN: [commonName] }], keys, signingAlgorithm: algorithm },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), csrDer: Buffer.from(request.rawData) };
}
