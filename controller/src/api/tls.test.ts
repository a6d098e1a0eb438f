import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Authority, SERVER_LIFETIME_MS } from '../ca/authority.js';
import { factsOf, normalSerial, SERVER_NAME } from '../ca/certificates.js';
import { Harness } from '../testing/harness.js';
import { bind, ENROLL_BOUNDS, newServer, shutDown } from './ports.js';
import { ServingCertificate, serverCredentials } from './tls.js';

/** Serial number of the certificate that a new connection is shown. */
function shownSerial(port: number, caPem: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: '127.0.0.1', port, ca: caPem, servername: SERVER_NAME, ALPNProtocols: ['h2'] },
      () => {
        resolve(normalSerial(socket.getPeerCertificate().serialNumber));
        socket.destroy();
      },
    );
    socket.on('error', reject);
  });
}

test('a renewed server certificate is shown to new connections without a restart', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'rf-tls-'));
  let aheadMs = 0;
  const authority = await Authority.open(dir, () => Date.now() + aheadMs);
  const serving = new ServingCertificate(authority.caPem, authority.server);
  const server = newServer(ENROLL_BOUNDS, []);
  try {
    const { port } = await bind(server, { host: '127.0.0.1', port: 0 }, serverCredentials(serving, false));
    const before = factsOf(authority.server.certificatePem).serial;
    await expect.poll(() => shownSerial(port, authority.caPem)).toBe(before);
    aheadMs = SERVER_LIFETIME_MS * 0.7;
    expect(await authority.renewServerIfDue()).toBe(true);
    aheadMs = 0;
    serving.replace(authority.server);
    // Signed as of a future clock, so it is compared only where validity is not judged.
    const after = factsOf(authority.server.certificatePem).serial;
    expect(after).not.toBe(before);
    const shown = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
        resolve(normalSerial(socket.getPeerCertificate().serialNumber));
        socket.destroy();
      });
      socket.on('error', reject);
    });
    expect(shown).toBe(after);
  } finally {
    await shutDown(server, 0, () => {});
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a foreign gRPC client finds the services by reflection and calls one', { timeout: 60_000 }, async () => {
  const rf = await Harness.start();
  try {
    const operator = dirname(rf.controller.contextFile);
    const buf = fileURLToPath(new URL('../../../node_modules/@bufbuild/buf/bin/buf', import.meta.url));
    const tls = [
      '--cacert',
      join(operator, 'ca.pem'),
      '--cert',
      join(operator, 'operator.pem'),
      '--key',
      join(operator, 'operator.key'),
    ];
    const curl = (...args: string[]) =>
      promisify(execFile)(
        process.execPath,
        [buf, 'curl', '--protocol', 'grpc', '--servername', SERVER_NAME, ...tls, ...args],
        { cwd: operator },
      );
    const url = `https://${rf.controller.addresses.admin}`;
    const { stdout: methods } = await curl('--list-methods', url);
    for (const method of [
      'Workloads/Push',
      'Policy/Explain',
      'Flows/Follow',
      'Hosts/CreateToken',
      'NatMappings/Push',
      'Status/Get',
    ]) {
      expect(methods).toContain(`ringfence.v1.${method}`);
    }
    const { stdout: answer } = await curl(`${url}/ringfence.v1.Status/Get`);
    expect(JSON.parse(answer)).toMatchObject({ controllerVersion: expect.any(String), store: { healthy: true } });
  } finally {
    await rf.dispose();
  }
});
