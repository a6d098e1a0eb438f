// Certificates over the real ports: renewal by a restarted controller, and what an expired one still can do.
import { credentials } from '@grpc/grpc-js';
import { CertificateRenewalClient, type EnrollResponse } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Harness } from '../testing/harness.js';
import type { AgentCredentials } from '../testing/simulated-agent.js';
import { createSigningRequest, SERVER_NAME } from './certificates.js';
import { CERTIFICATES_MAX } from './enrolment.js';

let harness: Harness;
beforeEach(async () => {
  harness = await Harness.start();
});
afterEach(() => harness.dispose());

async function renew(own: AgentCredentials): Promise<AgentCredentials> {
  const { der, keyPem } = await createSigningRequest();
  const [ca, key, certificate] = [own.caPem, own.keyPem, own.certificatePem].map((pem) => Buffer.from(pem));
  const client = new CertificateRenewalClient(own.syncAddress, credentials.createSsl(ca, key, certificate), {
    'grpc.ssl_target_name_override': SERVER_NAME,
  });
  try {
    const answer = await new Promise<EnrollResponse>((resolve, reject) => {
      client.renew({ csrDer: der }, (error, response) => (error === null ? resolve(response) : reject(error)));
    });
    return { ...own, certificatePem: answer.certificatePem, keyPem };
  } finally {
    client.close();
  }
}

test('a restarted controller renews; old and new certificate are good until each ends, and the log says who', async () => {
  const first = await harness.enroll('alpha');
  await harness.restart();
  const second = await renew(first);
  expect(second.certificatePem).not.toBe(first.certificatePem);
  const agents = [await harness.agent(second), await harness.agent(first)];
  expect(agents.map((agent) => agent.welcomes[0]?.hostId)).toEqual(['alpha', 'alpha']);
  const { audit } = harness.admin;
  const { entries } = await new Promise<{ entries: { action: string; actor: string }[] }>((resolve, reject) => {
    audit.list({ filter: undefined, limit: 10, before: 0n }, (e, response) =>
      e === null ? resolve(response) : reject(e),
    );
  });
  const told = entries.map(({ action, actor }) => `${action} ${actor}`);
  expect(told).toEqual(['host.renew host:alpha', 'host.enrol enrolment', 'token.use enrolment', 'token.create admin']);
});

test('of a host that renews again and again the newest certificates are good, and no record grows', async () => {
  const first = await harness.enroll('alpha');
  let newest = first;
  for (let i = 0; i < CERTIFICATES_MAX; i += 1) newest = await renew(newest);
  await expect(harness.agent(first)).rejects.toThrow(/not among those it was given/);
  expect((await harness.agent(newest)).welcomes).toHaveLength(1);
  for (let i = CERTIFICATES_MAX; i < 20; i += 1) newest = await renew(newest);
  await expect(renew(newest)).rejects.toThrow(/RF_ENROLL_RATE/);
  harness.clockAheadMs = 600_000;
  await renew(newest);
});

test('an expired certificate neither streams nor renews; the host must enrol anew', async () => {
  const own = await harness.enroll('alpha');
  harness.clockAheadMs = 31 * 86_400_000;
  await expect(renew(own)).rejects.toThrow(/expired/);
  await expect(harness.agent(own)).rejects.toThrow(/expired/);
});
