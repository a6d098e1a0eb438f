// Issue 2, must show 8, end to end: wrong input is refused with its place, and the last good state stays in force.
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import type { PolicyFile } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { AgentSyncClient } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentProcess } from '../src/agent.js';
import type { UnmanagedSpec } from '../src/api.js';
import { ControllerProcess } from '../src/controller.js';
import type { Fleet } from '../src/fleet.js';
import type { TestHost } from '../src/host.js';
import { tool } from '../src/tool.js';
import { until } from '../src/until.js';
import { shopHosts, shopPolicy, startShop } from './shop.js';

/** So small that a policy of a few hundred members does not fit. */
const peersMax = 256;

const wrong: readonly { name: string; file: string; code: RegExp; line: number; text: RegExp }[] = [
  {
    name: 'malformed YAML',
    file: 'rules:\n  - id: x\n    service: [tcp/80\n    providedBy: anyone\n',
    code: /^RF_POLICY_YAML/,
    // Where the text can no longer be what the open bracket began.
    line: 4,
    text: /./,
  },
  {
    name: 'port 70000',
    file: 'rules:\n  - id: x\n    service: tcp/70000\n    providedBy: role=server\n    usedBy: role=client\n',
    code: /^RF_POLICY_PORT/,
    line: 3,
    text: /70000/,
  },
  {
    name: 'an unknown dimension',
    file: 'rules:\n  - id: x\n    service: tcp/80\n    providedBy: colour=blue\n    usedBy: role=client\n',
    code: /^RF_POLICY_/,
    line: 4,
    text: /colour/,
  },
  {
    name: 'half a CIDR',
    file: 'ipLists:\n  - name: office\n    include: [10.0.0.0/]\n',
    code: /^RF_POLICY_/,
    line: 3,
    text: /10\.0\.0\.0\//,
  },
  {
    name: 'an overlapping name',
    file: 'ipLists:\n  - name: office\n    include: [10.0.0.0/8]\n  - name: office\n    include: [192.168.0.0/16]\n',
    code: /^RF_POLICY_/,
    line: 4,
    text: /office/,
  },
];

describe('wrong input', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startShop(shopHosts.map((spec) => ({ ...spec, agent: { mapSizes: { rf_peers: peersMax } } })));
  });
  afterAll(() => fleet?.close());

  /** What must hold after every refusal. */
  async function lastGoodHolds(): Promise<void> {
    const [client, intruder, server] = [fleet.place('client'), fleet.place('intruder'), fleet.place('server')];
    expect(await client.probe('tcp', server.addresses.ip4, 80, 3000)).toMatchObject({ ok: true });
    expect(await intruder.probe('tcp', server.addresses.ip4, 80, 500)).toMatchObject({ ok: false });
  }

  it.each(wrong)('$name is refused with file, line and text; the version stays', async ({ file, code, line, text }) => {
    const before = (await fleet.api.status()).policyVersion;
    const files: PolicyFile[] = [...shopPolicy({ extra: true }), { name: 'wrong.yaml', content: file }];
    const response = await fleet.api.apply(files);
    expect(response.accepted).toBe(false);
    const problem = response.problems.find((p) => p.file === 'wrong.yaml' && !p.warning);
    expect(problem).toMatchObject({ code: expect.stringMatching(code), line });
    expect(`${problem?.message} ${problem?.found}`).toMatch(text);
    expect((await fleet.api.status()).policyVersion).toBe(before);
    await lastGoodHolds();
  });

  /** Twice as many workloads as the hosts' peer tables can hold. */
  function members(role: string): UnmanagedSpec[] {
    return Array.from({ length: peersMax * 2 }, (_, i) => ({
      id: `lab:member-${i}`,
      addresses: [Uint8Array.of(10, 250, i >> 8, i & 255)],
      labels: { role, app: 'shop' },
    }));
  }

  it('a policy larger than the maps is refused at provision with host, table and numbers; the version stays', async () => {
    await fleet.api.pushUnmanaged(members('bulk'));
    await fleet.converged();
    const before = (await fleet.api.status()).policyVersion;
    const rule = 'rules:\n  - id: bulk\n    service: tcp/80\n    providedBy: role=server\n    usedBy: role=bulk\n';
    const response = await fleet.api.apply([...shopPolicy({ extra: true }), { name: 'bulk.yaml', content: rule }]);
    expect(response).toMatchObject({ accepted: false, version: before });
    const texts = response.problems.map((p) => `${p.code} ${p.message}`);
    expect(texts).toContainEqual(expect.stringMatching(/^RF_CAPACITY .*rf_peers of host beta/));
    expect(texts.join()).toContain(String(peersMax));
    expect((await fleet.api.status()).policyVersion).toBe(before);
    await lastGoodHolds();
  });

  it('members that no longer fit are not sent: the host raises an alarm, the last good state stays, and room heals it', async () => {
    await fleet.api.pushUnmanaged(members('client'));
    const alarm = await until('an alarm about the table', async () => {
      const conditions = (await fleet.api.listHosts()).flatMap((h) => h.conditions);
      return conditions.find(
        (c) => /RF_CAPACITY|RF_MAP_FULL/.test(c.code) && `${c.title} ${c.text}`.includes('rf_peers'),
      );
    });
    expect(alarm.severity).toBe('alarm');
    await lastGoodHolds();
    await fleet.api.pushUnmanaged([]);
    await until('no alarm', async () => (await fleet.api.listHosts()).every((h) => h.conditions.length === 0));
    await fleet.converged();
    await lastGoodHolds();
  });

  /** How the real controller answers a stream whose client shows the stranger's certificate. */
  async function refusalOf(host: TestHost, caFile: string, stranger: string) {
    const socket = host.file('stranger.sock');
    const [address = '', port = ''] = fleet.controller.syncAddress.split(':');
    const relay = await host.daemon('stranger-relay', await tool(), ['relay', socket, address, port], { json: true });
    await relay.event('ready');
    const [ca, key, cert] = [caFile, join(stranger, 'key.pem'), join(stranger, 'cert.pem')].map((f) => readFileSync(f));
    const tls = credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
    const client = new AgentSyncClient(`unix:${socket}`, tls, {
      'grpc.ssl_target_name_override': 'ringfence-controller',
    });
    try {
      return await new Promise((resolve) => {
        const stream = client.sync();
        stream.on('error', (error: ServiceError) =>
          resolve({ code: error.code, rfCode: error.metadata.get('rf-code')[0] }),
        );
        stream.on('data', (message) => resolve(message));
      });
    } finally {
      client.close();
      await relay.stop();
    }
  }

  it('an agent with a certificate of another authority is refused, and goes on enforcing what it has', async () => {
    const other = new ControllerProcess(await fleet.lab.addNode('other'));
    await other.start();
    const { agent, host } = fleet.member('alpha');
    const stranger = await AgentProcess.configure(host, fleet.controller, [], {}, 'stranger');
    await stranger.enrol(other);
    expect(await refusalOf(host, join(host.file('agent'), 'ca.pem'), host.file('stranger'))).toEqual({
      code: status.UNAUTHENTICATED,
      rfCode: 'RF_TLS_FOREIGN',
    });
    await agent.kill();
    // The stranger's key and certificate, and the real authority's certificate: it trusts the controller, not the reverse.
    for (const name of ['key.pem', 'cert.pem']) {
      cpSync(join(host.file('agent'), name), join(host.file('agent'), `${name}.kept`));
      cpSync(join(host.file('stranger'), name), join(host.file('agent'), name));
    }
    await agent.start();
    await agent.ready();
    await until('the refusal in the log', () => {
      if (/RF_(TLS|CREDENTIALS|CERT)/.test(agent.log)) return true;
      throw new Error(agent.log.slice(-1500));
    });
    expect((await fleet.api.listHosts()).find((h) => h.id === 'alpha')?.connected).toBe(false);
    await lastGoodHolds();
    await agent.kill();
    for (const name of ['key.pem', 'cert.pem']) {
      cpSync(join(host.file('agent'), `${name}.kept`), join(host.file('agent'), name));
    }
    await agent.start();
    await fleet.converged();
    await lastGoodHolds();
    await other.stop();
  });
});
