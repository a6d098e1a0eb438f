// A small certificate authority and gRPC servers with its certificates: what stands in for a controller in tests, over real TLS.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
x509.cryptoProvider.set(webcrypto);

export interface TestAuthority {
  readonly pem: string;
  readonly der: Buffer;
  /** A certificate for a key, valid from a minute ago for lifeMs. */
  issue(publicKey: x509.PublicKeyType, san: x509.JsonGeneralName, lifeMs?: number): Promise<string>;
  /** The same for the key of a PKCS#10 request. */
  sign(csrDer: Uint8Array, hostId: string, lifeMs?: number): Promise<string>;
  /** A fresh key and certificate of a host. */
  host(hostId: string, lifeMs?: number): Promise<{ keyPem: string; certificatePem: string }>;
  /** Serves on a port of the system's choice, on loopback unless told otherwise; mutual: clients need a certificate of this authority. */
  serve(
    services: readonly (readonly [ServiceDefinition, UntypedServiceImplementation])[],
    mutual: boolean,
    port?: number,
    host?: string,
  ): Promise<{ address: string; server: Server }>;
}

export async function makeAuthority(name: string): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const pem = certificate.toString('pem');
  const issue: TestAuthority['issue'] = async (publicKey, san, lifeMs = 3_600_000) => {
    const issued = await x509.X509CertificateGenerator.create({
      subject: 'CN=test',
      issuer: certificate.subject,
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() - 60_000 + lifeMs),
      extensions: [new x509.SubjectAlternativeNameExtension([san])],
    });
    return issued.toString('pem');
  };
  const pair = async (san: x509.JsonGeneralName, lifeMs?: number) => {
    const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', own.privateKey);
    return {
      keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
      certificatePem: await issue(own.publicKey, san, lifeMs),
    };
  };
  return {
    pem,
    der: Buffer.from(certificate.rawData),
    issue,
    sign: (csrDer, hostId, lifeMs) =>
      issue(
        new x509.Pkcs10CertificateRequest(csrDer).publicKey,
        { type: 'url', value: `ringfence://host/${hostId}` },
        lifeMs,
      ),
    host: (hostId, lifeMs) => pair({ type: 'url', value: `ringfence://host/${hostId}` }, lifeMs),
    serve: async (services, mutual, port = 0, host = '127.0.0.1') => {
      const own = await pair({ type: 'dns', value: 'ringfence-controller' });
      const server = new Server();
      for (const [service, implementation] of services) server.addService(service, implementation);
      const chain = Buffer.from(`${own.certificatePem}\n${pem}`);
      const credentials = ServerCredentials.createSsl(
        mutual ? Buffer.from(pem) : null,
        [{ private_key: Buffer.from(own.keyPem), cert_chain: chain }],
        mutual,
      );
      const bound = await new Promise<number>((resolve, reject) =>
        server.bindAsync(`${host}:${port}`, credentials, (error, at) => (error ? reject(error) : resolve(at))),
      );
      return { address: `${host}:${bound}`, server };
    },
  };
}
